"""The HTTP client of the requests that a test sends by itself.

A new client reads every certificate authority of the machine, which takes more processor time than the request.
"""

from __future__ import annotations

import httpx

HTTP = httpx.Client(timeout=60)

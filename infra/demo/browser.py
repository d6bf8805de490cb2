"""The browser of this machine, for pictures, tests and benches.

The headless shell is Chromium without the parts that draw a window: the same engine for less than half the processor
time.
"""

from __future__ import annotations

import os
import shutil

INSTALL = "apt-get install --no-install-recommends chromium-headless-shell fonts-dejavu-core"
_NAMES = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome", "msedge")


def find() -> str | None:
    """The path of MERCATO_BROWSER, or of Chromium's headless shell, Chromium or another of its kind on the PATH."""
    return os.environ.get("MERCATO_BROWSER") or next(filter(None, map(shutil.which, _NAMES)), None)

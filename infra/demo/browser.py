"""The browser of this machine, for pictures, tests and benches."""

from __future__ import annotations

import os
import shutil

INSTALL = "apt-get install --no-install-recommends chromium fonts-dejavu-core"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "msedge")


def find() -> str | None:
    """The path of MERCATO_BROWSER, or of Chromium or another of its kind on the PATH."""
    return os.environ.get("MERCATO_BROWSER") or next(filter(None, map(shutil.which, _NAMES)), None)

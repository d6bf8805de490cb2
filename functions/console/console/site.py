"""The console's pages, by module; `handler` is what Lambda calls."""

from __future__ import annotations

from console import overview, session
from console.pages import pages

__all__ = ["overview", "pages", "session"]

handler = pages.handler

"""The one site that the modules of the console put their pages into."""

from __future__ import annotations

from pathlib import Path

from console.wiring import ports
from pages import Pages
from pages.cookies import CONSOLE

pages = Pages(
    Path(__file__).parent / "templates", CONSOLE, lambda: ports().settings, home="/console", log_in="/console/login"
)

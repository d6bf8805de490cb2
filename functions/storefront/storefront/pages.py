"""The one site that the modules of the storefront put their pages into."""

from __future__ import annotations

from pathlib import Path

from pages import Pages
from pages.cookies import SHOP
from storefront.art import still_life
from storefront.wiring import ports

pages = Pages(Path(__file__).parent / "templates", SHOP, lambda: ports().settings, filters={"still_life": still_life})

"""docs/going-live.md names each parameter of the template, and docs/pages.md each page of the two sites."""

from __future__ import annotations

import re

from console.site import pages as console
from storefront.site import pages as storefront
from tests.kit.template import ROOT, load_template

# `make deploy` sets the first one by ENV; a shop on AWS cannot choose, or need not know, the others.
NOT_CHOSEN = {"Environment", "VerifiedAddressesOnly", "CarrierStepSeconds", "EasyPostApi", "StripeApi"}


def test_going_live_names_each_parameter() -> None:
    page = (ROOT / "docs/going-live.md").read_text()

    assert {name for name in load_template()["Parameters"] if not re.search(rf"`[^`]*\b{name}\b", page)} == NOT_CHOSEN


def test_the_page_about_pages_names_each_page() -> None:
    """A page below another one, such as the status of an order, needs no name of its own."""
    page = (ROOT / "docs/pages.md").read_text()
    depth = {storefront: 1, console: 2}
    named = {
        "/".join(path.split("/")[: segments + 1])
        for site, segments in depth.items()
        for method, path in site.paths
        if method == "GET" and not path.startswith(("/static/", "/media/"))
    }

    assert {path for path in named if not re.search(rf"`{path}(/[^`]*)?`", page)} == set()

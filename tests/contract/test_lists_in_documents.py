"""docs/going-live.md names each parameter of the template, docs/pages.md each page of the two sites, CONTRIBUTING.md
each file in which a fork changes the shop's name, and decision 0011 each package.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from console.site import pages as console
from storefront.site import pages as storefront
from tests.kit.template import ROOT, load_template

# `make deploy` sets the first one by ENV; a shop on AWS cannot choose, or need not know, the others.
NOT_CHOSEN = {"Environment", "VerifiedAddressesOnly", "CarrierStepSeconds", "EasyPostApi", "StripeApi"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


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


def test_contributing_names_each_file_that_tells_people_the_shop_s_name() -> None:
    named = {
        path.relative_to(ROOT).as_posix()
        for folder in ("functions", "layers/pages", "infra/contract")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".html"} and "/.aws-sam/" not in str(path) and _says_the_name(path)
    }

    page = (ROOT / "CONTRIBUTING.md").read_text()
    assert {path for path in named if f"({path})" not in page} == set()
    assert "functions/users/users/texts.py" in named


def test_each_package_that_is_pinned_has_its_line_in_the_decision() -> None:
    (decision,) = (ROOT / "docs/decisions").glob("0011-*.md")
    pinned = {
        name
        for path in (ROOT / "pyproject.toml", *ROOT.glob("*/*/requirements.in"), *ROOT.glob("infra/*.in"))
        for name in re.findall(r"^[\s\"]*([a-z][\w-]*)(?:\[\w+\])?==", path.read_text(), re.MULTILINE | re.IGNORECASE)
    }

    assert "pydantic" in pinned
    rows = re.findall(r"^\| ([^|]+) \|", decision.read_text(), re.MULTILINE)
    told = {re.sub(r"\[.*\]", "", name.strip()).lower() for row in rows for name in row.split(",")}
    assert {name for name in pinned if name.lower() not in told} == set()


def _says_the_name(path: Path) -> bool:
    text = path.read_text()
    if path.suffix == ".html" or "Mercato" not in text:
        return "Mercato" in text
    tree = ast.parse(text)
    docstrings = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return any("Mercato" in one for one in texts - docstrings)

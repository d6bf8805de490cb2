"""Every link, heading, path and module that a document names exists, and README lists the documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.kit.template import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(?:#[^)\s]*)?\)")
ANCHOR = re.compile(r"\]\(([\w./-]*\.md)?#([^)\s]+)\)")
PATH = re.compile(r"(?<![\w./‹<-])((?:docs|events|functions|infra|layers|tests)/[\w./-]*\w)(?![\w/*<‹{-])")

MODULE = re.compile(r"`((?:\w+/)*\w+\.py)`")

# The README's example of a new service, which the reader creates.
EXAMPLES = {
    "README.md": {
        "functions/gifts",
        "functions/gifts/gifts",
        "functions/gifts/requirements.txt",
        "functions/gifts/gifts/__init__.py",
        "functions/gifts/gifts/py.typed",
        "functions/gifts/gifts/events.py",
        "functions/gifts/gifts/wiring.py",
        "functions/gifts/gifts/api.py",
        "functions/gifts/template.yaml",
        "events/GiftsApi.json",
        "tests/integration/gifts/conftest.py",
        "tests/integration/gifts/cases.py",
        "tests/integration/gifts/test_notes.py",
        "tests/e2e/test_gifts.py",
    },
}


def missing(text: str, document: Path, examples: set[str]) -> Iterator[str]:
    for target in LINK.findall(text):
        if not (document.parent / target).exists():
            yield target
    for path in PATH.findall(text):
        if path not in examples and not (ROOT / path).exists():
            yield path


def test_every_path_in_a_document_exists() -> None:
    found = {
        f"{name}: {path}"
        for document in DOCUMENTS
        for name in [document.relative_to(ROOT).as_posix()]
        for path in missing(document.read_text(), document, EXAMPLES.get(name, set()))
    }

    assert sorted(found) == []


def test_every_module_that_a_document_names_by_its_file_exists() -> None:
    """Such as `store.py`: some service has it."""
    folders = ("functions", "infra", "layers", "tests")
    known = [path.as_posix() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    found = {
        f"{name}: {module}"
        for document in DOCUMENTS
        for name in [document.relative_to(ROOT).as_posix()]
        for module in set(MODULE.findall(document.read_text())) - EXAMPLES.get(name, set())
        if not any(path.endswith(f"/{module}") for path in known)
    }

    assert sorted(found) == []


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    text = re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_every_anchor_in_a_document_is_a_heading() -> None:
    found = {
        f"{document.relative_to(ROOT)}: {target}#{anchor}"
        for document in DOCUMENTS
        for target, anchor in ANCHOR.findall(document.read_text())
        if anchor not in anchors(document.parent / target if target else document)
    }

    assert sorted(found) == []


def test_the_readme_s_tour_has_each_document() -> None:
    rows = re.findall(r"^\| \[(docs/[\w-]+\.\w+)\]", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.*"))


def test_a_missing_path_is_found() -> None:
    text = "[a](lost.md), [b](runbook.md#x), `tests/lost.py`, infra/cli.py, functions/‹service›/api.py"

    assert list(missing(text, ROOT / "docs" / "x.md", set())) == ["lost.md", "tests/lost.py"]

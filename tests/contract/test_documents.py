"""Every link and every path of this repository that a document names exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.kit.template import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)(?:#[^)\s]*)?\)")
PATH = re.compile(r"(?<![\w./‹<-])((?:docs|events|functions|infra|layers|tests)/[\w./-]*\w)(?![\w/*<‹{-])")

# The README's example of a new service, which the reader creates.
EXAMPLES = {
    "README.md": {
        "functions/gifts",
        "functions/gifts/gifts",
        "functions/gifts/requirements.txt",
        "functions/gifts/gifts/__init__.py",
        "functions/gifts/gifts/events.py",
        "functions/gifts/gifts/wiring.py",
        "functions/gifts/gifts/api.py",
        "functions/gifts/template.yaml",
        "events/GiftsApi.json",
        "tests/integration/gifts/test_notes.py",
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


def test_a_missing_path_is_found() -> None:
    text = "[a](lost.md), [b](runbook.md#x), `tests/lost.py`, infra/cli.py, functions/‹service›/api.py"

    assert list(missing(text, ROOT / "docs" / "x.md", set())) == ["lost.md", "tests/lost.py"]

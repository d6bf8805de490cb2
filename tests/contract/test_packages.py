"""Each package that a service's code imports, directly or through the shared layer, is shipped with its functions."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.paths import ROOT

SERVICES = sorted(path.parent.name for path in ROOT.glob("functions/*/template.yaml"))
ROOTS = (*(ROOT / "functions" / service for service in SERVICES), *(ROOT / "layers").glob("*/"))
# Lambda's Python has boto3 and what it needs, and the runtime client.
OF_THE_RUNTIME = {"boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six", "awslambdaric"}
DISTRIBUTIONS = importlib.metadata.packages_distributions()


@functools.cache
def file_of(module: str) -> Path | None:
    """The file of a module of the shop; None for another's."""
    for root in ROOTS:
        path = root.joinpath(*module.split("."))
        for found in (path.with_suffix(".py"), path / "__init__.py"):
            if found.exists():
                return found
    return None


@functools.cache
def imported_by(path: Path) -> frozenset[str]:
    """The modules that the file imports, anywhere in it, but for those that only types need."""

    def names(node: ast.AST) -> Iterator[str]:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.expr):  # no expression contains an import
                yield from names(child)

    return frozenset(names(ast.parse(path.read_text())))


def packages_of(service: str) -> dict[str, str]:
    """The packages that the service's code may import while it runs, each with the file that does."""
    waiting = list((ROOT / "functions" / service).rglob("*.py"))
    seen, found = set(waiting), {}
    while waiting:
        path = waiting.pop()
        for module in imported_by(path):
            parts = module.split(".")
            own = [file_of(".".join(parts[:size])) for size in range(1, len(parts) + 1)]
            new = {one for one in own if one is not None} - seen
            seen |= new
            waiting += new
            if own[0] is None and parts[0] not in sys.stdlib_module_names:
                for package in DISTRIBUTIONS.get(parts[0], [parts[0]]):
                    found[normalized(package)] = str(path.relative_to(ROOT))
    return found


def normalized(package: str) -> str:
    return re.sub("[-_.]+", "-", package).lower()


def shipped(folder: Path) -> set[str]:
    lines = (folder / "requirements.txt").read_text().splitlines() if (folder / "requirements.txt").exists() else []
    return {normalized(found[0]) for line in lines if (found := re.match(r"[\w.-]+(?===)", line))}


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_imports_is_shipped_with_it(service: str) -> None:
    template = (ROOT / "functions" / service / "template.yaml").read_text()
    folders = [ROOT / "functions" / service, ROOT / "layers" / "common"]
    folders += [layer for layer in (ROOT / "layers").glob("*/") if f"{layer.name.capitalize()}Layer" in template]
    has = set.union(OF_THE_RUNTIME, *map(shipped, folders))
    missing = {package: path for package, path in packages_of(service).items() if package not in has}
    assert not missing, (
        f"{service} imports what it does not ship; add it to functions/{service}/requirements.in: {missing}"
    )


@pytest.mark.parametrize("service", SERVICES)
def test_the_types_of_each_service_are_seen_from_outside(service: str) -> None:
    """mypy takes no types from a package without the marker of PEP 561."""
    assert (ROOT / "functions" / service / service / "py.typed").exists()

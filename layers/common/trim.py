"""Trims the layer for a short cold start: keeps botocore's data for the used services only, unpacked and without prose,
and removes examples, tests, command-line tools, the writer of documentation and the fields of pydantic's own types.
"""

from __future__ import annotations

import ast
import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

# botocore imports its writer of documentation with each client, and uses it for `help()` alone.
_NO_DOCUMENTATION = '''"""In the place of botocore's docstrings, since this layer has no prose to write them from."""


class _Empty(str):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)


ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = _Empty
'''


def trim(python: Path, services: set[str]) -> None:
    data = python / "botocore" / "data"
    prefixes = set()
    for service in data.iterdir():
        if service.is_dir():
            if service.name in services:
                prefixes.add(_trim_service(service))
            else:
                shutil.rmtree(service)
    _trim_endpoints(data / "endpoints.json", prefixes)
    _trim_documenters(python / "botocore" / "docs")
    _trim_typed_dicts(python / "pydantic_core" / "core_schema.py")
    for unused in [*python.glob("**/tests"), *python.glob("bin")]:
        shutil.rmtree(unused, ignore_errors=True)


def _trim_service(service: Path) -> str:
    """Keeps only the newest version, unpacked, without prose. Returns the service's name in endpoints.json."""
    *older, version = sorted(service.iterdir())
    for one in older:
        shutil.rmtree(one)
    for packed in version.glob("*.json.gz"):
        content = _without_documentation(json.loads(gzip.decompress(packed.read_bytes())))
        for parameter in content.get("clientContextParams", {}).values():
            parameter["documentation"] = ""  # the one that botocore reads
        _write(packed.with_suffix(""), content)
        packed.unlink()
    (version / "examples-1.json").unlink(missing_ok=True)
    return str(json.loads((version / "service-2.json").read_text())["metadata"]["endpointPrefix"])


def _without_documentation(node: Any) -> Any:
    """A shape may have a member of that name, which is a dict: only texts are prose."""
    if isinstance(node, dict):
        return {
            name: _without_documentation(part)
            for name, part in node.items()
            if not (name == "documentation" and isinstance(part, str))
        }
    if isinstance(node, list):
        return [_without_documentation(part) for part in node]
    return node


def _trim_endpoints(path: Path, prefixes: set[str]) -> None:
    endpoints = json.loads(path.read_text())
    for partition in endpoints["partitions"]:
        partition["services"] = {name: one for name, one in partition["services"].items() if name in prefixes}
    _write(path, endpoints)


def _trim_documenters(docs: Path) -> None:
    """Leaves the names that botocore's clients import."""
    for module in docs.iterdir():
        if module.is_dir():
            shutil.rmtree(module)
        elif module.name != "utils.py":  # botocore.handlers makes handlers of its classes
            module.unlink()
    (docs / "__init__.py").touch()
    (docs / "docstring.py").write_text(_NO_DOCUMENTATION)


def _trim_typed_dicts(module: Path) -> None:
    """Leaves the classes without fields: type checkers alone read them, and Python compiles the annotation of each."""
    text = module.read_text()
    lines, found = text.splitlines(), {"TypedDict"}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and found & {ast.unparse(base) for base in node.bases}:
            found.add(node.name)
            first, last = node.body[0].lineno - 1, node.body[-1].end_lineno
            assert last is not None
            lines[first:last] = ["    pass"] + [""] * (last - first - 1)  # the others keep their line numbers
    module.write_text("\n".join(lines) + "\n")


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")))


if __name__ == "__main__":
    trim(Path(sys.argv[1]), set(sys.argv[2:]))

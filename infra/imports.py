"""Runs import-linter with the contracts of pyproject.toml, where `SERVICES` stands for the package of each service."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

from importlinter.cli import lint_imports

from infra.paths import HOME, ROOT

_SERVICES = sorted(path.parent.name for path in ROOT.glob("functions/*/template.yaml"))


def contracts() -> dict[str, Any]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    found: dict[str, Any] = _filled(config)
    return found


def _filled(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value) for key, value in node.items()}
    if isinstance(node, list):
        return [named for value in node for named in (_named(value) if isinstance(value, str) else [_filled(value)])]
    return node


def _named(module: str) -> Iterator[str]:
    """`SERVICES.domain` names the module `domain` of each service that has one."""
    first, _, rest = module.partition(".")
    if first != "SERVICES":
        yield module
        return
    for service in _SERVICES:
        if not rest or (ROOT / "functions" / service / service / f"{rest}.py").exists():
            yield f"{service}.{rest}" if rest else service


def _toml(config: dict[str, Any]) -> str:
    """Works because JSON's strings, numbers, lists and booleans are valid TOML."""
    several = {key: value for key, value in config.items() if key != "contracts"}
    lines = ["[tool.importlinter]", *(f"{key} = {json.dumps(value)}" for key, value in several.items())]
    for contract in config["contracts"]:
        entries = [f"{key} = {json.dumps(value)}" for key, value in contract.items()]
        lines += ["[[tool.importlinter.contracts]]", *entries]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    HOME.mkdir(exist_ok=True)
    path = HOME / "importlinter.toml"
    path.write_text(_toml(contracts()))
    sys.exit(lint_imports(config_filename=str(path), no_cache=True))

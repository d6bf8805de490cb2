"""The main fixture of each service, under the service's name, for the tests that walk over all services.

The main fixture is `service` in a service's conftest.py. It names what it needs as parameters: fixtures of the same
conftest.py, which are offered under their own names, or those that every test has.

pytest looks for fixtures among the names of a folder's conftest.py: `globals().update(fixtures())`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

import tests.conftest
import tests.integration.conftest
from tests.kit import cases
from tests.kit.cases import Accepted

MAIN = "service"
FIXTURE = type(pytest.fixture(lambda: None))  # pytest does not export this type
SHARED = {"tests/conftest.py": tests.conftest, "tests/integration/conftest.py": tests.integration.conftest}


def fixtures() -> dict[str, Any]:
    """Returns the fixtures of all services that have cases, by the name under which a test finds them."""
    return offered(
        {service: importlib.import_module(f"tests.integration.{service}.conftest") for service in cases.services()},
        {service: [one.fixture for one in cases.of(service, "ACCEPTED", Accepted)] for service in cases.services()},
    )


def offered(conftests: Mapping[str, Any], named: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Returns each service's main fixture, those that its cases have `named`, and what both need.

    Raises LookupError for a service without a main fixture, and for two fixtures of the same name.
    """
    found: dict[str, Any] = {}
    owners = {name: file for file, module in SHARED.items() for name in vars(module) if _has(module, name)}
    for service, conftest in conftests.items():
        file = f"tests/integration/{service}/conftest.py"
        if not _has(conftest, MAIN):
            raise LookupError(f"{file} has no fixture `{MAIN}`: let its main fixture have this name, too")
        main = getattr(conftest, MAIN)
        others = _with_needs(conftest, [*named.get(service, ()), *inspect.signature(main).parameters])
        for name, fixture in {service: main, **others}.items():
            if name in owners:
                raise LookupError(f"{owners[name]} and {file} both have a fixture `{name}`: rename one of them")
            owners[name], found[name] = file, fixture
    return found


def _with_needs(conftest: Any, names: list[str]) -> dict[str, Any]:
    """Returns those of the fixtures that the conftest itself has, and what they need, directly or through others."""
    found: dict[str, Any] = {}
    while names:
        name = names.pop()
        if name not in found and _has(conftest, name):
            found[name] = getattr(conftest, name)
            names += inspect.signature(found[name]).parameters
    return found


def _has(module: Any, name: str) -> bool:
    return isinstance(getattr(module, name, None), FIXTURE)

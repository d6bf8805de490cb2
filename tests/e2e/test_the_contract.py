"""The running shop keeps its contract: schemathesis makes requests of it, valid and not, alone and in chains, as
nobody, as a customer and as an admin, each of whom tries what they may; and finds nothing.

The limits that do not follow RateLimitPer15Minutes (password resets and their like) stay as they are: 429 is among the
documented answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local import contract
from infra.local.shop import Session, Shop
from infra.local.state import State

pytestmark = pytest.mark.spoiling

HERE = Path(__file__).parent
PHASES = "examples,coverage,fuzzing,stateful"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in json.loads(contract.OPENAPI.read_text())["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def names(roles: list[str] | None) -> list[str]:
    """The operations for exactly these roles; None for those that need no token."""
    return [operation["operationId"] for _, _, operation in operations() if operation.get("x-roles") == roles]


PUBLIC, CUSTOMERS, ADMINS = names(None), names(["admin", "customer"]), names(["admin"])
Try = Callable[..., None]


@pytest.fixture(scope="module")
def tried(shop_state: State, tmp_path_factory: pytest.TempPathFactory) -> Try:
    def run(operations: list[str], *arguments: str) -> None:
        selected = [part for name in operations for part in ("--include-operation-id", name)]
        done = subprocess.run(
            [
                *(Path(sys.executable).parent / "schemathesis", "--no-color"),
                *("--config-file", HERE / "schemathesis.toml"),
                *("run", contract.OPENAPI, "--url", shop_state.base_url, "--phases", PHASES),
                *selected,
                *arguments,
            ],
            cwd=tmp_path_factory.mktemp("schemathesis"),
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(HERE), "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-2000:]}"
        assert f"Tested: {len(operations)}" in done.stdout

    return run


@pytest.fixture
def customer(shop: Shop) -> Session:
    """With a password that the document's examples do not have: they would close the account."""
    return shop.join(f"{uuid.uuid4()}@example.com", "a teapot of seven cups", "Test Customer")


def bearer(session: Session) -> tuple[str, str]:
    return "--header", f"Authorization: Bearer {session._fresh_token()}"


def test_everything_is_tried_by_somebody() -> None:
    assert sorted(PUBLIC + CUSTOMERS + ADMINS) == sorted(operation["operationId"] for _, _, operation in operations())


def test_what_needs_no_token_keeps_its_contract(tried: Try) -> None:
    """Where another method needs a token, the gateway asks for it before anyone looks at the method: 401, not 405."""
    tried(PUBLIC, "--exclude-checks", "unsupported_method")


def test_what_is_for_customers_keeps_its_contract(tried: Try, customer: Session) -> None:
    tried(CUSTOMERS, *bearer(customer))


def test_what_is_for_admins_keeps_its_contract(tried: Try, admin: Session) -> None:
    tried(ADMINS, *bearer(admin))


def test_what_is_for_others_is_refused_at_every_operation(shop_state: State, customer: Session) -> None:
    """Without a token 401, whatever else is wrong; with a customer's 403 where an admin is asked for."""
    own = {"Authorization": f"Bearer {customer._fresh_token()}"}
    with httpx.Client(base_url=shop_state.base_url, timeout=30) as client:
        for method, path, operation in operations():
            if operation["security"]:
                assert client.request(method, path).status_code == 401, f"{method} {path}"
            if operation.get("x-roles") == ["admin"]:
                assert client.request(method, path, headers=own).status_code == 403, f"{method} {path}"

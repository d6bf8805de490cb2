"""The running shop keeps its contract: schemathesis sends valid and invalid requests, alone and in chains, without a
token, as a customer and as an admin, and finds no violation.

The limits that do not follow RateLimitPer15Minutes (such as that of password resets) stay as they are: 429 is a
documented response.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.contract import events
from infra.operator.client import Session, Shop
from infra.operator.target import State

pytestmark = pytest.mark.spoiling

HERE = Path(__file__).parent
PHASES = "examples,coverage,fuzzing,stateful"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in json.loads(events.OPENAPI.read_text())["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def names(roles: list[str] | None) -> list[str]:
    """The operations for exactly these roles. None stands for operations without a token."""
    return [operation["operationId"] for _, _, operation in operations() if operation.get("x-roles") == roles]


def document() -> dict[str, Any]:
    """The API's document with few countries in all requests but the first that names one, shipping's quotes.

    The coverage phase sends a request for each value of an enum, so each of 249 countries would be sent in 13 places.
    """
    found: dict[str, Any] = json.loads(events.OPENAPI.read_text())
    schemas = found["components"]["schemas"]
    assert len(schemas["shipping.QuoteRequest"]["properties"]["country"]["enum"]) > 200
    for request, field in (("checkout.ChangeTaxes", "rates"), ("shipping.ChangeRates", "zones")):
        array = schemas[request]["properties"][field]  # its items are in answers too, which may have any country
        array["items"] = copy.deepcopy(schemas[array["items"]["$ref"].rpartition("/")[2]])
        shorten(array)
    shorten(schemas["checkout.AddressGiven"])
    shorten(schemas["orders.ShippingAddress"])
    return found


def shorten(schema: Any) -> None:
    """Leaves of each enum of countries those with a postcode, without one, and with a region."""
    if isinstance(schema, dict):
        if "GB" in schema.get("enum", []):
            schema["enum"] = ["GB", "HK", "US"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            shorten(part)


PUBLIC, CUSTOMERS, ADMINS = names(None), names(["admin", "customer"]), names(["admin"])
Tried = Callable[[str], None]


@pytest.fixture(scope="module")
def tried(shop: Shop, admin: Session, shop_state: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    """Runs schemathesis for all three roles concurrently. Returns the findings of each."""
    # Not the password of the document's examples, which would close the account.
    customer = shop.join(f"{uuid.uuid4()}@example.com", "a teapot of seven cups", "Test Customer")
    runs = {
        # Where another method needs a token, the gateway checks the token before the method: 401, not 405.
        "nobody": (PUBLIC, ("--exclude-checks", "unsupported_method")),
        "customer": (CUSTOMERS, bearer(customer)),
        "admin": (ADMINS, bearer(admin)),
    }
    folder = tmp_path_factory.mktemp("schemathesis")
    (folder / "openapi.json").write_text(json.dumps(document()))
    processes = {name: start(folder / name, shop_state.base_url, *run) for name, run in runs.items()}

    def told(name: str) -> None:
        status = processes[name].wait(timeout=600)
        said = (folder / name / "said.txt").read_text()
        assert status == 0, said[-20_000:]
        assert f"Tested: {len(runs[name][0])}" in said

    yield told
    for process in processes.values():
        process.kill()


def start(folder: Path, base_url: str, operations: list[str], arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
    folder.mkdir()
    selected = [part for name in operations for part in ("--include-operation-id", name)]
    with (folder / "said.txt").open("wb") as said:
        return subprocess.Popen(
            [
                *(Path(sys.executable).parent / "schemathesis", "--no-color"),
                *("--config-file", HERE / "schemathesis.toml"),
                *("run", folder.parent / "openapi.json", "--url", base_url, "--phases", PHASES),
                *selected,
                *arguments,
            ],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={"PYTHONPATH": str(HERE), "PATH": "/usr/bin:/bin"},
        )


def bearer(session: Session) -> tuple[str, str]:
    return "--header", f"Authorization: Bearer {session._fresh_token()}"


def test_everything_is_tried_by_somebody() -> None:
    assert sorted(PUBLIC + CUSTOMERS + ADMINS) == sorted(operation["operationId"] for _, _, operation in operations())


@pytest.mark.parametrize("who", ["nobody", "customer", "admin"])
def test_what_they_may_do_keeps_its_contract(tried: Tried, who: str) -> None:
    tried(who)


def test_what_is_for_others_is_refused_at_every_operation(shop_state: State, customer: Session) -> None:
    """Every operation answers 401 without a token, whatever else is wrong, and 403 to a customer where it needs an
    admin.
    """
    own = {"Authorization": f"Bearer {customer._fresh_token()}"}
    with httpx.Client(base_url=shop_state.base_url, timeout=30) as client:
        for method, path, operation in operations():
            if operation["security"]:
                assert client.request(method, path).status_code == 401, f"{method} {path}"
            if operation.get("x-roles") == ["admin"]:
                assert client.request(method, path, headers=own).status_code == 403, f"{method} {path}"

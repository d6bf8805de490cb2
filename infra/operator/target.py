"""The facts of the running shop: `mercato up` writes them, the operator's commands read them."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.config import Config

from infra.paths import HOME


def path() -> Path:
    """Where the facts are: .mercato/state.json, or the file that MERCATO_STATE names."""
    return Path(os.environ.get("MERCATO_STATE") or HOME / "state.json")


_CONFIG = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=32
)


class NoShop(click.ClickException):
    """There is no shop to work on. The command ends with status 2."""

    exit_code = 2


@dataclass(frozen=True)
class Account:
    email: str
    password: str


@dataclass(frozen=True)
class State:
    """`tables` maps the service's word (orders, payments, …) to the table's name; `outputs` are the stack's.
    `functions_endpoint` is where the functions find AWS: the cloud, or a proxy of faults in front of it.
    `stripe_api` is where they find Stripe; empty where the sandbox moves the money.
    """

    base_url: str
    endpoint: str
    functions_endpoint: str
    region: str
    stack: str
    outputs: Mapping[str, str]
    tables: Mapping[str, str]
    queues_prefix: str
    admin: Account
    customer: Account
    stripe_api: str = ""


def require_sandbox(state: State, what: str) -> None:
    if state.stripe_api:
        raise click.ClickException(
            f"{what} pays with the sandbox's cards, and the running shop takes Stripe's: start one without --payments"
        )


def load(file: Path | None = None) -> State:
    file = file or path()
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoShop("no shop is running: start one with make up") from None
    try:
        found: dict[str, Any] = json.loads(text)
        found |= {name: Account(**found[name]) for name in ("admin", "customer")}
        return State(**found)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoShop(f"{file} cannot be read ({error}): start the shop anew with make up") from None


def save(state: State, file: Path | None = None) -> None:
    """Whole or not at all, and for this user's eyes only: it holds passwords."""
    file = file or path()
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}.tmp")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    draft.replace(file)


@functools.cache
def _client(service: str, endpoint: str, region: str) -> Any:
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=_CONFIG,
    )


def client(state: State, service: str) -> Any:
    """An AWS client of the local cloud's operator."""
    return _client(service, state.endpoint, state.region)

"""The shop of the operator's commands: a stack on AWS, or the shop that `mercato up` has recorded in a file."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import boto3
import click
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.operator.refusals import explain
from infra.paths import HOME


def path() -> Path:
    """Returns the path of the local shop's file: .mercato/state.json, or the file that MERCATO_STATE names."""
    return Path(os.environ.get("MERCATO_STATE") or HOME / "state.json")


_CONFIG = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=32
)


class NoShop(click.ClickException):
    """The command's shop does not exist or does not answer. The command exits with 2."""

    exit_code = 2


@dataclass(frozen=True)
class Account:
    email: str
    password: str


@dataclass(frozen=True)
class Target:
    """A deployed shop.

    `base_url` is the API's URL without /api, and `outputs` are the root stack's outputs. `tables` maps service names
    (orders, payments, …) to table names. `endpoint` is the local cloud's URL, and empty for AWS.
    """

    base_url: str
    endpoint: str
    region: str
    stack: str
    outputs: Mapping[str, str]
    tables: Mapping[str, str]


@dataclass(frozen=True)
class State(Target):
    """The shop of `mercato up`.

    `functions_endpoint` is the functions' AWS endpoint: the cloud, or a fault proxy in front of it. `stripe_api` is the
    URL of the functions' Stripe API, and empty with the sandbox provider. `mesh_ingress` is the address of the mesh's
    ingress, and empty without the mesh. `carrier` is the template's Carrier, and `easypost_api` the URL of EasyPost's
    stand-in. `parameters` are those of the template that the shop was opened with, such as its currency.
    """

    functions_endpoint: str
    queues_prefix: str
    admin: Account
    customer: Account
    stripe_api: str = ""
    mesh_ingress: str = ""
    carrier: str = "sandbox"
    easypost_api: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Choice:
    """The stack that `mercato --stack` names, in the caller's AWS account.

    An empty `stack` is the shop of `mercato up`. `url` replaces the stack's URL if another domain is in front of it.
    """

    stack: str = ""
    region: str | None = None
    url: str = ""


choice = Choice()


def require_sandbox(state: State, what: str) -> None:
    if state.stripe_api:
        raise click.ClickException(
            f"{what} pays with the sandbox's cards, and the running shop takes Stripe's: start one without --payments"
        )
    if state.carrier != "sandbox":
        raise click.ClickException(
            f"{what} waits for the sandbox's parcels, and the running shop has {state.carrier}'s: "
            "start one without --carrier"
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
        raise NoShop(f"{file} cannot be read ({error}): start the shop again with make up") from None


def chosen() -> Target:
    """Returns the shop that the command works on. Raises NoShop."""
    return _deployed(choice) if choice.stack else load()


def _deployed(named: Choice) -> Target:
    try:
        session = boto3.session.Session(region_name=named.region)
        make: Any = session.client
        stacks = make("cloudformation", config=_CONFIG).describe_stacks(StackName=named.stack)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise NoShop(f"the stack {named.stack} cannot be read: {explain(error)}") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}
    if "ApiUrl" not in outputs:
        raise NoShop(
            f"{named.stack} is {stacks[0]['StackStatus']} and has no output ApiUrl: its first deploy has not ended "
            f"well, or it is not the shop's root stack. Ask mercato --stack {named.stack} doctor"
        )
    url = named.url or outputs["ApiUrl"]
    return Target(
        base_url=url.rstrip("/").removesuffix("/api"),
        endpoint="",
        region=session.region_name,
        stack=stacks[0]["StackName"],  # CloudFormation also takes its ARN, which names no function and no log group
        outputs=outputs,
        tables=tables_of(outputs),
    )


def tables_of(outputs: Mapping[str, str]) -> dict[str, str]:
    """Returns the table names by service: orders, payments, …"""
    return {name.removesuffix("Table").lower(): value for name, value in outputs.items() if name.endswith("Table")}


def is_of(stack: str, function: Mapping[str, Any]) -> bool:
    """Tells whether a function belongs to this stack, and not to one whose name only begins with this stack's name.

    `function` is Lambda's description.
    """
    variables = function.get("Environment", {}).get("Variables", {})
    return bool(variables.get("METRICS_NAMESPACE") == f"Mercato/{stack}")


def save(state: State, file: Path | None = None) -> None:
    """Writes the file atomically. Only this user may read it, because it contains passwords."""
    file = file or path()
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}.tmp")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(asdict(state), indent=2) + "\n", encoding="utf-8")
    draft.replace(file)


@functools.cache
def _client(service: str, endpoint: str, region: str) -> Any:
    make: Any = boto3.client
    local = {"endpoint_url": endpoint, "aws_access_key_id": "test", "aws_secret_access_key": "test"} if endpoint else {}
    # Cloud Map's data plane has a host of its own, `data-…`, and the local cloud one host for all.
    config = _CONFIG.merge(Config(inject_host_prefix=False)) if endpoint else _CONFIG
    return make(service, region_name=region, config=config, **local)


def client(shop: Target, service: str) -> Any:
    """Returns an AWS client with the caller's credentials or those of the local cloud."""
    return _client(service, shop.endpoint, shop.region)

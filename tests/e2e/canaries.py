"""Canaries: secrets and personal data that must be in no log, planted by the tests or collected from their requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.local.up import LocalShop
from infra.operator.client import Session, Shop
from infra.operator.target import State, client
from tests.e2e.client import HTTP

_LINK = re.compile(r"#token=(\S+)")


@dataclass
class Canaries:
    """The texts that must not be found in a log, each with a description."""

    texts: dict[str, str] = field(default_factory=dict)

    def plant(self, what: str, text: str) -> str:
        if len(text) >= 8:  # a shorter text is found by chance
            self.texts[text] = what
        return text

    def take_tokens(self, tokens: dict[str, Any]) -> None:
        """Adds an access token's signature, without which the token is worthless, and a refresh token's secret half."""
        self.plant("access token", str(tokens["access_token"]).rpartition(".")[2])
        self.plant("refresh token", str(tokens["refresh_token"]).rpartition(".")[2])

    def found_in(self, log: str) -> set[str]:
        return {what for text, what in self.texts.items() if text in log}


@contextmanager
def collected(canaries: Canaries) -> Iterator[None]:
    """Collects every password and token of every session within the block."""
    take, log_in, register = Session._take, Shop.login, Shop.register

    def taken(session: Session, tokens: dict[str, Any]) -> None:
        canaries.take_tokens(tokens)
        take(session, tokens)

    def logged_in(shop: Shop, email: str, password: str) -> Session:
        canaries.plant("password", password)
        return log_in(shop, email, password)

    def registered(shop: Shop, email: str, password: str, name: str) -> None:
        canaries.plant("password", password)
        register(shop, email, password, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "_take", taken)
        patch.setattr(Shop, "login", logged_in)
        patch.setattr(Shop, "register", registered)
        yield


def secrets_of(shop_state: State) -> Iterator[tuple[str, str]]:
    """Every private key and every other secret of the shop."""
    manager = client(shop_state, "secretsmanager")
    for secret in manager.list_secrets()["SecretList"]:
        text = manager.get_secret_value(SecretId=secret["ARN"])["SecretString"]
        if "SigningKeys" not in secret["Name"]:
            yield secret["Name"], text
            continue
        keys = json.loads(text)
        for place in ("next", "current", "previous"):
            if keys[place]:
                yield f"private key, {place}", keys[place]["d"]


def mailed_tokens(shop_state: State) -> list[str]:
    """The secret half of each token that was mailed as a link in this run."""
    found = HTTP.get(f"{shop_state.endpoint}/_ministack/ses/messages", timeout=60).json()["messages"]
    bodies = [mail["BodyText"] for mails in found.values() for mail in mails]
    return [match[1].rpartition(".")[2] for body in bodies for match in _LINK.finditer(body)]


def plant_secrets_of_the_shop(canaries: Canaries, shop_state: State) -> None:
    """Plants the shop's own secrets, and the tokens of all mails that were sent."""
    for what, text in secrets_of(shop_state):
        canaries.plant(what, text)
    for token in mailed_tokens(shop_state):
        canaries.plant("mailed token", token)


def logs_of(running: LocalShop, shop_state: State, front_log: list[str]) -> dict[str, str]:
    """The content of all logs of the running shop by the log's name."""
    return dict(_log_groups(shop_state)) | {
        "the cloud": running.cloud.child.log.read_text(),
        "the reverse proxy": "\n".join(front_log),
    }


def _log_groups(shop_state: State) -> Iterator[tuple[str, str]]:
    logs = client(shop_state, "logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            name = group["logGroupName"]
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=name)
            yield name, "\n".join(event["message"] for found in pages for event in found["events"])

"""The signing keys are rotated under load, and every request succeeds.

The rotation starts early, because the signer caches its key for a minute. Other tests run meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from infra.operator.client import poll
from infra.operator.target import State, client
from mercato.clock import rfc3339, utc_now

MERCATO = str(Path(sys.executable).parent / "mercato")
PASSWORD = "correct horse battery"
SHOPPERS = 4
WITHIN = 120  # the signer caches its key for one minute


def key_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


@dataclass
class Shopper:
    """Logs in, refreshes and reads in a loop, and records every unexpected response. Ends by itself a few rounds after
    the key `then` signs.
    """

    base_url: str
    email: str
    early_token: str = ""
    keys: set[str] = field(default_factory=set)
    asked: int = 0
    asked_since: int = 0
    refused: list[str] = field(default_factory=list)

    def shop(self, then: str, closed: threading.Event) -> None:
        with httpx.Client(base_url=f"{self.base_url}/api", timeout=60) as api:
            while self.asked_since <= 25 and not closed.wait(0.5):  # a person's pace
                tokens = self._ask(api, "POST", "/users/login", {"email": self.email, "password": PASSWORD})
                self._look(api, tokens)
                self._look(api, self._ask(api, "POST", "/users/token/refresh", held(tokens)))
                self._ask(api, "GET", "/users/me", token=self.early_token)
                self.asked_since += 5 if then in self.keys else 0

    def _look(self, api: httpx.Client, tokens: dict[str, Any]) -> None:
        token = str(tokens.get("access_token", ""))
        if token:
            self.keys.add(key_of(token))
        self._ask(api, "GET", "/users/me", token=token)

    def _ask(self, api: httpx.Client, method: str, path: str, body: Any = None, *, token: str = "") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for _ in range(20):
            answer = api.request(method, path, json=body, headers=headers)
            # The local cloud has few sandboxes, and answers with an error of its own when all are busy.
            if answer.status_code != 429 or "rate-limited" in answer.text:
                break
        self.asked += 1
        if answer.status_code != 200:
            self.refused.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            return {}
        found: dict[str, Any] = answer.json()
        return found


def held(tokens: dict[str, Any]) -> dict[str, Any]:
    return {"refresh_token": tokens.get("refresh_token", "")}


def published(shop_state: State) -> list[str]:
    """The public keys that the authorizer reads."""
    value = client(shop_state, "ssm").get_parameter(Name=f"/{shop_state.stack}/jwks")["Parameter"]["Value"]
    return [key["kid"] for key in json.loads(value)["keys"]]


def secret_name(shop_state: State) -> str:
    found = client(shop_state, "secretsmanager").list_secrets()["SecretList"]
    return next(str(one["Name"]) for one in found if "SigningKeys" in one["Name"])


def stored_keys(shop_state: State) -> dict[str, Any]:
    text = client(shop_state, "secretsmanager").get_secret_value(SecretId=secret_name(shop_state))["SecretString"]
    keys: dict[str, Any] = json.loads(text)
    return keys


def make_keys_old_enough(shop_state: State) -> None:
    """Sets the keys' age to two hours, since keys are rotated at most once an hour."""
    keys = stored_keys(shop_state) | {"rotated_at": rfc3339(utc_now() - timedelta(hours=2))}
    secrets = client(shop_state, "secretsmanager")
    secrets.put_secret_value(SecretId=secret_name(shop_state), SecretString=json.dumps(keys))


def rotate() -> str:
    done = subprocess.run(
        [MERCATO, "users", "rotate-keys"], env=dict(os.environ), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Rotation:
    """A rotation from the key `now` to the key `then`, and those who shop meanwhile."""

    now: str
    then: str
    shoppers: list[Shopper]
    threads: list[threading.Thread]


@pytest.fixture(scope="session")
def rotation(shop_state: State) -> Iterator[Rotation]:
    shoppers = []
    with httpx.Client(base_url=f"{shop_state.base_url}/api", timeout=60) as api:
        for _ in range(SHOPPERS):
            email = f"{uuid.uuid4()}@example.com"
            api.post("/users", json={"email": email, "password": PASSWORD, "name": "Busy Shopper"})
            tokens = api.post("/users/login", json={"email": email, "password": PASSWORD}).json()
            shoppers.append(Shopper(shop_state.base_url, email, tokens["access_token"]))
    make_keys_old_enough(shop_state)
    before = stored_keys(shop_state)
    then = before["next"]["kid"]
    closed = threading.Event()
    threads = [threading.Thread(target=one.shop, args=[then, closed]) for one in shoppers]
    for thread in threads:
        thread.start()
    yield Rotation(before["current"]["kid"], then, shoppers, threads)
    closed.set()
    for thread in threads:
        thread.join(90)


@pytest.mark.first
def test_a_rotation_signs_with_the_next_key(rotation: Rotation) -> None:
    """Starts what the next test checks."""
    poll(
        lambda: sum(one.asked for one in rotation.shoppers),
        lambda asked: asked > 40,
        what="the shop is busy",
        within=60,
    )

    assert "the next key signs now" in rotate()


def test_nobody_is_refused_while_the_keys_rotate(shop_state: State, rotation: Rotation) -> None:
    for thread in rotation.threads:
        thread.join(WITHIN)
    assert not any(thread.is_alive() for thread in rotation.threads), "no token is signed by the new key"
    now, then, shoppers = rotation.now, rotation.then, rotation.shoppers

    assert [refusal for one in shoppers for refusal in one.refused] == []
    assert sum(one.asked_since for one in shoppers) > 100
    assert set().union(*(one.keys for one in shoppers)) == {now, then}
    assert {key_of(one.early_token) for one in shoppers} == {now}
    after = stored_keys(shop_state)
    assert (after["previous"]["kid"], after["current"]["kid"]) == (now, then)
    assert published(shop_state) == [after["next"]["kid"], then, now]


def test_a_second_rotation_within_the_hour_changes_nothing(shop_state: State) -> None:
    """It would invalidate the tokens that the key before the previous one has signed."""
    before = stored_keys(shop_state)

    assert "unchanged" in rotate()

    assert stored_keys(shop_state) == before

"""The users service in an empty AWS account: its table, its keys, a clock that the test sets, and both of its APIs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from mercato import aws
from mercato.store.attributes import Item
from mercato.store.dynamo import Table
from tests.kit import aws_events
from users import api, consumers, wiring
from users.signing_keys import rotator

PASSWORD = "correct horse battery"
ADA = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada Lovelace"}


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]


class FakeMailer:
    """Raises `failures` one by one before it sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []
        self.failures: list[Exception] = []

    def send(self, to: str, subject: str, body: str) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append((to, subject, body))

    def token(self) -> str:
        """The token of the newest mail's link."""
        return self.sent[-1][2].partition("#token=")[2].split()[0]


class Service:
    """Calls the real handlers."""

    def __init__(self, table: Table, now: datetime) -> None:
        self.table = table
        self.now = now
        self.source = "203.0.113.9"
        self.mailer = FakeMailer()
        self._delivered: set[str] = set()

    def wait(self, **duration: float) -> None:
        self.now += timedelta(**duration)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user_id: str = "",
        role: str = "customer",
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> Answer:
        """Calls through API Gateway, with the authorizer's `user_id` and `role`, or as the public."""
        event = aws_events.rest_request(
            method, path, body, user=user_id, role=role, headers=headers, query=query, source=self.source
        )
        return _answer(api.handler(event, None))

    def call_as_peer(self, method: str, path: str, body: Any = None) -> Answer:
        """Calls through the function URL, as another service's signature identifies it."""
        return _answer(api.handler(aws_events.url_request(method, path, body), None))

    def register(self, **changes: str) -> Answer:
        return self.call("POST", "/api/users", ADA | changes)

    def join(self, **changes: str) -> str:
        """Registers a user. Returns the new account's id, which no response has."""
        assert self.register(**changes).status == 202
        [login] = self.items(f"EMAIL#{(ADA | changes)['email']}")
        return str(login["user_id"])

    def log_in(self, email: str = ADA["email"], password: str = PASSWORD) -> Answer:
        return self.call("POST", "/api/users/login", {"email": email, "password": password})

    def refresh(self, token: str) -> Answer:
        return self.call("POST", "/api/users/token/refresh", {"refresh_token": token})

    def log_out(self, token: str) -> Answer:
        return self.call("POST", "/api/users/logout", {"refresh_token": token})

    def events(self, event_type: str) -> list[dict[str, Any]]:
        envelopes = [json.loads(item["event"]) for item in self.items("OUTBOX#")]
        return [found for found in envelopes if found["type"] == event_type]

    def deliver(self, *, again: bool = False, context: Any = None) -> list[str]:
        """Delivers the outbox's events, the new ones or all `again`, to the service's own consumer in an invocation
        with that context. Returns the failed ids.
        """
        envelopes = [json.loads(item["event"]) for item in self.items("OUTBOX#")]
        mine = [found for found in envelopes if consumers.consumer.subscription_to(found["type"])]
        found = [one for one in mine if again or one["id"] not in self._delivered]
        records = [aws_events.bus_record(one, "shop-users", message_id=one["id"]) for one in found]
        answer = consumers.handler(aws_events.records(*records), context)
        failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
        self._delivered |= {one["id"] for one in found} - set(failed)
        return failed

    def items(self, prefix: str) -> list[Item]:
        """All items whose key begins like this. A test may scan."""
        found = aws.client("dynamodb").scan(TableName=self.table.name)["Items"]
        rotator = [(item["pk"]["S"], item["sk"]["S"]) for item in found if item["pk"]["S"].startswith(prefix)]
        return self.table.get_many(rotator)


def _answer(result: dict[str, Any]) -> Answer:
    body = json.loads(result["body"]) if result["body"] else None
    return Answer(result["statusCode"], body, result["headers"])


@pytest.fixture
def settings(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings that the template gives. The secret has no value yet, and the parameter does not exist."""
    aws.client("secretsmanager").create_secret(Name="keys")
    for name, value in {
        "TABLE_NAME": "UsersTable",
        "KEYS_SECRET_ID": "keys",
        "JWKS_PARAMETER": "jwks",
        "ISSUER": "https://mercato.example",
        "AUDIENCE": "mercato-api",
        "VERIFIED_ADDRESSES_ONLY": "false",
        "FROM_ADDRESS": "shop@example.com",
        "MAIL_CONFIGURATION_SET": "mercato-mails",
        "SHOP_URL": "https://shop.example/",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def service_without_keys(
    settings: None, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, noon: datetime
) -> Service:
    service = Service(make_table("UsersTable"), noon)
    monkeypatch.setattr(api, "utc_now", lambda: service.now)
    monkeypatch.setattr(rotator, "utc_now", lambda: service.now)
    monkeypatch.setattr(consumers, "utc_now", lambda: service.now)
    monkeypatch.setattr(wiring.Ports, "mailer", service.mailer)
    return service


@pytest.fixture
def service(service_without_keys: Service) -> Service:
    """With signing keys, as after the first deploy."""
    assert rotator.handler({"if_missing": True}, None) == {"outcome": "created"}
    return service_without_keys

"""localstripe behind a proxy that adds Stripe's idempotency keys, which localstripe lacks, and faults."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
import urllib3

from infra.local import http_server
from infra.local.child import Child
from infra.local.processes import free_port

KEY = "sk_test_of_this_shop"


class Trouble(StrEnum):
    LOST = "done, and the answer is lost"
    BROKEN = "done, and answered 500, also to the same key later"
    AWAY = "not done, and no answer"
    BUSY = "not done: 429"
    REFUSED = "not done: 400, and so to the same key later"
    IN_USE = "not done: 409, another call with this key is under way"


@dataclass
class Wire:
    """`calls` has each request as (method, path, key). `fail` makes the next POST to a path fail. `disputes` are those
    that Stripe lists, as its API's reference shows them; localstripe has none. `parts` has what was captured of intents
    that were not captured whole, of which localstripe does not tell the amount. Without `knows_intents` refunds and
    disputes of an intent are refused, as with the key of another account.
    """

    upstream: str
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    answered: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)
    troubles: list[tuple[str, Trouble]] = field(default_factory=list)
    disputes: list[dict[str, Any]] = field(default_factory=list)
    parts: dict[str, int] = field(default_factory=dict)
    url: str = ""
    deaf: bool = False
    knows_intents: bool = True
    lock: Lock = field(default_factory=Lock)
    pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)

    def fail(self, path_ends: str, *troubles: Trouble) -> None:
        self.troubles += [(path_ends, trouble) for trouble in troubles]

    def reset(self) -> None:
        self.pool.request("DELETE", self.upstream + "/_config/data")
        self.calls.clear()
        self.answered.clear()
        self.troubles.clear()
        self.disputes.clear()
        self.parts.clear()
        self.deaf = False
        self.knows_intents = True

    def count(self, path_ends: str) -> int:
        return sum(method == "POST" and path.endswith(path_ends) for method, path, _ in self.calls)

    def get(self, path: str) -> Any:
        """Reads from localstripe directly."""
        answer = self.pool.request("GET", self.upstream + path, headers={"Authorization": f"Bearer {KEY}"})
        return answer.json()

    def post(self, path: str, **fields: str) -> Any:
        headers = {"Authorization": f"Bearer {KEY}"}
        answer = self.pool.request("POST", self.upstream + path, headers=headers, fields=fields, encode_multipart=False)
        return answer.json()

    def capture_part(self, charge_id: str, amount: int) -> None:
        """As an operator does at Stripe: what is left of the held money is released, as a refund of Stripe's own."""
        self.post(f"/v1/payment_intents/{charge_id}/capture", amount_to_capture=str(amount))
        self.parts[charge_id] = amount

    def take(self, path: str) -> Trouble | None:
        for number, (ends, trouble) in enumerate(self.troubles):
            if path.partition("?")[0].endswith(ends):
                del self.troubles[number]
                return trouble
        return None

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes] | None:
        """One at a time, as Stripe does per key. None closes the connection."""
        key = headers.get("idempotency-key", "")
        with self.lock:
            self.calls.append((method, path, key))
            trouble = self.take(path) if method == "POST" else None
            if self.deaf or trouble is Trouble.AWAY:
                return None
            if trouble is Trouble.BUSY:
                return 429, _error("rate_limit", "Too many requests.")
            if trouble is Trouble.IN_USE:
                return 409, _error("idempotency_key_in_use", "Another request with this key is in progress.")
            if not self.knows_intents and path.startswith(("/v1/refunds", "/v1/disputes")):
                return 400, _error("resource_missing", "No such payment_intent.")
            if (method, path.partition("?")[0]) == ("GET", "/v1/disputes"):
                if "payment_intent=" in path:
                    found = [one for one in self.disputes if f"payment_intent={one['payment_intent']}" in path]
                else:  # of the whole account, and asked for with their intents
                    found = [one | {"payment_intent": self._intent(one["payment_intent"])} for one in self.disputes]
                return 200, json.dumps({"object": "list", "data": found, "has_more": False, "url": path}).encode()
            question = f"{method} {path} {body.decode()}"
            if key in self.answered:
                before, status, said = self.answered[key]
                same = before == question
                return (status, said) if same else (400, _error("", "Keys are for one request.", "idempotency_error"))
            if trouble is Trouble.REFUSED:
                said = _error("balance_insufficient", "Insufficient funds in your Stripe balance.")
                self.answered[key] = (question, 400, said)
                return 400, said
            forwarded = {name: value for name, value in headers.items() if name in ("authorization", "content-type")}
            upstream = self.pool.request(method, self.upstream + path, headers=forwarded, body=body or None)
            status, said = upstream.status, upstream.data
            if status == 200 and path.startswith("/v1/payment_intents/"):
                said = self._with_captured(said)
            if trouble is Trouble.BROKEN:
                status, said = 500, _error("", "Something broke.", "api_error")
            if key and status in (200, 402, 500):  # Stripe remembers the result once an endpoint has begun
                self.answered[key] = (question, status, said)
            return None if trouble is Trouble.LOST else (status, said)

    def _with_captured(self, said: bytes) -> bytes:
        """The intent with Stripe's fields for what was captured of it, which localstripe lacks."""
        intent = json.loads(said)
        charge = intent.get("latest_charge")
        if isinstance(charge, dict):
            taken = self.parts.get(intent["id"], intent["amount"]) if charge["captured"] else 0
            intent["amount_received"] = charge["amount_captured"] = taken
        return json.dumps(intent).encode()

    def _intent(self, charge_id: str | None) -> Any:
        return self.get(f"/v1/payment_intents/{charge_id}") if charge_id else None


def _error(code: str, message: str, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"type": kind, "code": code, "message": message}}).encode()


@contextmanager
def running(folder: Path) -> Iterator[Wire]:
    """localstripe as a separate process, and the proxy in front of it."""
    port = free_port()
    url = f"http://localhost:{port}"
    stripe = Child("localstripe", "localstripe", folder / "localstripe.pid", folder / "localstripe.log")
    try:
        arguments = ("--from-scratch", "--port", str(port))
        stripe.start(*arguments, env=os.environ, answers=lambda: httpx.get(url, timeout=2).status_code > 0)
        with in_front_of(url) as wire:
            yield wire
    finally:
        stripe.stop()


@contextmanager
def in_front_of(upstream: str) -> Iterator[Wire]:
    """The proxy alone, in front of a localstripe that runs now or later."""
    wire = Wire(upstream)

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> http_server.Answer | None:
        answered = wire.answer(method, path, headers, body)
        return (answered[0], {"Content-Type": "application/json"}, answered[1]) if answered else None

    with http_server.serving(answer) as wire.url:
        yield wire

"""Payments in an empty account, with the sandbox or with Stripe, and injected faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from mercato.breaker import shared
from mercato.errors import TransientError
from mercato.store.dynamo import Table, Write
from payments import wiring
from payments.providers.sandbox import Sandbox
from tests.integration.payments.localstripe import KEY, Wire, running
from tests.integration.payments.stripe_till import StripeTill
from tests.integration.payments.till import Till


@dataclass
class Faults:
    """A fault at the n-th write of any kind: the process ends before or after it, or another act runs before it."""

    die_at: int = -1
    after_effect: bool = False
    meanwhile: Callable[[], object] | None = None
    count: int = 0

    def arm(self, at: int, *, after_effect: bool = False, meanwhile: Callable[[], object] | None = None) -> None:
        self.die_at, self.after_effect, self.meanwhile, self.count = at, after_effect, meanwhile, 0


@pytest.fixture
def till(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    table = make_table("PaymentsTable")
    monkeypatch.setenv("TABLE_NAME", table.name)
    monkeypatch.setenv("CIRCUITS_TABLE", make_table("CircuitsTable").name)
    shared.reset()
    yield Till(table, Sandbox(table))
    shared.reset()


service = till  # the name by which the tests of all services know it


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    found = Faults()

    def faulty(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(self: Table, writes: Write | list[Write], **options: Any) -> Any:
            found.count += 1
            dies = found.count - 1 == found.die_at
            if dies and found.meanwhile:
                act, found.meanwhile, dies = found.meanwhile, None, False
                act()
            if dies and not found.after_effect:
                raise TransientError("died before the effect")
            answer = real(self, writes, **options)
            if dies:
                raise TransientError("died after the effect")
            return answer

        return write

    monkeypatch.setattr(Table, "transact", faulty(Table.transact))
    monkeypatch.setattr(Table, "write", faulty(Table.write))
    return found


@pytest.fixture(scope="session")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with running(tmp_path_factory.mktemp("localstripe")) as wire:
        yield wire


@pytest.fixture
def wire(localstripe: Wire) -> Iterator[Wire]:
    localstripe.reset()
    yield localstripe
    assert localstripe.troubles == []


@pytest.fixture
def stripe_till(till: Till, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> StripeTill:
    secret = boto3.client("secretsmanager", "us-east-1").create_secret(Name="stripe-key", SecretString=KEY)
    monkeypatch.setenv("PAYMENT_PROVIDER", "stripe")
    monkeypatch.setenv("STRIPE_KEY_ID", secret["ARN"])
    monkeypatch.setenv("STRIPE_API", wire.url)
    wiring.ports.cache_clear()
    made = StripeTill(till.table, till.provider)
    made.wire = wire
    return made

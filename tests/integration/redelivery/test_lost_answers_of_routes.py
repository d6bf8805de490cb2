"""Every writing route: whichever write's response is lost, the route's response is unchanged and each write is done
once.
"""

from __future__ import annotations

import copy
import random
from datetime import datetime
from typing import Any

import pytest
from botocore.retries.standard import ExponentialBackoff
from moto.backends import get_backend

from mercato import clock
from tests.conftest import NOON
from tests.integration.redelivery.lossy import Wire
from tests.kit import cases
from tests.kit.asked import send, stored
from tests.kit.cases import Accepted
from tests.kit.routes import all_routes

WRITING = {one.name: one for one in all_routes() if one.route.method != "GET"}
ACCEPTED = cases.accepted()
# The limiter counts a repeated request twice, which may refuse a request too early and never lets one too many pass.
_APART = ("RateLimitsTable",)


def test_every_writing_route_has_a_request_that_is_granted() -> None:
    tried = {one.route for one in ACCEPTED}
    missing = [cases.to_add(name, "ACCEPTED", one.service) for name, one in WRITING.items() if name not in tried]
    assert not missing, "\n".join(missing)
    assert tried == set(WRITING)


@pytest.fixture
def lossy(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    return Wire()


@pytest.fixture
def chance(monkeypatch: pytest.MonkeyPatch) -> random.Random:
    """The source of all random values. Seeded again, it gives the same values again. The time stands still."""
    source = random.Random(7)
    monkeypatch.setattr("os.urandom", source.randbytes)
    monkeypatch.setattr("random._urandom", source.randbytes)
    for module in ("auth", "signers"):
        monkeypatch.setattr(f"botocore.{module}.get_current_datetime", lambda **_: NOON.replace(tzinfo=None))
    monkeypatch.setattr(clock, "datetime", type("Noon", (datetime,), {"now": staticmethod(lambda _: NOON)}))
    return source


def kind_of(value: Any) -> Any:
    """The names of the members, without their values."""
    if isinstance(value, dict):
        return {name: kind_of(member) for name, member in value.items()}
    return [kind_of(member) for member in value] if isinstance(value, list) else type(value)


class Cloud:
    """moto's state, which can be saved and restored."""

    def __init__(self) -> None:
        self._tables = get_backend("dynamodb")["123456789012"]["us-east-1"].tables
        self._queues = get_backend("sqs")["123456789012"]["us-east-1"].queues
        self._kept = self._copy()

    def _copy(self) -> Any:
        items = {name: table.items for name, table in self._tables.items()}
        messages = {name: (queue._messages, queue._pending_messages) for name, queue in self._queues.items()}
        return copy.deepcopy((items, messages))

    def restore(self) -> None:
        items, messages = copy.deepcopy(self._kept)
        for name, table in self._tables.items():
            table.items = items[name]
        for name, queue in self._queues.items():
            queue._messages, queue._pending_messages = messages[name]


@pytest.mark.parametrize("accepted", ACCEPTED, ids=str)
def test_a_write_whose_answer_is_lost_is_done_once_and_the_route_answers_as_ever(
    accepted: Accepted, request: pytest.FixtureRequest, lossy: Wire, chance: random.Random
) -> None:
    served = WRITING[accepted.route]
    service = request.getfixturevalue(accepted.fixture or served.service)
    asked, cloud = accepted.given(service), Cloud()

    def outcome(lost: int) -> tuple[Any, list[str]]:
        cloud.restore()
        if served.service == "ops":
            service.machine.sent.clear()
        chance.seed(7)
        lossy.lose(lost)
        status, body = send(served.service, served.route.method, asked)
        return (status, kind_of(body)), stored(_APART)

    outcome(-1)  # so that the values that a sandbox caches are read
    expected = outcome(-1)
    writes = list(lossy.arrived)
    assert expected[0][0] < 300, expected
    for number, operation in enumerate(writes):
        answer, items = outcome(number)
        assert lossy.has_lost, f"the answer to {operation} was not lost"
        assert answer == expected[0], f"write {number}: {writes}"
        assert items == expected[1], f"write {number}: {writes}"

"""Many payments and refunds at once, with crashes: the documents are numbered 1 to n, and their sum is the money's.

Threads deliver events to the real consumer, as concurrent invocations do. A transaction takes its time and is cancelled
by one that overlaps with it, as in DynamoDB. A worker may end before a transaction, or after it and before its answer;
its message is delivered again. A part of all messages is delivered twice.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from documents import consumers, usecases, wiring
from documents.domain import DEFAULT_NUMBERING, Counting, DocumentKind, Numbering, series_of
from documents.orders import Orders
from documents.store import DocumentStore
from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.events import dead_letters
from mercato.store.dynamo import Write
from tests.chaos.cases import Record
from tests.chaos.faults import Died
from tests.chaos.tables import Contention, Watch, WatchedTable
from tests.integration.documents.conftest import TOTAL, Peer, ordered, pounds
from tests.kit import aws_events
from tests.kit.given import published
from tests.kit.template import create_table

TRANSACTION = 0.004  # seconds that a transaction takes


@pytest.fixture(autouse=True)
def restless_threads() -> Iterator[None]:
    """Makes Python switch threads often, so that they interleave within each other's steps."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


class Deadly(WatchedTable):
    """A table in whose transactions a part of the workers dies, before or after the effect."""

    def __init__(self, watch: Watch, dice: random.Random, deadliness: float) -> None:
        super().__init__("DocumentsTable", watch)
        self._dice, self._deadliness = dice, deadliness
        self.deaths = 0

    def transact(self, writes: list[Write], *, token: str | None = None, patience: float = 0.0) -> None:
        fate = self._dice.random()
        if fate < self._deadliness / 2:
            self.deaths += 1
            raise Died
        super().transact(writes, token=token, patience=patience)
        if fate > 1 - self._deadliness / 2:
            self.deaths += 1
            raise Died


@dataclass
class Queue:
    """Delivers each message until it is accepted. `refund` has the refunded amount by order."""

    orders: int
    dice: random.Random
    paid: int = 0
    refunded: int = 0
    deliveries: int = 0
    seconds: list[float] = field(default_factory=list)

    def messages(self) -> list[dict[str, Any]]:
        found = []
        for number in range(self.orders):
            about = {"payment_id": f"pay-{number}", "order_id": f"o-{number}", "customer_id": "cust-1"}
            self.paid += TOTAL
            found.append(self._message("payment.completed", about | {"amount": pounds(TOTAL)}))
            left = TOTAL
            for refund in range(self.dice.choice([0, 0, 0, 1, 2])):
                amount = self.dice.choice([left, self.dice.randint(1, left)])
                left -= amount
                self.refunded += amount
                told = {"refund_id": f"ref-{refund}", "reason": "damaged", "amount": pounds(amount)}
                found.append(self._message("payment.refunded", about | told))
                if not left:
                    break
        found += self.dice.sample(found, len(found) // 5)
        self.dice.shuffle(found)
        return found

    def _message(self, event_type: str, data: dict[str, Any]) -> dict[str, Any]:
        event_id = f"{event_type}-{data['order_id']}-{data.get('refund_id', '')}"
        event = published(event_type, data["payment_id"], data, id=event_id, sequence="1")
        return aws_events.bus_record(event, "shop-documents", message_id=event_id)

    def deliver(self, record: dict[str, Any]) -> None:
        waiting = deque([record])
        while waiting:
            self.deliveries += 1
            began = time.perf_counter()
            try:
                failed = consumers.handler(aws_events.records(waiting[0]), None)["batchItemFailures"]
            except Died:
                continue
            if not failed:
                waiting.popleft()
                self.seconds.append(time.perf_counter() - began)


NUMBERINGS = (
    Numbering(invoice_prefix="RE", credit_note_prefix="GU", counting=Counting.CONTINUOUS),
    Numbering(invoice_prefix="RE", credit_note_prefix="GU", counting=Counting.YEARLY),
    Numbering(invoice_prefix="R", credit_note_prefix="G", counting=Counting.CONTINUOUS),
    DEFAULT_NUMBERING,
)


def change_until(done: threading.Event, store: DocumentStore) -> int:
    """Changes the numbering all the time, dying like the workers. Returns the number of changes."""
    while not done.is_set():
        version = store.numbering().version
        with contextlib.suppress(Died, TransientError):
            usecases.change_numbering(NUMBERINGS[version % len(NUMBERINGS)], version, store)
    return store.numbering().version


def play(
    orders: int, at_once: int, patch: pytest.MonkeyPatch, *, deadliness: float = 0.1, changing: bool = False
) -> str:
    """Returns the figures. Orders are paid and refunded by `at_once` workers. `changing`: the numbering changes all the
    time.
    """
    create_table("DocumentsTable")
    dice = random.Random(8)
    watch = Watch()
    watch.contention = Contention("DocumentsTable", TRANSACTION)
    table = Deadly(watch, dice, deadliness)
    store = DocumentStore(table)
    peer = Peer({f"o-{number}": ordered(f"o-{number}") for number in range(orders)})
    vars(wiring.ports()).update(documents=store, orders=Orders(peer))  # type: ignore[arg-type]
    patch.setattr(dead_letters, "give_back", lambda *_: False)  # the queue's own pauses would only take time
    patch.setattr(dead_letters, "is_spent", lambda *_: False)
    queue = Queue(orders, dice)
    messages = queue.messages()
    began = time.perf_counter()
    for message in messages[:10]:  # pydantic builds each model at its first use, and two threads at once break it
        queue.deliver(message)
    done = threading.Event()
    with ThreadPoolExecutor(at_once + changing) as pool:
        changes = pool.submit(change_until, done, store) if changing else None
        try:
            list(pool.map(queue.deliver, messages[10:]))
        finally:
            done.set()
    took = time.perf_counter() - began
    contention, watch.contention = watch.contention, None

    events = {record["messageId"] for record in messages}
    sums = {}
    for kind, told in ((DocumentKind.INVOICE, "payment.completed"), (DocumentKind.CREDIT_NOTE, "payment.refunded")):
        listed = []
        used = NUMBERINGS if changing else (DEFAULT_NUMBERING,)
        for series in sorted({series_of(kind, utc_now(), numbering) for numbering in used}):
            found = list(store.all_of(series))
            assert [one.position for one in found] == list(range(1, len(found) + 1)), "1…n"
            assert all(later.issued_at >= earlier.issued_at for earlier, later in pairwise(found))
            listed += found
        assert len({one.document_id for one in listed}) == len(listed), "no document has two numbers"
        assert len(listed) == sum(event.startswith(told) for event in events)
        sums[kind] = sum(one.total.amount for one in listed)
    assert sums == {DocumentKind.INVOICE: queue.paid, DocumentKind.CREDIT_NOTE: queue.refunded}
    for number in range(orders):
        for one in store.of_order(f"o-{number}"):
            document = store.get(one.document_id)
            assert document is not None
            assert document.number == one.number
    seconds = sorted(queue.seconds)
    return (
        f"gapless: {len(events)} documents in {took:.0f} s by {at_once} workers, {queue.deliveries} deliveries, "
        f"{table.deaths} deaths, {contention.cancelled} conflicts, p50 {statistics.median(seconds) * 1000:.0f} ms, "
        f"p95 {seconds[int(len(seconds) * 0.95)] * 1000:.0f} ms" + (f", {changes.result()} changes" if changes else "")
    )


def test_a_hundred_orders_at_once_are_numbered_without_a_gap(
    cloud: None, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    record_property("figures", play(100, 16, monkeypatch))


def test_the_numbering_changes_all_the_time_and_each_series_is_without_a_gap(
    cloud: None, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    record_property("figures", figures := play(60, 8, monkeypatch, changing=True))
    assert not figures.endswith(" 0 changes")


@pytest.mark.long
@pytest.mark.timeout(3600)  # it is quick only where nothing else runs
def test_two_thousand_orders_at_once_are_numbered_without_a_gap(
    cloud: None, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    record_property("figures", play(2000, 64, monkeypatch))

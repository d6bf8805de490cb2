"""An inventory in an empty account, and its entry points."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest

from infra.operator.inventory import read
from inventory import api, consumers, saga, usecases, wiring
from inventory.domain import Line
from mercato import aws
from mercato.errors import TransientError
from mercato.store.dynamo import Table, Write
from tests.conftest import NOON
from tests.kit import aws_events
from tests.kit.given import published


@dataclass
class Shop:
    """Calls the real handlers and reads the effects."""

    table: Table
    counter: list[int] = field(default_factory=lambda: [0])

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        role: str | None = "admin",
        user: str = "u-admin",
        key: str | None = None,
    ) -> tuple[int, Any]:
        path, _, query = path.partition("?")
        event = aws_events.rest_request(
            method,
            f"/api{path}",
            body,
            query=dict(parse_qsl(query)),
            user=user if role else None,
            role=role,
            headers={"Idempotency-Key": key} if key else {},
        )
        answer = api.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None

    def stocked(self, **counts: int) -> None:
        for product_id, count in counts.items():
            self.publish("product.created", product_id, {"product_id": product_id})
            if count:
                self.adjust(product_id, count)

    def adjust(self, product_id: str, delta: int) -> None:
        self.counter[0] += 1
        status, _ = self.call(
            "POST",
            f"/inventory/{product_id}/adjustments",
            {"delta": delta, "reason": "delivery"},
            key=f"k-{self.counter[0]}",
        )
        assert status == 201

    def publish(self, event_type: str, subject: str, data: dict[str, Any]) -> list[dict[str, str]]:
        event = published(event_type, subject, data, id=f"e-{subject}")
        batch = aws_events.records(aws_events.bus_record(event, "shop-inventory"))
        failures: list[dict[str, str]] = consumers.handler(batch, None)["batchItemFailures"]
        return failures

    def task(self, name: str, **task_input: Any) -> dict[str, Any]:
        return saga.handler(aws_events.task(name, task_input), None)

    def reserve(self, order_id: str, **quantities: int) -> dict[str, Any]:
        lines = [{"product_id": product_id, "quantity": quantity} for product_id, quantity in quantities.items()]
        return self.task("ReserveInventory", order_id=order_id, lines=lines)

    def release(self, order_id: str, reason: str = "payment-declined") -> dict[str, Any]:
        return self.task("ReleaseInventory", order_id=order_id, reason=reason)

    def ship(self, order_id: str) -> list[dict[str, str]]:
        return self.publish("order.shipped", order_id, {"order_id": order_id, "lines": []})

    def counts(self, product_id: str) -> tuple[int, int, int]:
        """on_hand, reserved and available, after a check that the ledger adds up to them."""
        stock, audit = wiring.ports().store.stock(product_id), wiring.ports().store.audit(product_id)
        assert stock is not None
        assert audit is not None
        assert audit.balanced, audit
        items = self.items(product_id)
        assert sum(item["available"] for item in items.values()) == stock.available
        assert all(min(item[name] for name in ("on_hand", "reserved", "available")) >= 0 for item in items.values())
        return stock.on_hand, stock.reserved, stock.available

    def items(self, product_id: str) -> dict[int, dict[str, Any]]:
        """The product's stock items by shard; 0 is the root."""
        root = self.table.get(f"STOCK#{product_id}", "STOCK")
        assert root is not None
        shards = {shard: self.table.get(f"SHARD#{shard}#{product_id}", "STOCK") for shard in root.get("shards", ())}
        return {0: root} | {shard: item for shard, item in shards.items() if item}

    def available(self, product_id: str) -> list[int]:
        """The available units of each item, the root first."""
        return [item["available"] for item in self.items(product_id).values()]

    def set_shards(self, product_id: str, count: int) -> tuple[int, Any]:
        return self.call("PUT", f"/inventory/{product_id}/shards", {"shards": count})

    def state(self, order_id: str) -> str | None:
        item = self.table.get(f"RESERVATION#{order_id}", "RESERVATION")
        return item["state"] if item else None

    def events(self, subject: str) -> list[tuple[str, dict[str, Any]]]:
        """The subject's events in the outbox, ordered by sequence."""
        items = list(self.table.query_all(f"OUTBOX#{subject}")) + list(self.table.query_all(f"STOCK#{subject}"))
        found = [json.loads(item["event"]) for item in items if "event" in item]
        assert len({event["id"] for event in found}) == len(found)
        return [(event["type"], event["data"]) for event in sorted(found, key=lambda event: int(event["sequence"]))]


@dataclass
class Faults:
    """Faults in the inventory's transactions. `die_at` is the number of the transaction; `after_effect` chooses after
    or before it.
    """

    die_at: int = -1
    after_effect: bool = False
    meanwhile: Callable[[], object] | None = None
    count: int = 0


@pytest.fixture
def shop(make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Shop:
    table = make_table("InventoryTable")
    monkeypatch.setenv("TABLE_NAME", table.name)
    return Shop(table)


service = shop  # the name by which the tests of all services know it


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Makes a process end before or after its n-th transaction, or runs another act just before it."""
    found, transact = Faults(), Table.transact

    def faulty(self: Table, writes: list[Write], **more: Any) -> None:
        found.count += 1
        dies = found.count - 1 == found.die_at
        if dies and found.meanwhile:
            act, found.meanwhile = found.meanwhile, None
            act()
            dies = False
        if dies and not found.after_effect:
            raise TransientError("died before the effect")
        transact(self, writes, **more)
        if dies:
            raise TransientError("died after the effect")

    monkeypatch.setattr(Table, "transact", faulty)
    return found


@pytest.fixture
def hot(shop: Any) -> Any:
    """A hundred units on four shards."""
    shop.stocked(a=100)
    assert shop.set_shards("a", 4)[0] == 200
    return shop


def take(order_id: str, quantity: int, shard: int) -> None:
    """Reserves for an order that prefers this shard, if the choice is free."""
    usecases.reserve(
        order_id,
        [Line("a", quantity)],
        wiring.ports().store,
        NOON,
        choose=lambda able: shard if shard in able else able[0],
    )


def balanced(shop: Any) -> None:
    wrong = [book for book in read(aws.client("dynamodb"), shop.table.name) if not book.balances]
    assert wrong == []

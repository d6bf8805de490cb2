"""Reads the facts for the audit from the running shop.

Payments and stock come from its API. Charges and queue depths come from AWS with the operator's permissions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from infra.operator.client import Refused, Session
from infra.replay.books import DocumentFact, PaymentFact, StockFact
from infra.replay.parallel import each
from mercato.ids import derived_id
from mercato.store.attributes import Item, from_item


def payment_of(admin: Session, order_id: str) -> PaymentFact | None:
    """Returns the order's payment, or None if the shop never requested one."""
    try:
        found = admin.get(f"/payments/{derived_id('payment', order_id)}")
    except Refused as refused:
        if refused.status == 404:
            return None
        raise
    return PaymentFact(order_id, found["status"], found["captured"]["amount"], found["refunded"]["amount"])


def payments_of(admin: Session, order_ids: Iterable[str], concurrency: int) -> list[PaymentFact]:
    found = each(lambda order_id: payment_of(admin, order_id), order_ids, concurrency)
    return [payment for payment in found if payment is not None]


def documents_of(admin: Session, order_ids: Iterable[str], concurrency: int) -> list[DocumentFact]:
    def read(order_id: str) -> DocumentFact:
        sums, taxes, series = Counter[str](), Counter[str](), set[str]()
        for one in admin.get("/ops/documents", order_id=order_id)["items"]:
            series.add(one["series"])
            sums[one["kind"]] += one["total"]["amount"]
            taxes[one["kind"]] += one["tax"]["amount"]
        told = (sums["invoice"], sums["credit_note"], taxes["invoice"], taxes["credit_note"])
        return DocumentFact(order_id, *told, frozenset(series))

    return each(read, order_ids, concurrency)


def shipping_of(admin: Session, parcels: Mapping[str, tuple[str, int, int]], service: str) -> dict[str, int]:
    """What the table of rates asks for each parcel by the service. `parcels` maps order ids to the country, the number
    of pieces and the value of the goods. The replay's products have no weight.
    """
    zones = admin.get("/shipments/rates")["zones"]

    def price(country: str, pieces: int, goods: int) -> int:
        named = [zone for zone in zones if country in zone["countries"]]
        zone = (named or [zone for zone in zones if not zone["countries"] and not zone["regions"]])[0]
        bands = next(one["bands"] for one in zone["services"] if one["code"] == service)
        found = [one for one in bands[0]["prices"] if one["goods_from"] <= goods][-1]
        return int(found["amount"]) + int(found["further_item"]) * (pieces - 1)

    return {order_id: price(*parcel) for order_id, parcel in parcels.items()}


def numbers_of(admin: Session, every: Iterable[str]) -> dict[str, list[int]]:
    """The positions of all documents of each series, the first one first. Reads each page until one is empty."""
    found: dict[str, list[int]] = {}
    for series in every:
        items: list[int] = []
        cursor: dict[str, str] = {}
        while True:
            page = admin.get("/ops/documents", series=series, limit=100, **cursor)
            items += [int(one["number"].rpartition("-")[2]) for one in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        found[series] = items[::-1]
    return found


def charges_of(dynamodb: Any, table: str, order_ids: Iterable[str]) -> list[PaymentFact]:
    """Returns the sandbox provider's own records of these orders' charges. Scans the table: for audits only."""
    orders = {derived_id("payment", order_id): order_id for order_id in order_ids}
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        FilterExpression="sk = :charge",
        ProjectionExpression="#reference, #status, #amount, #left",
        ExpressionAttributeNames={f"#{name}": name for name in ("reference", "status", "amount", "left")},
        ExpressionAttributeValues={":charge": {"S": "CHARGE"}},
    )
    charges = [from_item(item) for page in pages for item in page["Items"]]
    return [_charge(orders[charge["reference"]], charge) for charge in charges if charge["reference"] in orders]


def _charge(order_id: str, charge: Item) -> PaymentFact:
    """Converts a charge of the sandbox. Its `left` is the captured amount that was not refunded."""
    if charge["status"] != "captured":
        return PaymentFact(order_id, charge["status"], 0, 0)
    return PaymentFact(order_id, charge["status"], charge["amount"], charge["amount"] - charge["left"])


def stock_of(admin: Session, stocked: Mapping[str, tuple[str, int]], concurrency: int) -> list[StockFact]:
    """Reads the stock of each product. `stocked` maps product ids to the sku and the units that were added."""

    def read(product_id: str) -> StockFact:
        sku, count = stocked[product_id]
        found = admin.get(f"/inventory/{product_id}")
        return StockFact(product_id, sku, count, found["on_hand"], found["reserved"], found["available"])

    return each(read, stocked, concurrency)


def dead_letters(sqs: Any, prefix: str) -> dict[str, int]:
    """Returns the number of messages in each dead-letter queue, visible or in flight."""
    depths: dict[str, int] = {}
    for page in sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix):
        for url in page.get("QueueUrls", []):
            name = url.rsplit("/", 1)[-1]
            if name.endswith("-dlq"):
                names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
                found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
                depths[name] = sum(int(count) for count in found.values())
    return depths

"""Products in DynamoDB. A change is one transaction, on condition that the product is unchanged since it was read.

The transaction holds the product, its sku, its place in the lists, its words (see layout.py), its category's count
and its events. So lists, searches and counts agree with the product, apart from the delay of the indexes, and a retry
of the same change fails the condition. Availability is outside of it: only the stock's events write it. So are the
pictures, whose changes have a number of their own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mercato.clock import epoch, rfc3339
from mercato.events import outbox
from mercato.money import Money
from mercato.store import dynamo, expiry
from mercato.store.attributes import Item
from mercato.store.cursor import decode_cursor, encode_cursor
from mercato.store.dynamo import MAX_TRANSACTION, ConditionFailed, KeyRange, Table, Write
from mercato.store.payload import pack, unpack
from products import layout
from products.domain import STANDARD, Availability, Changed, Product, ProductNotFound, SkuTaken, StaleVersion, Status
from products.events import ImageEvent, announcements
from products.images import Images, ImagesMoved
from products.words import RULES

_REPORT_KEPT = timedelta(days=90)
_TRIES = 3
_ROWS_BYTES = 300_000  # of JSON in one item, which may have 400 KB; a whole file has 256 KB at most
_COUNTS = ("created", "updated", "unchanged", "refused")


def _listed(report_id: str, report: dict[str, Any], state: str, actor: str, begun_at: datetime) -> Item:
    pk, sk = layout.import_list_key(report_id, begun_at)
    about = {"import_id": report_id, "state": state, "actor": actor, "at": rfc3339(begun_at)}
    counts = {name: report.get(name, 0) for name in _COUNTS}
    return {"pk": pk, "sk": sk, "ttl": epoch(begun_at + _REPORT_KEPT)} | about | counts


def to_product(item: Item) -> Product:
    return Product(
        product_id=item["product_id"],
        sku=item["sku"],
        name=item["name"],
        description=item["description"],
        category=item["category"],
        price=Money(amount=item["amount"], currency=item["currency"]),
        created_at=datetime.fromisoformat(item["created_at"]),
        status=Status(item["status"]),
        availability=Availability(item["availability"]),
        available=item.get("available", 0 if item["availability"] == Availability.OUT else None),
        stock_sequence=item["stock_sequence"],
        version=item["version"],
        index_rules=item.get("index_rules", 1),
        weight_grams=item.get("weight_grams", 0),
        tax_class=item.get("tax_class", STANDARD),
        images=layout.to_images(item.get("images", [])),
        images_version=item.get("images_version", 0),
    )


class Products:
    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self, product_id: str) -> Product:
        item = self._table.get(*layout.product_key(product_id))
        if item is None:
            raise ProductNotFound(f"There is no product {product_id}.")
        return to_product(item)

    def get_many(self, product_ids: Iterable[str]) -> dict[str, Product]:
        """The existing products, by id."""
        items = self._table.get_many(layout.product_key(product_id) for product_id in product_ids)
        return {item["product_id"]: to_product(item) for item in items}

    def get_by_skus(self, skus: Iterable[str]) -> dict[str, Product]:
        """The existing products, by sku."""
        found = self._table.get_many(layout.sku_key(sku) for sku in skus)
        products = self.get_many(item["product_id"] for item in found)
        return {product.sku: product for product in products.values()}

    def save(self, changed: Changed, now: datetime) -> None:
        """Raises SkuTaken for a new product, StaleVersion for a known one, if another request has written first."""
        try:
            self._transact([changed], now)
        except ConditionFailed as failed:
            if changed.before is None:
                raise SkuTaken(f"There is a product with the sku {changed.after.sku} already.") from None
            raise StaleVersion(
                f"{changed.after.sku} has changed since you read it. Read it again and repeat your change.",
                version=failed.item["version"] if failed.item else None,
            ) from None

    def save_all(self, changes: Sequence[Changed], now: datetime) -> list[Changed]:
        """Writes as many products per transaction as fit. Returns the changes that lost against another writer."""
        lost: list[Changed] = []
        for batch in _batches(changes, now):
            try:
                self._transact(batch, now)
            except ConditionFailed:
                # One conflict cancels the whole batch, so retry its products one by one.
                lost += [changed for changed in batch if not self._saved(changed, now)]
        return lost

    def reindex(self, products: Iterable[Product], now: datetime) -> list[Product]:
        """Writes the products' entries in lists and searches by the current rules and removes the old entries.

        Reads a product again if it changed in between. Returns the products that changed at every attempt.
        """
        pending = list(products)
        for _ in range(_TRIES):
            lost = self.save_all([Changed(product, product) for product in pending], now)
            read = self.get_many(changed.after.product_id for changed in lost)
            pending = [product for product in read.values() if product.is_active and product.index_rules < RULES]
        return pending

    def set_availability(
        self, product_id: str, availability: Availability, available: int | None, sequence: int
    ) -> bool:
        """Returns False if a later event of the stock came first. Raises ProductNotFound."""
        is_newer = "attribute_exists(pk) AND stock_sequence < :sequence"
        values = {":availability": availability, ":available": available, ":sequence": sequence}
        expression = "SET availability = :availability, available = :available, stock_sequence = :sequence"
        key = layout.product_key(product_id)
        try:
            self._table.write(dynamo.update(*key, expression, is_newer, values=values))
        except ConditionFailed as failed:
            if failed.item is None:
                raise ProductNotFound(f"There is no product {product_id}.") from None
            return False
        return True

    def save_images(self, product: Product, images: Images, events: Sequence[ImageEvent], now: datetime) -> Product:
        """Writes the pictures with their events, each of which is about one picture. Raises ImagesMoved if another
        request has changed them since `product` was read.
        """
        read, version = product.images_version, product.images_version + 1
        is_unchanged, values = "attribute_exists(pk) AND attribute_not_exists(images_version)", {}
        if read:
            is_unchanged, values = "images_version = :read", {":read": read}
        write = dynamo.update(
            *layout.product_key(product.product_id),
            "SET images = :images, images_version = :version",
            is_unchanged,
            values={":images": layout.images_attribute(images), ":version": version} | values,
        )
        announced = [
            outbox.record(event, service="products", subject=event.image_id, sequence=version, now=now)
            for event in events
        ]
        try:
            self._table.transact([write, *announced])
        except ConditionFailed:
            raise ImagesMoved(f"The pictures of {product.product_id} have changed.") from None
        return replace(product, images=images, images_version=version)

    def count_by_category(self) -> dict[str, int]:
        """The number of active products per category, as last written."""
        counts: Counter[str] = Counter()
        labels: dict[str, str] = {}
        for item in self._table.query_all("FACETS", KeyRange(prefix="CATEGORY#"), consistent=False):
            category = item["sk"].rpartition("#")[0]
            if category not in labels or layout.list_partition(item["label"]) == category:
                labels[category] = item["label"]
            counts[category] += item["products"]
        found: Counter[str] = Counter()
        for category, count in counts.items():  # a label has two keys while the rules of folding change
            found[labels[category]] += count
        return {label: count for label, count in found.items() if count > 0}

    def begin_report(self, report_id: str, actor: str, now: datetime) -> None:
        self._table.write(dynamo.put(_listed(report_id, {}, "running", actor, now)))

    def save_report(self, report_id: str, report: dict[str, Any], now: datetime, actor: str = "") -> None:
        """Writes the report and its place in the list, together. `now` is when the import began."""
        pk, sk = layout.import_key(report_id)
        kept = {"pk": pk, "sk": sk, "report": report, "ttl": epoch(now + _REPORT_KEPT)}
        listed = dynamo.put(_listed(report_id, report, "done", actor, now))
        with suppress(ConditionFailed):  # both are written: a retry of this write after a lost response
            self._table.transact([expiry.put_new(kept, now), listed])

    def save_rows(self, report_id: str, rows: list[dict[str, Any]], now: datetime) -> None:
        """Writes the refused rows, some to an item."""
        parts, size = list[list[dict[str, Any]]](), _ROWS_BYTES
        for row in rows:
            about = len(json.dumps(row, ensure_ascii=False).encode())
            if size + about > _ROWS_BYTES:
                parts.append([])
                size = 0
            parts[-1].append(row)
            size += about
        pk, _ = layout.import_key(report_id)
        for number, part in enumerate(parts):
            item = {"pk": pk, "sk": f"ROWS#{number:03}", "rows": pack(part), "ttl": epoch(now + _REPORT_KEPT)}
            self._table.write(dynamo.put(item))

    def get_rows(self, report_id: str, now: datetime) -> list[dict[str, Any]]:
        pk, _ = layout.import_key(report_id)
        items = self._table.query_all(pk, KeyRange(prefix="ROWS#"))
        return [row for item in items if expiry.live(item, now) for row in unpack(item["rows"])]

    def list_reports(self, limit: int, cursor: str | None, now: datetime) -> tuple[list[Item], str | None]:
        """The imports of the last 90 days, the newest first."""
        page = self._table.query(
            "IMPORTS", KeyRange(forward=False), limit=limit, start=decode_cursor(cursor, pk="IMPORTS")
        )
        return [item for item in page.items if expiry.live(item, now)], encode_cursor(page.next_key)

    def get_report(self, report_id: str, now: datetime) -> dict[str, Any] | None:
        item = expiry.live(self._table.get(*layout.import_key(report_id)), now)
        return dict(item["report"]) if item else None

    def _saved(self, changed: Changed, now: datetime) -> bool:
        try:
            self._transact([changed], now)
        except ConditionFailed:
            return False
        return True

    def _transact(self, changes: Sequence[Changed], now: datetime) -> None:
        # The condition that may fail comes first, so that its item is the one reported.
        writes = [write for changed in changes for write in _writes(changed, now)]
        self._table.transact(writes + _count(changes))
        for category, rules in _left(changes):
            self._drop_counts_of(category, rules)

    def _drop_counts_of(self, category: str, rules: int) -> None:
        """Deletes the counts of a category without active products; otherwise unused categories would stay forever.

        Deletes all of them in one transaction, on condition that they are unchanged, so that a product that enters the
        category at the same time keeps its count. After a failure, the next product that leaves the category retries.
        """
        found = self._table.get_many(layout.count_keys(category, rules))
        if sum(item["products"] for item in found) == 0:
            unchanged = "products = :seen"
            drops = [
                dynamo.delete(item["pk"], item["sk"], unchanged, values={":seen": item["products"]}) for item in found
            ]
            with suppress(ConditionFailed):
                self._table.transact(drops)


def _batches(changes: Iterable[Changed], now: datetime) -> Iterator[list[Changed]]:
    batch: list[Changed] = []
    size = 0
    for changed in changes:
        more = len(_writes(changed, now))
        if size + more + len(_count([*batch, changed])) > MAX_TRANSACTION:
            yield batch
            batch, size = [], 0
        batch.append(changed)
        size += more
    if batch:
        yield batch


def _with_current_rules(product: Product) -> Product:
    """Writes use the current rules. Deletes use the rules that made the entry."""
    return replace(product, index_rules=RULES)


def _writes(changed: Changed, now: datetime) -> list[Write]:
    before, after = changed.before, _with_current_rules(changed.after)
    events = [
        outbox.record(event, service="products", subject=after.product_id, sequence=after.version, now=now)
        for event in announcements(changed)
    ]
    pk, sk = layout.sku_key(after.sku)
    if before is None:
        own = [
            dynamo.put_new(layout.product_item(after)),
            dynamo.put_new({"pk": pk, "sk": sk, "product_id": after.product_id}),
        ]
    else:
        own = [_update(before, after)]
        if before.is_active and not after.is_active:
            # A discontinued product never comes back, so another product may take the sku.
            own.append(dynamo.delete(pk, sk, "product_id = :id", values={":id": after.product_id}))
    return own + _list(before, after) + _index(before, after) + events


def _update(before: Product, after: Product) -> Write:
    """Sets the catalogue's attributes only, since the availability may have changed after the product was read."""
    old, new = layout.catalogue_attributes(before), layout.catalogue_attributes(after)
    changed = {name: value for name, value in new.items() if old.get(name) != value}
    gone = [name for name in old if name not in new]
    expression = "SET " + ", ".join(f"#{name} = :{name}" for name in changed)
    if gone:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in gone)
    read = {":read": before.version}
    rules = "attribute_not_exists(#index_rules)"
    if before.index_rules > 1:
        rules, read[":read_rules"] = "#index_rules = :read_rules", before.index_rules
    return dynamo.update(
        *layout.product_key(after.product_id),
        expression,
        f"#version = :read AND {rules}",
        names={f"#{name}": name for name in {*changed, *gone, "version", "index_rules"}},
        values={f":{name}": value for name, value in changed.items()} | read,
    )


def _list(before: Product | None, after: Product) -> list[Write]:
    old, new = layout.category_item(before) if before else None, layout.category_item(after)
    if new == old:
        return []
    if new is None:
        return [dynamo.delete(layout.product_key(after.product_id)[0], "CATEGORY")]
    return [dynamo.put(new)]


def _index(before: Product | None, after: Product) -> list[Write]:
    old = {(item["pk"], item["sk"]): item for item in layout.word_items(before)} if before else {}
    new = {(item["pk"], item["sk"]): item for item in layout.word_items(after)}
    gone = [dynamo.delete(*key) for key in old if key not in new]
    return gone + [dynamo.put(item) for key, item in new.items() if old.get(key) != item]


def _left(changes: Sequence[Changed]) -> set[tuple[str, int]]:
    """The categories that products have left, with the rules that made their keys."""
    return {
        (changed.before.category, changed.before.index_rules)
        for changed in changes
        if changed.before
        and changed.before.is_active
        and changed.before.category
        and (
            changed.before.category != changed.after.category
            or changed.before.index_rules != RULES
            or not changed.after.is_active
        )
    }


def _count(changes: Sequence[Changed]) -> list[Write]:
    """One write per category whose count changes, since a transaction may write each item once.

    The label comes from a product that enters the category: older rules may have given the leaving one another label.
    """
    counter = layout.counter_of(changes[0].after.product_id)
    counts: Counter[tuple[str, str]] = Counter()
    labels: dict[tuple[str, str], str] = {}
    left: dict[tuple[str, str], str] = {}
    for changed in changes:
        for product, one, label_of in ((changed.before, -1, left), (_with_current_rules(changed.after), 1, labels)):
            if product and product.is_active and product.category:
                key = layout.count_key(product.category, counter, product.index_rules)
                counts[key] += one
                label_of[key] = product.category
    relabelled = any(changed.before and changed.before.index_rules != RULES for changed in changes)
    writes: list[Write] = []
    for key, more in counts.items():
        if more or (relabelled and key in labels):
            label = ":label" if key in labels else "if_not_exists(label, :label)"
            values = {":label": labels.get(key) or left[key], ":more": more}
            writes.append(dynamo.update(*key, f"SET label = {label} ADD products :more", values=values))
    return writes

"""Checkout sessions and tax tables in DynamoDB.

    CHECKOUT#<id>  SESSION        a session, until KEPT_FOR after its last change
    TAXES          V#<version>    a version of the table of tax rates. The highest is the current one; none is removed

A session's change is conditional on the version that was read. The versions of the tax table are consecutive: the put
of a new one fails if it exists, so that of two changes at once one is refused.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from checkout.domain import KEPT_FOR, Address, Cart, CheckoutChanged, CheckoutNotFound, Contact, Line, Session
from checkout.taxes import FIRST, TaxTable, TaxTableChanged
from mercato.clock import epoch, rfc3339
from mercato.store import dynamo, expiry
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from mercato.store.expiry import LIVE, NAMES, at

_TAXES = "TAXES"
_PARTS: dict[str, type[Any]] = {
    "cart": Cart,
    "contact": Contact,
    "shipping_address": Address,
    "billing_address": Address,
}


class Checkouts:
    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, session: Session, now: datetime) -> bool:
        """Stores a new session. Returns False, and changes nothing, if it is stored already: its id is derived from the
        request, so this is a retry.
        """
        try:
            self._table.write(expiry.put_new(_item(session, now), now))
        except ConditionFailed:
            return False
        return True

    def find(self, checkout_id: str, now: datetime) -> Session | None:
        item = expiry.live(self._table.get(_pk(checkout_id), "SESSION"), now)
        return _session(item) if item else None

    def load(self, checkout_id: str, customer_id: str, now: datetime) -> Session:
        """Raises CheckoutNotFound."""
        session = self.find(checkout_id, now)
        if session is None or session.customer_id != customer_id:
            raise CheckoutNotFound("There is no such checkout, or it has expired.")
        return session

    def save(self, changed: Session, now: datetime) -> None:
        """Writes the session if the stored one has the version before. Raises CheckoutChanged."""
        values = at(now) | {":before": changed.version - 1}
        put = dynamo.put(_item(changed, now), f"version = :before AND {LIVE}", names=NAMES, values=values)
        try:
            self._table.write(put)
        except ConditionFailed:
            raise CheckoutChanged("Another request has changed the checkout. Please read it again.") from None


class TaxTables:
    def __init__(self, table: Table) -> None:
        self._table = table

    def current(self) -> TaxTable:
        found = self._table.query(_TAXES, KeyRange(forward=False), limit=1).items
        return _tax_table(found[0]) if found else FIRST

    def find(self, version: int) -> TaxTable | None:
        if version == FIRST.version:
            return FIRST
        item = self._table.get(_TAXES, _version(version))
        return _tax_table(item) if item else None

    def add(self, table: TaxTable) -> None:
        """Writes a table as the version after the current one. Raises TaxTableChanged if there is one already."""
        item = {"pk": _TAXES, "sk": _version(table.version), "version": table.version, "rates": _rates(table)}
        if table.changed_at:
            item["changed_at"] = rfc3339(table.changed_at)
        try:
            self._table.write(dynamo.put_new(item))
        except ConditionFailed:
            raise TaxTableChanged("Another request has changed the tax rates. Please read them again.") from None


def _pk(checkout_id: str) -> str:
    return f"CHECKOUT#{checkout_id}"


def _version(number: int) -> str:
    return f"V#{number:010d}"


def _item(session: Session, now: datetime) -> Item:
    fields = {name: part.model_dump() if (part := getattr(session, name)) else None for name in _PARTS}
    return {
        "pk": _pk(session.id),
        "sk": "SESSION",
        "ttl": epoch(now + KEPT_FOR),
        "customer_id": session.customer_id,
        "version": session.version,
        "service": session.service,
        "lines": [line.model_dump() for line in session.lines],
        "codes": list(session.codes),
    } | fields


def _session(item: Item) -> Session:
    parts = {name: part.model_validate(item[name]) if item[name] else None for name, part in _PARTS.items()}
    return Session(
        id=item["pk"].removeprefix(_pk("")),
        customer_id=item["customer_id"],
        lines=tuple(Line.model_validate(line) for line in item["lines"]),
        version=item["version"],
        service=item["service"],
        codes=tuple(item.get("codes", ())),  # none in a session of the release before codes
        **parts,
    )


def _rates(table: TaxTable) -> str:
    return json.dumps([rate.model_dump(mode="json") for rate in table.rates])


def _tax_table(item: Item) -> TaxTable:
    return TaxTable(version=item["version"], rates=json.loads(item["rates"]), changed_at=item.get("changed_at"))

"""The audit log: what operators did, the newest first. It can be filtered by operator, by target and by day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from console.pages import pages
from pages import Page, Refused, Visit
from pages.view import words
from pages.visitor import next_page, path

_FILTERS = ("actor", "target", "from", "to")
# The pages of what was acted on, by the name of its id.
_PAGES = {
    "code": "/console/coupons",
    "order_id": "/console/orders",
    "payment_id": "/console/payments",
    "product_id": "/console/catalogue",
    "shipment_id": "/console/parcels",
}


@pages.get("/console/audit")
def show_audit(visit: Visit) -> Page:
    """`actor` is an operator's id or e-mail address. `target` is the id of what was acted on."""
    asked = {name: visit.request.query.get(name, "").strip()[:200] for name in _FILTERS}
    found: dict[str, Any] = {"items": [], "next_cursor": None}
    try:
        actor = _id_of(visit, asked["actor"])
        if actor is None:
            visit.errors = {"": f"There is no account with the address {asked['actor']}."}
        else:
            cursor = visit.request.query.get("cursor", "")
            found = visit.visitor.get(path("ops", "audit", **(asked | {"actor": actor}), cursor=cursor, limit=100))
    except Refused as refusal:
        if refusal.reply.status != 422:
            raise
        visit.errors = {"": refusal.reply.detail}
    shown = visit.request.query.get("shown", "")
    last = found["items"][-1]["entry_id"] if found["items"] else shown
    return Page(
        "audit.html",
        {
            "actions": list(_actions(found["items"], shown)),
            "asked": asked,
            "next": next_page("/console/audit", found["next_cursor"], **asked, shown=last),
        },
    )


def _id_of(visit: Visit, actor: str) -> str | None:
    """The id of the account with this address, if it is one. Anything else is taken as an id."""
    if "@" not in actor:
        return actor
    accounts = visit.visitor.get(path("users", email=actor))["items"]
    return str(accounts[0]["user_id"]) if accounts else None


def _actions(entries: list[dict[str, Any]], shown: str) -> Iterator[dict[str, Any]]:
    """Yields each action once. The log has two entries of an action that was answered; the one with the answer comes
    first. `shown` is the last action of the page before, whose second entry may begin this one.
    """
    for entry in entries:
        if entry["entry_id"] != shown:
            yield entry | {"targets": [_target(text) for text in entry["target"].split()]}
        shown = entry["entry_id"]


def _target(text: str) -> dict[str, str]:
    name, _, identifier = text.partition("=")
    page = _PAGES.get(name)
    return {
        "text": text,
        "name": words(name.removesuffix("_id")),
        "id": identifier,
        "page": f"{page}/{quote(identifier, safe='')}" if page else "",
    }

"""The first page: what waits for an operator, and what was sold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from console.pages import pages
from console.wiring import ports
from mercato.clock import utc_now
from mercato.dataclass import dataclass
from pages import Page, Visit
from pages.visitor import Part, parts, path

_DAYS = 14
_MOST = 50  # of each list; a tile that has as many says that there may be more
_HEIGHT, _BAR, _GAP = 120, 32, 8


@dataclass(frozen=True)
class Bar:
    """A day's sales in the chart. `gross` and `refunded` are money, `x` to `height` are of the chart's own units."""

    day: str
    orders: int
    gross: Mapping[str, Any]
    refunded: Mapping[str, Any]
    x: int
    y: int
    height: int


@pages.get("/console")
def show_overview(visit: Visit) -> Page:
    ask = visit.visitor.get
    today = utc_now().date()
    first = today - timedelta(days=_DAYS - 1)
    payments, days, parked, queues, circuits, to_send, given_up, to_approve, to_receive, low = parts(
        lambda: ask(path("payments", "mismatches")),
        lambda: ask(path("ops", "orders", "days", **{"from": first, "to": today}))["items"],
        lambda: ask(path("ops", "sagas", status="parked", limit=_MOST))["items"],
        lambda: [one for one in ask(path("ops", "dlq"))["items"] if one["messages"]],
        lambda: [one for one in ask(path("ops", "circuits"))["items"] if one["state"] != "closed"],
        lambda: ask(path("shipments", list="to_send", limit=_MOST))["items"],
        lambda: ask(path("shipments", limit=_MOST))["items"],
        lambda: ask(path("ops", "orders", "returns", state="requested", limit=_MOST))["items"],
        lambda: ask(path("ops", "orders", "returns", state="approved", limit=_MOST))["items"],
        lambda: ask(path("inventory", low="true", limit=_MOST))["items"],
    )
    return Page(
        "overview.html",
        {
            "parked": parked,
            "queues": queues,
            "circuits": circuits,
            "mismatches": _part_of(payments, "items"),
            "disputed": _part_of(payments, "disputed"),
            "to_send": to_send,
            "given_up": given_up,
            "to_approve": to_approve,
            "to_receive": to_receive,
            "low": low,
            "most": _MOST,
            "dashboard": ports().settings.dashboard_url,
            "sales_missing": days.missing,
            "bars": _bars(days.value or [], first),
            "width": _DAYS * (_BAR + _GAP),
            "height": _HEIGHT,
            "bar": _BAR,
        },
    )


def _part_of(found: Part, name: str) -> Part:
    """One list of an answer. The release before has no disputed payments in it."""
    return Part(missing=found.missing) if found.missing else Part(found.value.get(name, []))


def _bars(items: Sequence[Mapping[str, Any]], first: date) -> list[Bar]:
    """One bar for each day that sold something, in the currency of which most was sold."""
    currencies: dict[str, int] = {}
    for one in items:
        currency = one["gross"]["currency"]
        currencies[currency] = currencies.get(currency, 0) + one["gross"]["amount"]
    most = max(currencies, key=lambda currency: currencies[currency], default="")
    shown = [one for one in items if one["gross"]["currency"] == most]
    highest = max((one["gross"]["amount"] for one in shown), default=0) or 1
    bars = []
    for one in sorted(shown, key=lambda one: str(one["day"])):
        height = max(2, _HEIGHT * one["gross"]["amount"] // highest)
        x = (date.fromisoformat(one["day"]) - first).days * (_BAR + _GAP)
        bars.append(Bar(one["day"], one["orders"], one["gross"], one["refunded"], x, _HEIGHT - height, height))
    return bars

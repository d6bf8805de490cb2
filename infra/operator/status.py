"""`mercato status`: shows on one screen the sales, the work for an operator, and the unavailable services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.operator import session, target
from infra.operator.alarms import ringing_alarms
from infra.operator.client import Refused, ShopError
from infra.operator.refusals import explain
from infra.operator.session import Admin
from mercato.money import Money

_MOST = 50  # items of a list that are counted


@dataclass(frozen=True)
class Line:
    """One line of the screen. `is_good` is None for a neutral figure. `look` is the command or page with details."""

    what: str
    figure: str
    is_good: bool | None
    look: str = ""


def look_at(shop: target.Target, admin: Admin) -> Iterator[Line]:
    """Yields every line. A part of the shop that does not answer is a line too."""
    for what, look in (
        ("orders today", _orders_today),
        ("sagas that wait for you", _parked),
        ("dead letters", _dead_letters),
        ("circuits", _circuits),
        ("services", _services),
        ("payments that do not agree", _mismatches),
        ("parcels given up", _given_up),
        ("low stock", _low_stock),
    ):
        try:
            yield from look(admin)
        except Refused as refused:
            if refused.status in (401, 403):
                raise
            yield Line(what, f"no answer: {refused.status} {refused.detail}", False)
        except ShopError as error:
            yield Line(what, f"no answer: {error}", False)
    if not shop.endpoint:
        yield from _alarms(shop)


def _orders_today(admin: Admin) -> Iterator[Line]:
    today = datetime.now(UTC).date().isoformat()
    for day in admin.get("/ops/orders/days", **{"from": today, "to": today})["items"]:
        gross, refunded = Money(**day["gross"]), Money(**day["refunded"])
        figure = f"{day['orders']} for {gross}, {day['cancelled']} cancelled, {refunded} refunded"
        yield Line("orders today", figure, None, "/console")


def _parked(admin: Admin) -> Iterator[Line]:
    found = admin.get("/ops/sagas", status="parked", limit=_MOST)
    yield _wanted_none("sagas that wait for you", found, "mercato saga list --parked")


def _dead_letters(admin: Admin) -> Iterator[Line]:
    found = admin.get("/ops/dlq")
    queues = ", ".join(f"{one['queue']} {one['messages']}" for one in found["items"] if one["messages"])
    yield Line("dead letters", queues or "none", not queues, "mercato dlq list" if queues else "")


def _circuits(admin: Admin) -> Iterator[Line]:
    found = admin.get("/ops/circuits")["items"]
    unclosed = ", ".join(f"{one['name']} is {one['state']}" for one in found if one["state"] != "closed")
    yield Line("circuits", unclosed or f"{len(found)} closed", not unclosed, "/console/circuits" if unclosed else "")


def _services(admin: Admin) -> Iterator[Line]:
    found = admin.get("/ops/services")["items"]
    ill = ", ".join(
        one["name"] for one in found if any(instance["health"] == "unhealthy" for instance in one["instances"])
    )
    yield Line("services", f"not healthy: {ill}" if ill else f"{len(found)} healthy", not ill)


def _mismatches(admin: Admin) -> Iterator[Line]:
    found = admin.get("/payments/mismatches")
    yield _wanted_none("payments that do not agree", found, "/console/payments")
    if count := len(found.get("disputed", [])):  # a shop of the release before has none in its answer
        yield Line("open disputes", f"{count} {'payment' if count == 1 else 'payments'}", None, "/console/payments")


def _given_up(admin: Admin) -> Iterator[Line]:
    yield _wanted_none("parcels given up", admin.get("/shipments", limit=_MOST), "/console/parcels")


def _low_stock(admin: Admin) -> Iterator[Line]:
    found = admin.get("/inventory", low="true", limit=_MOST)
    count, more = len(found["items"]), "+" if found.get("next_cursor") else ""
    figure = f"{count}{more} {'product' if count == 1 else 'products'}" if count else "none"
    yield Line("low stock", figure, None, "/console/stock" if count else "")


def _wanted_none(what: str, page: dict[str, Any], look: str) -> Line:
    count = len(page["items"])
    figure = f"{count}{'+' if page.get('next_cursor') else ''}" if count else "none"
    return Line(what, figure, not count, look if count else "")


def _alarms(shop: target.Target) -> Iterator[Line]:
    try:
        names = ringing_alarms(target.client(shop, "cloudwatch"), shop.stack, shop.outputs["AlarmTopicArn"])
    except (ClientError, BotoCoreError) as error:
        yield Line("alarms", f"AWS does not say: {explain(error)}", False)
        return
    yield Line("alarms", ", ".join(names) or "none rings", not names, "docs/runbook.md" if names else "")


_SIGNS: dict[bool | None, str] = {True: "[green]●[/]", False: "[bold red]▲[/]", None: "[dim]○[/]"}


@click.command()
def status() -> None:
    """Show the shop's sales, its work for an operator, and its unavailable services. Exits with 1 if there is work.

    On AWS it shows the alarms too, and the stack's CloudWatch dashboard has the same figures over time.
    """
    shop = target.chosen()
    lines: list[Line] = session.call(lambda admin: list(look_at(shop, admin)))
    table = Table(title=f"{shop.stack} at {shop.base_url}", title_justify="left")
    for heading in ("", "what", "", "look with"):
        table.add_column(heading, overflow="fold")
    for line in lines:
        table.add_row(_SIGNS[line.is_good], line.what, escape(line.figure), line.look)
    Console().print(table)
    if any(line.is_good is False for line in lines):
        raise click.exceptions.Exit(1)

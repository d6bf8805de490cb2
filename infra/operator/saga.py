"""`mercato saga`: lists, shows, resumes and redrives sagas through the shop's API as an admin."""

from __future__ import annotations

import json

import click
from rich.console import Console

from infra.operator import saga_view, session
from infra.operator.client import Refused
from infra.operator.session import Admin, Json

_CANCELLATION = ".cancellation"
_PAGE = 100  # sagas of one answer, at most


@click.group()
def saga() -> None:
    """The sagas of orders: list, show, resume and redrive them.

    \b
    mercato saga list --parked                              those that wait for an operator, with reasons
    mercato saga show ORDER                                 each step, as a timeline
    mercato saga resume ORDER --retry --reason "the provider is back"
    mercato saga resume ORDER --skip RefundPayment --reason "refunded by hand, ref 4711"
    mercato saga redrive ORDER --reason "stopped by mistake"

    ORDER is the order's id, or a name that `list` shows: ORDER.cancellation undoes a cancelled one. See
    docs/runbook.md.
    """


@saga.command(name="list")
@click.option("--parked", is_flag=True, help="Only those that wait for an operator, longest wait first.")
@click.option(
    "--status",
    type=click.Choice(["running", "succeeded", "failed", "timed_out", "aborted"]),
    help="Only executions in this state. An undone order ends as failed too.",
)
@click.option(
    "--kind", type=click.Choice(["order", "cancellation"]), help="Only sagas of orders, or only cancellations."
)
@click.option(
    "--ending",
    type=click.Choice(["completed", "declined", "out_of_stock", "coupon_used", "expired", "cancelled", "failed"]),
    help="Only those with this ending: `failed` leaves out the ones that ended for a business reason.",
)
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="How many sagas to read. Those of another --kind or --ending count.",
)
def list_sagas(parked: bool, status: str | None, kind: str | None, ending: str | None, limit: int) -> None:
    """List the sagas, newest first."""
    if parked and status:
        raise click.UsageError("choose --parked or --status, not both")
    if parked and ending:
        raise click.UsageError("choose --parked or --ending, not both: a parked saga has no ending yet")
    chosen = {name: value for name, value in {"kind": kind, "ending": ending}.items() if value}
    chosen["status"] = "parked" if parked else status or "all"
    page = session.call(lambda admin: _read_sagas(admin, chosen, limit))
    saga_view.show_list(Console(highlight=False), page, parked=parked)


def _read_sagas(admin: Admin, chosen: dict[str, str], limit: int) -> Json:
    """Reads `limit` sagas, page by page, and returns those that match as one page. A page may hold none of them."""
    items: list[Json] = []
    cursor, left = "", limit
    while left:
        asked = min(left, _PAGE)
        page = admin.get("/ops/sagas", limit=asked, **chosen, **({"cursor": cursor} if cursor else {}))
        items += page["items"]
        cursor, left = page["next_cursor"], left - asked
        if not cursor:
            break
    return {"items": items, "next_cursor": cursor, "limit": limit}


@saga.command()
@click.argument("order")
@click.option("--json", "as_json", is_flag=True, help="Print the API's response.")
@click.option("--mermaid", is_flag=True, help="Print a Mermaid state diagram with the path taken, for Markdown.")
def show(order: str, as_json: bool, mermaid: bool) -> None:
    """Show the sagas of ORDER as a timeline: each step with its tries and errors.

    A cancelled order has two: its own saga, and the cancellation that undoes it.
    """
    found = session.call(lambda admin: executions_of(admin, order))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif mermaid:
        click.echo("\n".join(f"```mermaid\n{saga['diagram']}```" for saga in found))
    else:
        for saga in found:
            saga_view.show(Console(highlight=False), saga)


def executions_of(admin: Admin, order: str) -> list[Json]:
    """Returns the order's saga and its cancellation. Only one may exist: an early cancelled order has no own saga."""
    names = [order] if order.endswith(_CANCELLATION) else [order, order + _CANCELLATION]
    found: list[Json] = []
    for name in names:
        try:
            found.append(admin.get(f"/ops/sagas/{name}"))
        except Refused as refused:
            if refused.status != 404 or (name == names[-1] and not found):
                raise
    return found


@saga.command()
@click.argument("order")
@click.option("--retry", is_flag=True, help="Retry the stuck step.")
@click.option("--skip", metavar="STEP", help="Continue after STEP, the stuck step, which you complete by other means.")
@click.option("--reason", required=True, help="The reason, for the audit.")
def resume(order: str, retry: bool, skip: str | None, reason: str) -> None:
    """Resume the parked saga of ORDER. Of two concurrent operators one succeeds.

    Does nothing if it is now parked in another step than STEP, so a repeated skip skips no other step.
    """
    if retry == (skip is not None):
        raise click.UsageError("choose --retry or --skip STEP")
    chosen = {"action": "retry"} if retry else {"action": "skip", "step": skip}
    answer = session.post(f"/ops/sagas/{order}/resume", chosen | {"reason": reason})
    click.echo(f"{answer['action']} {answer['step']} of order {order}: sent. See mercato saga show {order}")


@saga.command()
@click.argument("order")
@click.option("--reason", required=True, help="The reason, for the audit.")
def redrive(order: str, reason: str) -> None:
    """Redrive a saga that failed as a workflow: stopped, timed out, or ended by a defect of its definition.

    It continues in the state in which it stopped. Refuses a saga that undid its order, since it is complete.
    """
    answer = session.post(f"/ops/sagas/{order}/redrive", {"reason": reason})
    click.echo(f"redriven from {answer['step']}: order {order}. See mercato saga show {order}")

"""`mercato saga`: list, show, resume and redrive, over the shop's own API and as its admin."""

from __future__ import annotations

import json

import click
from rich.console import Console

from infra.operator import saga_view, session
from infra.operator.client import Refused
from infra.operator.session import Admin, Json

_CANCELLATION = ".cancellation"


@click.group()
def saga() -> None:
    """The sagas that carry the orders: what each did, and what waits for an operator.

    \b
    mercato saga list --parked                              what waits, and why
    mercato saga show ORDER                                 each step, as a timeline
    mercato saga resume ORDER --retry --reason "it is back"
    mercato saga resume ORDER --skip RefundPayment --reason "refunded by hand, ref 4711"
    mercato saga redrive ORDER --reason "stopped by mistake"

    ORDER is the order's id, or as `list` shows it: ORDER.cancellation undoes a cancelled one. See docs/runbook.md.
    """


@saga.command(name="list")
@click.option("--parked", is_flag=True, help="Only those that wait for an operator, the longest waiting first.")
@click.option(
    "--status",
    type=click.Choice(["running", "succeeded", "failed", "timed_out", "aborted"]),
    help="Only executions in this state. An order that was undone ends as failed, too.",
)
@click.option(
    "--kind", type=click.Choice(["order", "cancellation"]), help="Only the sagas of orders, or what undoes them."
)
@click.option(
    "--ending",
    type=click.Choice(["completed", "declined", "out_of_stock", "expired", "cancelled", "failed"]),
    help="Only those that ended so: `failed` leaves out what the bank, the stock or the customer ended.",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100), help="Look at so many sagas.")
def list_sagas(parked: bool, status: str | None, kind: str | None, ending: str | None, limit: int) -> None:
    """The sagas, the newest first."""
    if parked and status:
        raise click.UsageError("choose --parked or --status, not both")
    chosen = {name: value for name, value in {"kind": kind, "ending": ending}.items() if value}
    page = session.get("/ops/sagas", status="parked" if parked else status or "all", limit=limit, **chosen)
    saga_view.show_list(Console(highlight=False), page, parked=parked)


@saga.command()
@click.argument("order")
@click.option("--json", "as_json", is_flag=True, help="All that the API tells.")
@click.option("--mermaid", is_flag=True, help="A Mermaid state diagram with the way taken, to paste into Markdown.")
def show(order: str, as_json: bool, mermaid: bool) -> None:
    """The sagas of ORDER as a timeline: each step, its tries and errors, and the way it took.

    Where the customer cancelled, there are two: the order's own, and the one that undoes it beside the first.
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
    """At least one: an order whose cancellation came first has no saga of its own."""
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
@click.option("--retry", is_flag=True, help="Try the stuck step again.")
@click.option("--skip", metavar="STEP", help="Go on with what follows STEP, the stuck one: it is done by other means.")
@click.option("--reason", required=True, help="Why, for the audit.")
def resume(order: str, retry: bool, skip: str | None, reason: str) -> None:
    """Let the parked saga of ORDER go on. Of two operators one gets through.

    Where it is parked in another step than STEP by now, nothing is done: to say a skip again skips nothing else.
    """
    if retry == (skip is not None):
        raise click.UsageError("say --retry or --skip STEP")
    chosen = {"action": "retry"} if retry else {"action": "skip", "step": skip}
    answer = session.post(f"/ops/sagas/{order}/resume", chosen | {"reason": reason})
    click.echo(f"{answer['action']} {answer['step']} of order {order}: sent. See mercato saga show {order}")


@saga.command()
@click.argument("order")
@click.option("--reason", required=True, help="Why, for the audit.")
def redrive(order: str, reason: str) -> None:
    """Let a saga go on that failed as a workflow: stopped, timed out, or ended by a defect of its definition.

    It goes on in the state in which it stopped. A saga that undid its order has ended as it should, and is refused.
    """
    answer = session.post(f"/ops/sagas/{order}/redrive", {"reason": reason})
    click.echo(f"redriven from {answer['step']}: order {order}. See mercato saga show {order}")

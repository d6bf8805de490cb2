"""`mercato dlq`: lists, shows and redrives dead letters through the shop's API as an admin."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.operator import session
from infra.operator.client import ShopError
from infra.operator.session import Admin, Json

_ADDED = ("examined", "matched", "redriven", "left_behind")
_CUT_OFF = "It ended early. Letters that were looked at are hidden for up to ten minutes: run it again then."
_SENDS_AND_DELETES = "Redriven letters go back to their queue. An event that took effect before has no second effect."


@click.group()
def dlq() -> None:
    """Dead letters: the messages that consumers could not handle. List, show and redrive them.

    \b
    mercato dlq list                                  the queues, with counts and reasons
    mercato dlq show orders                           the letters of one queue
    mercato dlq redrive orders --reason malformed     a dry run: the letters that it would send
    mercato dlq redrive orders --reason malformed --send --note "bug 12 is fixed"

    QUEUE is a queue's name, in full (mercato-orders-dlq) or in short (orders). See docs/dead-letters.md.
    """


@dlq.command(name="list")
def list_queues() -> None:
    """List every dead-letter queue with its size, age and reasons.

    Messages and in flight are SQS's approximate counts. Oldest and reasons are of a sample: at most 50 letters that are
    visible now. `~` marks a sample that is not the whole queue.
    """
    page = session.get("/ops/dlq")
    table = Table(title=f"dead letters: {page['total']}", title_justify="left")
    for heading in ("queue", "goes back to"):
        table.add_column(heading, overflow="fold")
    for heading in ("messages", "in flight", "oldest"):
        table.add_column(heading, justify="right")
    table.add_column("reasons", overflow="fold")
    for queue in page["items"]:
        sample = queue["sample"]
        style = "bold red" if queue["messages"] else "dim" if not queue["in_flight"] else "yellow"
        table.add_row(
            escape(queue["queue"]),
            escape(queue["source"] or "–"),
            str(queue["messages"]),
            str(queue["in_flight"]),
            _age(sample["oldest_age_seconds"]),
            escape(_reasons(sample)),
            style=style,
        )
    Console(highlight=False).print(table)


@dlq.command()
@click.argument("queue")
@click.option("--type", "event_type", help="Only events of this type.")
@click.option("--reason", help="Only letters with this reason.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 100), help="Look at so many letters.")
@click.option("--body", is_flag=True, help="Show the messages too. They may hold customers' data.")
def show(queue: str, event_type: str | None, reason: str | None, limit: int, body: bool) -> None:
    """Show the letters of QUEUE: the event, the reason, and the history.

    SQS has no peek, so each letter is hidden from others for a moment. Tries count the deliveries to the consumer. For
    messages that the queue itself moved here, they count every look too.
    """
    chosen = {"type": event_type, "reason": reason, "with_body": "true" if body else None}
    page = session.get(f"/ops/dlq/{queue}/messages", limit=limit, **{k: v for k, v in chosen.items() if v})
    console = Console(highlight=False)
    sample = page["sample"]
    whole = "all that can be seen" if sample["is_whole"] else "a sample"
    console.print(f"[bold]{escape(page['queue'])}[/]: {page['messages']} messages; looked at {sample['size']}, {whole}")
    if page["items"]:
        console.print(_letters(page["items"]))
    for letter in page["items"] if body else ():
        console.print(f"[bold]{letter['message_id']}[/]")
        console.print(letter["body"], markup=False, soft_wrap=True)


@dataclass(frozen=True)
class Choice:
    """The letters to redrive: all matching ones, at most `most`."""

    queue: str | None
    event_type: str | None
    reason: str | None
    ids: Sequence[str]
    most: int


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the arguments and options of a Choice to a command, which gets the Choice as its first argument."""

    @click.argument("queue", required=False)
    @click.option("--type", "event_type", help="Only events of this type.")
    @click.option("--reason", help="Only letters with this reason.")
    @click.option("--id", "ids", multiple=True, help="Only this message or event; may be repeated.")
    @click.option(
        "--max", "most", default=100, show_default=True, type=click.IntRange(1, 500), help="The most to send."
    )
    @functools.wraps(command)
    def choose(
        queue: str | None, event_type: str | None, reason: str | None, ids: Sequence[str], most: int, **others: Any
    ) -> None:
        command(Choice(queue, event_type, reason, ids, most), **others)

    return choose


@dlq.command()
@_choosing
@click.option("--send", is_flag=True, help="Send the letters. Without this, only show them.")
@click.option("--note", help="The reason, for the audit. Required with --send.")
def redrive(choice: Choice, send: bool, note: str | None) -> None:
    """Send letters of QUEUE, or of all queues, back to the queue they came from. A dry run unless --send.

    Choose by QUEUE, --type, --reason or --id, or several of them. Each letter counts its redrives. Consumers are
    idempotent, so a redrive may be repeated.

    Exits with 1 if a letter could not be sent or deleted.
    """
    if send and not note:
        raise click.UsageError('--send needs --note "why": it goes into the audit')
    body = {"queue": choice.queue, "type": choice.event_type, "reason": choice.reason, "note": note}
    chosen = {name: value for name, value in body.items() if value}
    console = Console(highlight=False)
    answer = session.call(
        lambda admin: _redriven(admin, chosen | {"ids": list(choice.ids), "dry_run": not send}, choice.most, console)
    )
    letters = [letter for result in answer["items"] for letter in result["letters"]]
    if letters:
        console.print(_letters(letters))
    for result in answer["items"]:
        console.print(_outcome(result, send), markup=False)
    if not send:
        console.print('[yellow]a dry run: nothing was sent[/]; add --send --note "why"')
    else:
        console.print(_SENDS_AND_DELETES, style="dim")
    if any(result["failure"] for result in answer["items"]):
        raise SystemExit(1)


def _redriven(admin: Admin, body: Json, most: int, console: Console) -> Json:
    """Combines the results of as many calls as needed. Prints the progress after each."""
    items: dict[str, Json] = {}
    cursor: dict[str, str] = {}
    matched = 0
    while True:
        try:
            answer: Json = admin.post("/ops/dlq/redrive", body | {"max": max(1, most - matched)} | cursor)
        except (ShopError, KeyboardInterrupt):
            for result in items.values():
                console.print(_outcome(result, not body["dry_run"]), markup=False)
            if items:
                console.print(_CUT_OFF, style="yellow")
            raise
        matched += answer["matched"]
        for result in answer["items"]:
            before = items.get(result["queue"], dict.fromkeys(_ADDED, 0) | {"letters": [], "failure": None})
            added = {name: before[name] + result[name] for name in (*_ADDED, "letters")}
            items[result["queue"]] = result | added | {"failure": before["failure"] or result["failure"]}
        if not answer.get("next_cursor"):
            return answer | {"items": list(items.values()), "matched": matched}
        cursor = {"cursor": answer["next_cursor"]}
        looked = sum(item["examined"] for item in items.values())
        console.print(f"looked at {looked}, {matched} match …", style="dim")


def _outcome(result: Json, send: bool) -> str:
    done = f"{result['redriven']} redriven" if send else f"{result['matched']} would go back"
    parts = [f"{result['queue']}: looked at {result['examined']}, {done}"]
    if result["left_behind"]:
        parts.append(f"{result['left_behind']} sent but still here")
    if result["failure"]:
        parts.append(f"stopped: {result['failure']}")
    elif not result["is_whole"]:
        parts.append("there may be more: run it again")
    return "; ".join(parts)


def _letters(letters: list[Json]) -> Table:
    table = Table(show_lines=True)
    for heading in ("event", "ids", "reason", "history"):
        table.add_column(heading, overflow="fold")
    for letter in letters:
        history = [
            f"{letter['receive_count']} tries, {letter['redrive_count']} redrives",
            f"first failed {letter['first_failed_at'] or 'unknown'}",
            f"here since {letter['sent_at']}",
        ]
        names = ("message_id", "event_id", "subject", "correlation_id")
        known = [f"{name.removesuffix('_id')} {letter[name]}" for name in names if letter[name]]
        table.add_row(
            escape(letter["event_type"] or "–"),
            escape("\n".join(known)),
            f"[bold]{escape(letter['reason'])}[/]\n{escape(letter['detail'])}",
            escape("\n".join(history)),
        )
    return table


def _reasons(sample: Json) -> str:
    reasons = ", ".join(f"{count} × {reason}" for reason, count in sample["reasons"].items())
    return reasons if sample["is_whole"] else f"~ {reasons}"


def _age(seconds: int | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

"""`mercato events replay`: delivers past events to one consumer again.

On AWS the events come from the bus's archive, by an EventBridge replay to the consumer's rule only. The other source is
the shop's own tables, which keep orders' events permanently and other published events for 15 days. The local cloud
has no archive, and a restored shop's archive is new, so they need the tables. A consumer drops an event that it has
handled: its inbox has a marker for 45 days, or the effect exists already.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.status import Status

from infra.operator import target
from infra.operator.accounts import use_cloud_of
from infra.operator.backup.tables import find_tables, scan
from infra.operator.parts import ARCHIVE, RULE, Part, parts_of
from infra.operator.refusals import as_trouble
from infra.operator.target import Target
from infra.trouble import Trouble
from mercato.clock import rfc3339, utc_now
from mercato.events import inbox, outbox
from mercato.store.dynamo import Table
from ops.journal.store import KEPT as JOURNAL_KEPT
from ops.journal.store import Journal

# A marker is never older than its event. The extra day allows for a long replay.
OLDEST = inbox.KEPT - timedelta(days=1)
# EventBridge documents that an event may take ten minutes to reach the archive.
ARCHIVED_WITHIN = timedelta(minutes=10)
_AGAIN = "Run the same command again. What was delivered before has no second effect."
_LETTERS, _BYTES = 10, 250_000  # of one SendMessageBatch
_EVERY = 5.0  # seconds between two polls of a replay

Json = dict[str, Any]


@dataclass(frozen=True)
class Consumer:
    """A consumer of the bus. `types` are the event types of its rule, or None if the rule takes every event."""

    name: str
    queue_url: str
    rule_arn: str
    types: frozenset[str] | None

    def hears(self, event_type: str) -> bool:
        return self.types is None or event_type in self.types


@dataclass(frozen=True)
class Window:
    """A time window that includes its begin and excludes its end."""

    begin: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.begin <= moment < self.end

    def __str__(self) -> str:
        return f"{rfc3339(self.begin)} to {rfc3339(self.end)}"


def find_consumers(shop: Target, parts: Sequence[Part]) -> dict[str, Consumer]:
    """Returns the subscriptions to the shop's bus by the consumer's name: orders, notifications, …"""
    events, bus = target.client(shop, "events"), shop.outputs["BusName"]
    by_path = {part.path: part for part in parts}
    found = {}
    for part in parts:
        queue = by_path.get(f"{part.path.removesuffix('Rule')}Queue")
        if part.kind != RULE or queue is None:
            continue
        try:
            rule = events.describe_rule(Name=part.id.rpartition("|")[2], EventBusName=bus)
        except events.exceptions.ResourceNotFoundException:
            continue  # a rule of the default bus, which has AWS's own events
        name = queue.id.rpartition("/")[2].removeprefix(f"{shop.stack}-")
        types = json.loads(rule["EventPattern"]).get("detail-type")
        found[name] = Consumer(name, queue.id, rule["Arn"], None if types is None else frozenset(types))
    return found


class Outboxes:
    """The events in the shop's tables."""

    def __init__(self, shop: Target, parts: Sequence[Part]) -> None:
        self._shop = shop
        self._parts = parts

    def find(self, window: Window, consumers: Sequence[Consumer]) -> list[Json]:
        """Returns the envelopes that a consumer hears, ordered by time, and those of one entity by sequence."""
        dynamodb = target.client(self._shop, "dynamodb")
        found = []
        for table in find_tables(dynamodb, self._parts):
            for item in scan(dynamodb, table):
                envelope = json.loads(item["event"]["S"]) if "S" in item.get("event", {}) else None
                if envelope and _time_of(envelope) in window and any(one.hears(envelope["type"]) for one in consumers):
                    found.append(envelope)
        return sorted(found, key=lambda one: (_time_of(one), one["subject"], int(one.get("sequence", 0))))


def send(shop: Target, consumer: Consumer, envelopes: Sequence[Json], progress: Callable[[int], None]) -> None:
    """Sends the events to the consumer's queue in the format of its rule. Raises Trouble if SQS refuses an event."""
    sqs = target.client(shop, "sqs")
    for batch in _batches([_message(shop, envelope) for envelope in envelopes]):
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(batch)]
        answer = sqs.send_message_batch(QueueUrl=consumer.queue_url, Entries=entries)
        if failed := answer.get("Failed"):
            raise Trouble(f"SQS did not take {len(failed)} events, such as for {failed[0]['Message']}", _AGAIN)
        progress(len(batch))


def _message(shop: Target, envelope: Json) -> str:
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, envelope["id"])),
            "detail-type": envelope["type"],
            "source": envelope["source"],
            "time": envelope["time"],
            "region": shop.region,
            "resources": [],
            "detail": envelope,
        },
        ensure_ascii=False,
    )


def _batches(bodies: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if batch and (len(batch) == _LETTERS or size + length > _BYTES):
            yield batch
            batch, size = [], 0
        batch.append(body)
        size += length
    if batch:
        yield batch


def _time_of(envelope: Json) -> datetime:
    return datetime.fromisoformat(envelope["time"]).astimezone(UTC)


class Archive:
    """The archive of the shop's bus. `sleep` is passed in for tests."""

    def __init__(self, shop: Target, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._events = target.client(shop, "events")
        self._bus_arn = self._events.describe_event_bus(Name=shop.outputs["BusName"])["Arn"]
        self._archive = self._events.describe_archive(ArchiveName=name)
        self._arn = self._archive.get("ArchiveArn") or self._bus_arn.partition(":event-bus/")[0] + f":archive/{name}"
        self._sleep = sleep

    def require(self, window: Window, now: datetime) -> None:
        """Raises Trouble if the archive cannot have all events of the window."""
        begun = self._archive["CreationTime"].astimezone(UTC)
        days = int(self._archive.get("RetentionDays", 0))
        if days:
            begun = max(begun, now - timedelta(days=days))
        if window.begin < begun:
            raise Trouble(
                f"the archive has the events since {rfc3339(begun)} only",
                "Begin there, or take the events from the tables, which have those of 15 days: --source tables.",
            )
        if window.end > now - ARCHIVED_WITHIN:
            raise Trouble(
                "an event may take ten minutes until it is in the archive",
                f"Choose --until {rfc3339(now - ARCHIVED_WITHIN)} or earlier, or wait.",
            )

    def replay(self, consumer: Consumer, window: Window, again: bool, tell: Callable[[Json], None]) -> Json:
        """Replays to the consumer's rule and waits for the end.

        Idempotent: if the same replay is running, waits for it, and if it is completed, does nothing unless `again` is
        True. Starts a replay again that was cancelled or failed.
        """
        for attempt in itertools.count(1):
            name = self._name(consumer, window, attempt)
            found = self._find(name)
            if found is None:
                self._start(name, consumer, window)
            elif found["State"] in ("CANCELLED", "FAILED") or (again and found["State"] == "COMPLETED"):
                continue
            return self._wait(name, tell)
        raise AssertionError("unreachable")

    def _name(self, consumer: Consumer, window: Window, attempt: int) -> str:
        about = hashlib.sha256(f"{self._arn} {consumer.rule_arn} {window}".encode()).hexdigest()[:16]
        return f"{consumer.name[:30]}-{about}-{attempt}"

    def _find(self, name: str) -> Json | None:
        try:
            found: Json = self._events.describe_replay(ReplayName=name)
        except self._events.exceptions.ResourceNotFoundException:
            return None
        return found

    def _start(self, name: str, consumer: Consumer, window: Window) -> None:
        try:
            self._events.start_replay(
                ReplayName=name,
                EventSourceArn=self._arn,
                EventStartTime=window.begin,
                EventEndTime=window.end,
                Destination={"Arn": self._bus_arn, "FilterArns": [consumer.rule_arn]},
            )
        except self._events.exceptions.ResourceAlreadyExistsException:
            return  # another run of the same command started it at the same time
        except self._events.exceptions.LimitExceededException:
            raise Trouble(
                "EventBridge runs as many replays as it may (10)", "Wait until one ends, and run it again."
            ) from None

    def _wait(self, name: str, tell: Callable[[Json], None]) -> Json:
        while True:
            found: Json = self._events.describe_replay(ReplayName=name)
            tell(found)
            if found["State"] == "COMPLETED":
                return found
            if found["State"] in ("CANCELLED", "FAILED"):
                raise Trouble(f"the replay {name} has {found['State'].lower()}: {found.get('StateReason', '')}", _AGAIN)
            self._sleep(_EVERY)


def count_in_journal(shop: Target, parts: Sequence[Part], window: Window, consumer: Consumer) -> int | None:
    """Counts the consumer's events in the window by the journal. None if the journal does not reach back so far."""
    now = utc_now()
    if window.begin < now - JOURNAL_KEPT:
        return None
    use_cloud_of(shop)
    [table] = [part.id for part in parts if part.path.endswith("JournalTable")]
    return Journal(Table(table)).count(window.begin, window.end, consumer.hears, now)


class Moment(click.ParamType):
    """An RFC 3339 time. Without an offset it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-11-28T12:00:00Z", param, ctx)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


@click.group()
def events() -> None:
    """Past events: deliver them to a consumer again."""


@events.command()
@click.option("--to", "name", required=True, help="The consumer, such as notifications, or `all`.")
@click.option(
    "--from", "begin", required=True, type=Moment(), help="The time of the first event: 2026-11-28T12:00:00Z."
)
@click.option("--until", "end", required=True, type=Moment(), help="The time before which the last event happened.")
@click.option("--dry-run", is_flag=True, help="Say what would be delivered, and deliver nothing.")
@click.option(
    "--source",
    type=click.Choice(["archive", "tables"]),
    help="The bus's archive, or the shop's own tables (15 days). Default: the archive, if the shop has one.",
)
@click.option("--again", is_flag=True, help="Replay from the archive although the same replay was done before.")
def replay(name: str, begin: datetime, end: datetime, dry_run: bool, source: str | None, again: bool) -> None:
    """Deliver the events of a time window to one consumer again. Other consumers receive nothing.

    Safe to repeat: a consumer drops events that it has handled within the last 45 days, and the command refuses older
    events. If it is interrupted, run the same command again.
    """
    window = Window(begin, end)
    try:
        _check(window, utc_now())
        shop = target.chosen()
        with as_trouble(_AGAIN):
            job = _Job(Console(highlight=False), shop, parts_of(shop), window, dry_run)
            chosen = job.consumers(name)
            archives = [part.id for part in job.parts if part.kind == ARCHIVE]
            if source == "archive" and not archives:
                raise Trouble(f"{shop.stack} has no archive of its events", "Take its tables: --source tables.")
            if archives and source != "tables":
                job.from_archive(Archive(shop, archives[0]), chosen, again)
            else:
                job.from_tables(chosen)
    except Trouble as trouble:
        raise click.ClickException(f"{trouble.what}.\n{trouble.remedy}") from None


def _check(window: Window, now: datetime) -> None:
    if window.end <= window.begin:
        raise Trouble("--until is not after --from", "An event belongs to the window from --from until before --until.")
    if window.begin < now - OLDEST:
        raise Trouble(
            f"consumers remember for {inbox.KEPT.days} days what they have handled",
            f"An older event could take effect twice, so --from is {rfc3339(now - OLDEST)} or later.",
        )


@dataclass(frozen=True)
class _Job:
    console: Console
    shop: Target
    parts: Sequence[Part]
    window: Window
    dry_run: bool

    def consumers(self, name: str) -> list[Consumer]:
        found = find_consumers(self.shop, self.parts)
        if name != "all" and name not in found:
            raise Trouble(f"{self.shop.stack} has no consumer {name}", f"It has {', '.join(sorted(found))}.")
        return [consumer for key, consumer in sorted(found.items()) if name in ("all", key)]

    def from_archive(self, archive: Archive, consumers: Sequence[Consumer], again: bool) -> None:
        archive.require(self.window, utc_now())
        for consumer in consumers:
            if self.dry_run:
                count = count_in_journal(self.shop, self.parts, self.window, consumer)
                told = "an unknown number of" if count is None else f"{count}"
                self._say(consumer, f"{told} events of {self.window} would be replayed from the archive")
                continue
            with self.console.status(f"{consumer.name} …") as status:
                found = archive.replay(consumer, self.window, again, partial(_show, status, consumer))
            self._say(consumer, f"the replay {found['ReplayName']} of {self.window} is completed")

    def from_tables(self, consumers: Sequence[Consumer]) -> None:
        if self.window.begin < utc_now() - outbox.KEPT:
            days = outbox.KEPT.days
            self.console.print(f"[yellow]The tables keep events for {days} days, and those of orders for good.[/]")
        everything = Outboxes(self.shop, self.parts).find(self.window, consumers)
        for consumer in consumers:
            envelopes = [one for one in everything if consumer.hears(one["type"])]
            if self.dry_run:
                self._say(consumer, f"{len(envelopes)} events of {self.window} would be delivered from the tables")
                continue
            with Progress(console=self.console, transient=True) as progress:
                task = progress.add_task(consumer.name, total=len(envelopes))
                send(self.shop, consumer, envelopes, partial(progress.advance, task))
            self._say(consumer, f"{len(envelopes)} events are in its queue again")

    def _say(self, consumer: Consumer, text: str) -> None:
        self.console.print(f"{consumer.name}: {text}", soft_wrap=True)


def _show(status: Status, consumer: Consumer, found: Json) -> None:
    last = found.get("EventLastReplayedTime")
    status.update(f"{consumer.name}: {found['State'].lower()}{f', has come to {last}' if last else ''}")

"""A replay reaches one consumer, and may be repeated."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from infra.operator import events, target
from infra.operator.events import Archive, Window, find_consumers
from infra.operator.parts import ARCHIVE, Part, parts_of
from infra.trouble import Trouble
from mercato.clock import rfc3339, utc_now
from mercato.events import inbox
from mercato.store import dynamo
from tests.integration.backup.conftest import OLD, REGION, Deployed
from tests.kit.given import published
from tests.kit.template import load_template

HOUR = timedelta(hours=1)


@pytest.fixture
def now() -> datetime:
    return utc_now().replace(microsecond=0)


@pytest.fixture
def shop(old: Deployed, now: datetime) -> Deployed:
    """Two orders of today, one of them cancelled by a record of the outbox."""
    old.place_order("today", now - 2 * HOUR)
    about = {"source": "mercato.orders", "time": rfc3339(now - HOUR), "sequence": 2}
    envelope = published("order.cancelled", "today", {"order_id": "today"}, **about)
    record = {"pk": "OUTBOX#today", "sk": "0000000002#order.cancelled", "event": json.dumps(envelope)}
    old.table("CartsTable").write(dynamo.put(record))
    return old


def replay(shop: Deployed, to: str, begin: datetime, end: datetime, *more: str) -> Any:
    return shop.run("events", "replay", "--to", to, "--from", rfc3339(begin), "--until", rfc3339(end), *more)


def types(messages: list[dict[str, Any]]) -> list[str]:
    return [message["detail-type"] for message in messages]


def test_a_consumer_gets_the_events_of_the_window_that_its_rule_names(shop: Deployed, now: datetime) -> None:
    done = replay(shop, "notifications", now - 3 * HOUR, now)
    assert done.exit_code == 0, done.output
    assert "notifications: 2 events are in its queue again" in done.output
    got = shop.queue("notifications")
    assert types(got) == ["order.created", "order.cancelled"]
    assert got[1]["detail"]["data"] == {"order_id": "today"}
    assert got[1]["source"] == "mercato.orders"
    assert shop.queue("orders") == [], "another consumer hears nothing"


def test_the_window_ends_before_its_end(shop: Deployed, now: datetime) -> None:
    replay(shop, "notifications", now - 2 * HOUR, now - HOUR)
    assert types(shop.queue("notifications")) == ["order.created"]


def test_every_subscription_is_a_consumer_whatever_it_is_called_in_its_template(shop: Deployed) -> None:
    chosen = shop.chosen()
    found = find_consumers(chosen, parts_of(chosen))
    assert set(found) == {"orders", "notifications", "documents-pdf", "ops"}
    assert found["documents-pdf"].types == frozenset({"document.issued"})
    assert found["ops"].types is None, "its rule names no type"


def test_all_means_each_consumer_with_what_it_hears(shop: Deployed, now: datetime) -> None:
    assert replay(shop, "all", now - 3 * HOUR, now).exit_code == 0
    assert types(shop.queue("orders")) == ["order.created"]
    assert len(shop.queue("notifications")) == 2
    assert types(shop.queue("ops")) == ["order.created", "order.cancelled"], "its rule names no type"


def test_a_replay_that_was_interrupted_is_complete_after_the_same_command(
    shop: Deployed, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first event is delivered twice, with the id by which the consumer's inbox drops the duplicate."""
    make_call, sent = BaseClient._make_api_call, 0  # type: ignore[attr-defined]

    def dies(client: Any, operation: str, about: Any) -> Any:
        nonlocal sent
        sent += operation.startswith("SendMessage")
        if sent == 2 and operation.startswith("SendMessage"):
            raise ClientError({"Error": {"Code": "ExpiredToken", "Message": "no"}}, operation)
        return make_call(client, operation, about)

    with monkeypatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", dies)
        patch.setattr(events, "_LETTERS", 1)  # of one call
        interrupted = replay(shop, "notifications", now - 3 * HOUR, now)
    assert interrupted.exit_code == 1
    assert "Run the same command again" in interrupted.output
    assert replay(shop, "notifications", now - 3 * HOUR, now).exit_code == 0
    got = shop.queue("notifications")
    assert types(got) == ["order.created", "order.created", "order.cancelled"]
    assert len({message["detail"]["id"] for message in got}) == 2


def test_a_dry_run_delivers_nothing_and_counts(shop: Deployed, now: datetime) -> None:
    done = replay(shop, "notifications", now - 3 * HOUR, now, "--dry-run")
    assert "notifications: 2 events of" in done.output
    assert shop.queue("notifications") == []


@pytest.mark.parametrize(
    ("to", "begin", "end", "said"),
    [
        ("nobody", 3 * HOUR, HOUR, f"{OLD} has no consumer nobody"),
        ("orders", HOUR, HOUR, "--until is not after --from"),
        ("orders", inbox.KEPT, HOUR, "consumers remember for 45 days"),
    ],
)
def test_what_cannot_be_replayed_is_refused(
    shop: Deployed, now: datetime, to: str, begin: timedelta, end: timedelta, said: str
) -> None:
    done = replay(shop, to, now - begin, now - end)
    assert done.exit_code == 1
    assert said in done.output
    assert shop.queue("orders") == []


def test_an_archive_that_is_asked_for_and_not_there_is_named(shop: Deployed, now: datetime) -> None:
    done = replay(shop, "orders", now - HOUR, now, "--source", "archive")
    assert done.exit_code == 1
    assert "has no archive" in done.output


def test_no_archive_keeps_events_longer_than_a_consumer_remembers_them() -> None:
    most = load_template("template.yaml")["Parameters"]["EventArchiveDays"]["MaxValue"]
    assert timedelta(days=most) <= events.OLDEST


class Events:
    """EventBridge's replays, which moto ends before it answers. All else is moto's."""

    def __init__(self, *states: str) -> None:
        self.real = boto3.client("events", REGION)
        self.exceptions = self.real.exceptions
        self.states = list(states)
        self.replays: dict[str, dict[str, Any]] = {}
        self.started: list[dict[str, Any]] = []

    def start_replay(self, **asked: Any) -> None:
        if asked["ReplayName"] in self.replays:
            raise self.exceptions.ResourceAlreadyExistsException({"Error": {}}, "StartReplay")
        self.started.append(asked)
        self.replays[asked["ReplayName"]] = {"ReplayName": asked["ReplayName"], "State": "STARTING"}

    def describe_replay(self, ReplayName: str) -> dict[str, Any]:  # noqa: N803
        if ReplayName not in self.replays:
            raise self.exceptions.ResourceNotFoundException({"Error": {}}, "DescribeReplay")
        found = self.replays[ReplayName]
        if found["State"] in ("STARTING", "RUNNING"):
            found["State"] = self.states.pop(0)
        return dict(found)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.fixture
def archived(shop: Deployed, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    real = boto3.client("events", REGION)
    bus = real.describe_event_bus(Name=OLD)["Arn"]
    real.create_archive(ArchiveName="EventArchive", EventSourceArn=bus, RetentionDays=30)
    return shop


def archive_of(shop: Deployed, fake: Events, monkeypatch: pytest.MonkeyPatch) -> Archive:
    chosen, real = shop.chosen(), target.client
    monkeypatch.setattr(target, "client", lambda one, service: fake if service == "events" else real(one, service))
    return Archive(chosen, "EventArchive", sleep=lambda _: None)


def test_an_archive_is_replayed_to_the_rule_of_the_consumer_alone(
    archived: Deployed, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, shop = Events("RUNNING", "COMPLETED", "COMPLETED"), archived.chosen()
    consumer = find_consumers(shop, parts_of(shop))["notifications"]
    archive, window = archive_of(archived, fake, monkeypatch), Window(now - HOUR, now)
    told: list[dict[str, Any]] = []
    archive.replay(consumer, window, False, told.append)
    [asked] = fake.started
    assert asked["Destination"]["FilterArns"] == [consumer.rule_arn]
    assert (asked["EventStartTime"], asked["EventEndTime"]) == (window.begin, window.end)
    assert len(asked["ReplayName"]) <= 64
    assert [one["State"] for one in told] == ["RUNNING", "COMPLETED"]
    archive.replay(consumer, window, False, told.append)
    assert len(fake.started) == 1, "the same replay is done once"
    archive.replay(consumer, window, True, told.append)
    assert len(fake.started) == 2


def test_a_replay_that_is_under_way_is_waited_for_and_a_failed_one_begun_again(
    archived: Deployed, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, shop = Events("FAILED", "RUNNING", "COMPLETED"), archived.chosen()
    consumer = find_consumers(shop, parts_of(shop))["orders"]
    archive, window = archive_of(archived, fake, monkeypatch), Window(now - HOUR, now)
    with pytest.raises(Trouble, match="has failed"):
        archive.replay(consumer, window, False, lambda _: None)

    class Killed(BaseException):
        pass

    def kill(_: Any) -> None:
        raise Killed

    with pytest.raises(Killed):
        archive.replay(consumer, window, False, kill)
    archive.replay(consumer, window, False, lambda _: None)
    assert len(fake.started) == 2


def test_the_archive_says_what_it_cannot_have(archived: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_of(archived, Events(), monkeypatch)
    now = datetime.now(UTC)
    with pytest.raises(Trouble, match="has the events since"):
        archive.require(Window(now - HOUR, now - HOUR / 2), now)
    with pytest.raises(Trouble, match="ten minutes"):
        archive.require(Window(now + HOUR, now + 2 * HOUR), now + 2 * HOUR)
    archive.require(Window(now + HOUR, now + 2 * HOUR), now + 3 * HOUR)


def test_the_command_replays_from_the_archive_where_there_is_one(
    archived: Deployed, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With moto's own replay, which delivers to all rules."""
    monkeypatch.setattr(events, "parts_of", lambda one: [*parts_of(one), Part("EventArchive", ARCHIVE, "EventArchive")])
    monkeypatch.setattr(Archive, "require", lambda *_: None)
    dry = replay(archived, "orders", now - HOUR, now, "--dry-run")
    assert "orders: 0 events of" in dry.output
    assert "would be replayed from the archive" in dry.output
    done = replay(archived, "orders", now - HOUR, now)
    assert done.exit_code == 0, done.output
    assert "is completed" in done.output

"""A backup of the deployed shop, and events of the past that its consumers get again."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from infra.demo.stage import Stage, is_delivered
from infra.operator import target
from infra.operator.backup.files import check, read_manifest
from infra.operator.client import Session, Shop, poll
from infra.operator.events import Outboxes, Window, find_consumers
from infra.operator.parts import TABLE, parts_of
from infra.operator.target import State
from mercato.clock import rfc3339, utc_now
from tests.e2e.test_stories import mercato

WITHIN = 120.0


@pytest.fixture
def stage(shop: Shop, admin: Session, shop_state: State) -> Stage:
    return Stage(shop, admin, shop_state.endpoint, WITHIN)


def test_a_backup_has_every_table_and_a_shop_in_use_takes_none(shop_state: State, tmp_path: Path) -> None:
    done = mercato("backup", "--live", str(tmp_path / "b"))
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "b")
    check(tmp_path / "b", manifest)
    assert {table.path for table in manifest.tables} == {
        part.path for part in parts_of(shop_state) if part.kind == TABLE
    }
    assert len(manifest.tables) >= 13
    refused = mercato("restore", str(tmp_path / "b"))
    assert refused.returncode == 1
    assert "mercato is in use" in refused.stderr


def test_a_consumer_gets_again_what_it_lost_and_drops_what_it_has(stage: Stage, shop_state: State) -> None:
    begin = utc_now()
    ines = stage.new_customer("Ines")
    email = ines.email
    order = stage.order(ines, stage.new_product("Replayed vase", 2500, stock=3), 1)["order_id"]
    ines.wait_for_order(order, is_delivered, what="delivered", within=WITHIN)
    [lost] = stage.notifications_of(ines, "order_delivered", order)
    [kept] = stage.notifications_of(ines, "order_confirmed", order)
    sent = {subject: len(stage.mails_to(email, subject)) for subject in (lost["subject"], kept["subject"])}
    assert sent == {lost["subject"]: 1, kept["subject"]: 1}

    # The consumer loses the delivery's event: of its handling there is no trace.
    window = Window(begin - timedelta(seconds=1), utc_now())
    parts = parts_of(shop_state)
    heard = Outboxes(shop_state, parts).find(window, [find_consumers(shop_state, parts)["notifications"]])
    delivered = [one for one in heard if one["type"] == "order.delivered"]
    [event_id] = [one["id"] for one in delivered if one["data"]["order_id"] == order]
    for pk, sk in (
        (f"USER#{ines.get('/users/me')['user_id']}", f"N#{lost['notification_id']}"),
        (f"INBOX#{event_id}", "INBOX"),
        (f"OUTBOX#{lost['notification_id']}", "0000000001#notification.sent"),
    ):
        gone = target.client(shop_state, "dynamodb").delete_item(
            TableName=shop_state.tables["notifications"], Key={"pk": {"S": pk}, "sk": {"S": sk}}, ReturnValues="ALL_OLD"
        )
        assert "Attributes" in gone, (pk, sk)

    for _ in range(2):
        done = mercato(
            "events",
            "replay",
            *("--to", "notifications", "--from", rfc3339(window.begin), "--until", rfc3339(window.end)),
        )
        assert done.returncode == 0, done.stderr
        assert re.search(r"notifications: \d+ events are in its queue again", done.stdout)
    poll(lambda: len(stage.mails_to(email, lost["subject"])), lambda n: n == 2, what="the mail", within=WITHIN)
    sqs = target.client(shop_state, "sqs")
    queue = sqs.get_queue_url(QueueName=f"{shop_state.queues_prefix}notifications")["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def left() -> int:
        counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(counts[name]) for name in names)

    poll(left, lambda count: count == 0, what="the queue is empty", within=WITHIN)
    assert len(stage.mails_to(email, lost["subject"])) == 2, "the lost one is sent once more, by two replays"
    assert len(stage.mails_to(email, kept["subject"])) == 1
    assert len(stage.notifications_of(ines, "order_delivered", order)) == 1
    assert len(stage.notifications_of(ines, "order_confirmed", order)) == 1

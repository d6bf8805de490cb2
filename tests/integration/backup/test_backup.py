"""A backup has everything, or there is none."""

from __future__ import annotations

import errno
import gzip
import itertools
import json
import signal
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.operator.backup import files, quiet, tables, take
from infra.operator.backup.files import read_items, read_manifest
from infra.operator.parts import parts_of
from mercato.clock import utc_now
from mercato.store import dynamo
from tests.integration.backup.conftest import OLD, REGION, Deployed


def test_a_backup_has_each_item_of_each_table(old: Deployed, tmp_path: Path) -> None:
    done = old.run("backup", tmp_path / "b")
    assert done.exit_code == 0, done.output
    manifest = read_manifest(tmp_path / "b")
    assert {table.path for table in manifest.tables} == old.tables.keys()
    assert manifest.is_quiet
    assert manifest.shop == OLD
    for table in manifest.tables:
        found = [item for file in table.files for item in read_items(tmp_path / "b", file)]
        assert sorted(found, key=lambda item: (item["pk"]["S"], item["sk"]["S"])) == old.items(table.path), table.path
    assert {table.path: table.items for table in manifest.tables}["UsersTable"] == 1


def test_only_its_owner_may_read_it(old: Deployed, tmp_path: Path) -> None:
    old.run("backup", tmp_path / "b")
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "b").iterdir()} == {0o600}


def test_the_lines_are_those_of_an_export_of_dynamodb(old: Deployed, tmp_path: Path) -> None:
    old.run("backup", tmp_path / "b")
    [line] = gzip.decompress((tmp_path / "b" / "UsersTable.0.json.gz").read_bytes()).splitlines()
    item = {"pk": {"S": "USER#1"}, "sk": {"S": "USER"}, "email": {"S": "ann@example.com"}}
    assert json.loads(line) == {"Item": item}


def test_a_backup_overwrites_nothing(old: Deployed, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    done = old.run("backup", tmp_path / "b")
    assert done.exit_code == 1
    assert "exists already" in done.output
    assert list((tmp_path / "b").iterdir()) == []


def test_an_interrupted_backup_leaves_nothing(old: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_manifest", interrupted)
    assert old.run("backup", tmp_path / "b").exit_code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGTERM])
def test_a_backup_whose_terminal_or_process_is_ended_leaves_no_customers_data(
    old: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: signal.Signals
) -> None:
    def ignore(*_: object) -> None:
        """Of these tests: without a handler, the signal would end them."""

    monkeypatch.setattr(files, "write_manifest", lambda *_: signal.raise_signal(sent))
    before = signal.signal(sent, ignore)
    try:
        assert old.run("backup", tmp_path / "b").exit_code == 1
        assert list(tmp_path.iterdir()) == []
        assert signal.getsignal(sent) is ignore
    finally:
        signal.signal(sent, before)


def test_a_table_that_cannot_be_read_ends_the_backup_before_the_others_are_read_to_their_end(
    old: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan(_: Any, table: tables.Table, *__: int) -> Iterator[dict[str, Any]]:
        if table.path == "AuditTable":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Scan")
        return itertools.repeat({"pk": {"S": "p"}, "sk": {"S": "s"}})  # a table without an end

    monkeypatch.setattr(take, "scan", scan)
    done = old.run("backup", tmp_path / "b")
    assert (done.exit_code, "lack the permission Scan" in done.output) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_named(
    old: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.Writer, "write", full)
    done = old.run("backup", tmp_path / "b")
    assert done.exit_code == 1
    assert "b cannot be written: [Errno 28] No space left on device" in done.output.replace("\n", "")
    assert list(tmp_path.iterdir()) == []


def test_a_shop_at_work_gives_no_backup_and_says_what_it_does(old: Deployed, tmp_path: Path) -> None:
    sqs = boto3.client("sqs", REGION)
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=f"{OLD}-orders-dlq")["QueueUrl"], MessageBody="x")
    machine = old.chosen().outputs["OrderSagaArn"]
    boto3.client("stepfunctions", REGION).start_execution(stateMachineArn=machine, name="order-0")
    done = old.run("backup", tmp_path / "b")
    assert done.exit_code == 1
    assert f"{OLD} is at work: the queue {OLD}-orders-dlq has 1 message; 1 saga under way" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_live_backup_says_that_it_is_one(old: Deployed, tmp_path: Path) -> None:
    sqs = boto3.client("sqs", REGION)
    sqs.send_message(QueueUrl=sqs.get_queue_url(QueueName=f"{OLD}-orders")["QueueUrl"], MessageBody="x")
    done = old.run("backup", tmp_path / "b", "--live")
    assert done.exit_code == 0, done.output
    assert not read_manifest(tmp_path / "b").is_quiet
    assert "taken at work" in done.output


def test_an_event_that_is_recorded_during_the_backup_spoils_it(
    old: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tables.scan

    def scan(dynamodb, table, *rest):  # type: ignore[no-untyped-def]
        yield from real(dynamodb, table, *rest)
        if table.path == "AuditTable":
            last = {"pk": "LOG#3", "sk": "N#000000000001", "recorded_at": "2026-11-22T12:00:00.000Z", "ttl": 4102444800}
            old.table("JournalTable").write(dynamo.put(last | _EVENT))

    monkeypatch.setattr(take, "scan", scan)
    done = old.run("backup", tmp_path / "b")
    assert done.exit_code == 1
    assert "events were published in between" in done.output


_EVENT = {
    "event_id": "1",
    "type": "order.created",
    "source": "mercato.orders",
    "subject": "o",
    "sequence": 1,
    "at": "2026-11-22T12:00:00.000Z",
    "correlation_id": "",
    "causation_id": None,
    "ids": {},
}


def test_an_order_that_is_placed_during_the_backup_spoils_it(
    old: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tables.scan

    def scan(dynamodb, table, *rest):  # type: ignore[no-untyped-def]
        if table.path == "OrdersTable":
            old.place_order("order-late", utc_now() + timedelta(seconds=1))
        yield from real(dynamodb, table, *rest)

    monkeypatch.setattr(take, "scan", scan)
    done = old.run("backup", tmp_path / "b")
    assert done.exit_code == 1
    assert "events were written" in done.output


def test_the_watch_sees_an_event_between_its_looks(old: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = old.chosen()
    parts = parts_of(shop)
    seen = quiet.watch(shop, parts, sleep=lambda _: None)
    assert seen.under_way == ()

    def publish(_: float) -> None:
        last = {"pk": "LOG#0", "sk": "N#000000000001", "recorded_at": "2026-11-22T12:00:00.000Z", "ttl": 4102444800}
        old.table("JournalTable").write(dynamo.put(last | _EVENT))

    assert quiet.watch(shop, parts, sleep=publish).under_way == ("events were published in between",)


def test_a_half_deployed_shop_gives_no_backup(old: Deployed, tmp_path: Path) -> None:
    boto3.client("dynamodb", REGION).delete_table(TableName=old.tables["CartsTable"])
    done = old.run("backup", tmp_path / "b")
    assert done.exit_code == 1
    assert f"the table {old.tables['CartsTable']} (CartsTable) is missing" in done.output
    assert "make deploy" in done.output


def test_a_stack_that_does_not_exist_is_named(old: Deployed, tmp_path: Path) -> None:
    done = Deployed("mercato-none", {}, []).run("backup", tmp_path / "b")
    assert done.exit_code == 2
    assert "the stack mercato-none cannot be read" in done.output

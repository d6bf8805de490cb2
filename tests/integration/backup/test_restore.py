"""A restored shop has what the backup has, publishes none of it, and is open only when all of it is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from infra.operator.backup import closing, restore
from infra.operator.backup.files import read_manifest
from infra.operator.backup.tables import Writes, find_tables
from infra.operator.parts import parts_of
from infra.trouble import Trouble
from mercato.clock import epoch, utc_now
from mercato.store import dynamo
from orders import domain
from orders.order import PaymentStatus
from relay.records import is_outbox_record
from tests.integration.backup.conftest import NEW, REGION, Deployed
from tests.kit.template import load_template

MARK = ("RESTORE", "RESTORE")


@pytest.fixture
def backup(old: Deployed, tmp_path: Path) -> Path:
    directory = tmp_path / "backup"
    done = old.run("backup", directory)
    assert done.exit_code == 0, done.output
    return directory


def contents(shop: Deployed) -> dict[str, list[dict[str, Any]]]:
    found = {name: shop.items(name) for name in shop.tables}
    return {name: [item for item in items if item["pk"]["S"] != "RESTORE"] for name, items in found.items()}


def test_a_restored_shop_has_what_the_other_had_and_nothing_else(old: Deployed, new: Deployed, backup: Path) -> None:
    done = new.run("restore", backup)
    assert done.exit_code == 0, done.output
    assert contents(new) == contents(old)
    assert f"{NEW} is open" in done.output
    assert new.concurrency() == {None}
    assert new.orders().load("order-1") == old.orders().load("order-1")


def test_no_event_is_published_again(old: Deployed, new: Deployed, backup: Path) -> None:
    """The filter of the mapping, and the relay's own, on the records that the restore leaves in the streams."""
    assert any(is_outbox_record(record) for record in old.records("OrdersTable")), "the test can fail"
    assert new.run("restore", backup).exit_code == 0
    [pattern] = load_template("infra/outbox.yaml")["Resources"]["Mapping"]["Properties"]["FilterCriteria"]["Filters"]
    assert json.loads(pattern["Pattern"])["eventName"] == ["INSERT"]
    records = [record for name in new.tables if _has_stream(name) for record in new.records(name)]
    assert sum("event" in record["dynamodb"].get("NewImage", {}) for record in records) == 2, "both orders were placed"
    assert not [record for record in records if is_outbox_record(record)]


def _has_stream(name: str) -> bool:
    return name not in ("RateLimitsTable", "AuditTable", "JournalTable")


def test_what_happens_after_the_restore_is_published(new: Deployed, backup: Path, noon: datetime) -> None:
    assert new.run("restore", backup).exit_code == 0
    before = len(new.records("OrdersTable"))
    new.place_order("order-new", noon)
    assert [record for record in new.records("OrdersTable")[before:] if is_outbox_record(record)]


def test_the_sagas_of_orders_that_were_under_way_are_started(old: Deployed, new: Deployed, tmp_path: Path) -> None:
    now, orders = utc_now(), old.orders()

    def order(order_id: str, *decisions: Callable[[Any], list[Any]]) -> None:
        old.place_order(order_id, now)
        for decide in decisions:
            current = orders.load(order_id)
            assert current is not None
            orders.append(order_id, current, decide(current), now)

    def confirmed(one: Any) -> list[Any]:
        return domain.confirm(one, "payment")

    def captured(one: Any) -> list[Any]:
        return domain.record_payment(one, PaymentStatus.CAPTURED, "payment")

    def refused(one: Any) -> list[Any]:
        return domain.record_payment(one, PaymentStatus.FAILED, "payment")

    order("unpaid", confirmed)
    order("paid", confirmed, captured)
    order("undone", lambda one: domain.cancel(one, "out-of-stock", "None left."))
    order("stuck", lambda one: domain.mark_needs_attention(one, "RefundPayment", "RefundRefused"))
    order("given-up", confirmed, captured, lambda one: domain.give_up(one, has_left=False))
    order("refused", confirmed, refused)
    assert old.run("backup", tmp_path / "b").exit_code == 0
    done = new.run("restore", tmp_path / "b")
    assert done.exit_code == 0, done.output
    started = {"order-0", "order-1", "unpaid", "stuck.cancellation", "refused.cancellation"}
    assert new.executions() == started
    assert "2 pending" in done.output


def test_a_shop_in_use_is_refused_and_stays_as_it_is(old: Deployed, new: Deployed, backup: Path) -> None:
    new.table("ProductsTable").write(dynamo.put({"pk": "PRODUCT#1", "sk": "PRODUCT"}))
    before = contents(new)
    done = new.run("restore", backup)
    assert done.exit_code == 1
    assert f"{NEW} is in use: its table {new.tables['ProductsTable']} (ProductsTable)" in done.output
    assert contents(new) == before
    assert new.concurrency() == {None}
    assert new.table("AuditTable").get(*MARK) is None


def test_a_shop_is_not_restored_over_itself(old: Deployed, backup: Path) -> None:
    done = old.run("restore", backup)
    assert done.exit_code == 1
    assert "is in use" in done.output


def test_a_first_account_that_comes_while_the_shop_closes_opens_it_again(
    new: Deployed, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = closing.close

    def close(*arguments: Any) -> None:
        real(*arguments)
        new.table("UsersTable").write(dynamo.put({"pk": "USER#9", "sk": "USER"}))

    monkeypatch.setattr(closing, "close", close)
    done = new.run("restore", backup)
    assert done.exit_code == 1
    assert "is in use" in done.output
    assert new.concurrency() == {None}
    assert new.table("AuditTable").get(*MARK) is None
    assert [item["pk"]["S"] for item in new.items("UsersTable")] == ["USER#9"]


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: damage(path / "OrdersTable.0.json.gz"), "OrdersTable.0.json.gz is damaged"),
        (lambda path: (path / "UsersTable.0.json.gz").unlink(), "UsersTable.0.json.gz cannot be read"),
        (lambda path: (path / "manifest.json").unlink(), "is no backup"),
        (lambda path: (path / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda path: (path / "manifest.json").write_text('{"format": 1}'), "manifest.json is damaged"),
        (lambda path: (path / "manifest.json").write_text('{"format": 2}'), "has the format 2"),
    ],
)
def test_a_damaged_backup_is_found_before_anything_is_written(
    new: Deployed, backup: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(backup)
    before = contents(new)
    done = new.run("restore", backup)
    assert done.exit_code == 1
    assert said in done.output.replace("\n", " ")
    assert contents(new) == before
    assert new.table("AuditTable").get(*MARK) is None


def test_a_dry_run_writes_nothing(new: Deployed, backup: Path) -> None:
    before = contents(new)
    done = new.run("restore", backup, "--dry-run")
    assert done.exit_code == 0
    assert "nothing was written" in done.output
    assert contents(new) == before
    assert new.table("AuditTable").get(*MARK) is None


def test_a_shop_without_one_of_the_tables_is_refused(new: Deployed, backup: Path) -> None:
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["tables"][0]["path"] = "Reports/ReportsTable"
    (backup / "manifest.json").write_text(json.dumps(manifest))
    done = new.run("restore", backup)
    assert done.exit_code == 1
    assert "the shop has no table for Reports/ReportsTable" in done.output


class Crash(BaseException):
    """The process is killed."""


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Kills the restore at its n-th batch of writes."""
    real = Writes._send

    def at(number: int) -> None:
        left = [number]

        def send(self: Writes, table: Any, requests: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Crash
            real(self, table, requests)

        monkeypatch.setattr(Writes, "_send", send)

    return at


@pytest.mark.parametrize("number", [1, 2, 4, 6])
def test_a_restore_that_was_killed_stays_closed_and_is_continued(
    old: Deployed, new: Deployed, backup: Path, crash: Callable[[int], None], number: int
) -> None:
    crash(number)
    with pytest.raises(Crash):
        new.run("restore", backup)
    assert new.concurrency() == {0}
    mark = new.table("AuditTable").get(*MARK)
    assert mark is not None
    assert mark["state"] == "begun"
    refused = new.run("backup", backup.parent / "other")
    assert refused.exit_code == 1
    assert "a restore into this shop is not complete" in refused.output
    crash(0)
    done = new.run("restore", backup)
    assert done.exit_code == 0, done.output
    assert contents(new) == contents(old)
    assert new.concurrency() == {None}
    records = [record for name in new.tables if _has_stream(name) for record in new.records(name)]
    assert not [record for record in records if is_outbox_record(record)]


def test_a_restore_that_is_interrupted_says_that_the_shop_is_closed(
    new: Deployed, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Writes, "put", interrupted)
        told = new.run("restore", backup)
    assert told.exit_code == 1
    assert f"interrupted: {NEW} may be closed" in told.output
    assert "Run the same command again" in told.output
    assert new.concurrency() == {0}
    assert new.run("restore", backup).exit_code == 0
    assert new.concurrency() == {None}


def test_a_restore_that_was_killed_before_the_sagas_starts_them(
    new: Deployed, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(restore, "start_sagas", killed)
        with pytest.raises(Crash):
            new.run("restore", backup)
    assert new.executions() == set()
    assert new.run("restore", backup).exit_code == 0
    assert new.executions() == {"order-0", "order-1"}


def test_a_complete_restore_is_not_done_again(old: Deployed, new: Deployed, backup: Path) -> None:
    assert new.run("restore", backup).exit_code == 0
    new.table("UsersTable").write(dynamo.put({"pk": "USER#9", "sk": "USER"}))
    done = new.run("restore", backup)
    assert done.exit_code == 0
    assert "nothing was done" in done.output
    assert len(new.items("UsersTable")) == 2


def test_another_backup_is_refused_after_a_restore(
    old: Deployed, new: Deployed, backup: Path, crash: Callable[[int], None]
) -> None:
    other = backup.parent / "other"
    assert old.run("backup", other).exit_code == 0
    crash(3)
    with pytest.raises(Crash):
        new.run("restore", backup)
    crash(0)
    done = new.run("restore", other)
    assert done.exit_code == 1
    assert "has been restored from another backup" in done.output


def test_a_run_that_was_taken_over_writes_no_more(new: Deployed, backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, begun = Writes.put, list[str]()

    def put(self: Writes, *arguments: Any) -> int:
        if not begun:
            begun.append("")
            restore.Restore(new.chosen(), backup)._marks.begin(restore.Restore(new.chosen(), backup)._digest, {})
        return real(self, *arguments)

    monkeypatch.setattr(Writes, "put", put)
    done = new.run("restore", backup)
    assert done.exit_code == 1
    assert "another run of this restore has taken over" in done.output
    assert new.concurrency() == {0}


def test_what_was_reserved_for_a_function_is_reserved_again(new: Deployed, backup: Path) -> None:
    functions = boto3.client("lambda", REGION)
    functions.put_function_concurrency(FunctionName=f"{NEW}-relay", ReservedConcurrentExecutions=7)
    assert new.run("restore", backup).exit_code == 0
    assert new.concurrency() == {None, 7}


def test_only_the_functions_of_the_shop_are_closed(new: Deployed, backup: Path, crash: Callable[[int], None]) -> None:
    crash(1)
    with pytest.raises(Crash):
        new.run("restore", backup)
    found = boto3.client("lambda", REGION).get_function_concurrency(FunctionName=f"{NEW}-eu-orders-api")
    assert "ReservedConcurrentExecutions" not in found


def test_what_has_expired_is_left_out(old: Deployed, new: Deployed, tmp_path: Path) -> None:
    now = epoch(utc_now())
    for name, ttl in (("gone", now - 60), ("there", now + 3600)):
        old.table("CartsTable").write(dynamo.put({"pk": f"CART#{name}", "sk": "HEAD", "ttl": ttl}))
    assert old.run("backup", tmp_path / "b").exit_code == 0
    done = new.run("restore", tmp_path / "b")
    assert done.exit_code == 0, done.output
    assert [item["pk"]["S"] for item in new.items("CartsTable")] == ["CART#there"]
    assert "1 had expired" in done.output


def test_a_table_that_differs_after_the_writing_leaves_the_shop_closed(
    new: Deployed, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Writes.put

    def put(self: Writes, table: Any, items: Any) -> int:
        return real(self, table, items[1:]) + 1 if table.path == "UsersTable" else real(self, table, items)

    with monkeypatch.context() as patch:
        patch.setattr(Writes, "put", put)
        done = new.run("restore", backup)
    assert done.exit_code == 1
    assert "has 0 items after the restore, and the backup has 1" in done.output
    assert new.concurrency() == {0}
    assert new.run("restore", backup).exit_code == 0


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/o is not authorized to perform: dynamodb:BatchWriteItem on resource: t",
            "your AWS credentials lack the permission dynamodb:BatchWriteItem",
        ),
        ("ExpiredTokenException", "The security token has expired", "does not take your credentials any more"),
    ],
)
def test_a_right_or_token_that_is_missing_is_named(
    new: Deployed, backup: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str, said: str
) -> None:
    def refuse(*_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, "BatchWriteItem")

    with monkeypatch.context() as patch:
        patch.setattr(Writes, "_send", refuse)
        done = new.run("restore", backup)
    assert done.exit_code == 1
    assert said in done.output
    assert new.run("restore", backup).exit_code == 0


def test_throttled_writes_are_sent_again(new: Deployed, backup: Path) -> None:
    shop = new.chosen()
    dynamodb = boto3.client("dynamodb", REGION)
    table = find_tables(dynamodb, parts_of(shop))[0]

    class Busy:
        calls = 0

        def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
            self.calls += 1
            [(name, requests)] = RequestItems.items()
            dynamodb.batch_write_item(RequestItems={name: requests[:1]})
            return {"UnprocessedItems": {name: requests[1:]} if requests[1:] else {}}

    busy = Busy()
    items = [{"pk": {"S": f"X#{number}"}, "sk": {"S": "X"}} for number in range(4)]
    assert Writes(busy, lambda: None, sleep=lambda _: None).put(table, items) == 4
    assert busy.calls == 4
    assert len(new.items(table.path)) == 4

    class Away(Busy):
        def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
            return {"UnprocessedItems": RequestItems}

    with pytest.raises(Trouble, match="takes no more writes"):
        Writes(Away(), lambda: None, sleep=lambda _: None).put(table, items)


def test_the_backup_of_a_restored_shop_can_be_restored(
    old: Deployed, new: Deployed, backup: Path, shops: Callable[[str], Deployed]
) -> None:
    assert new.run("restore", backup).exit_code == 0
    assert new.run("backup", backup.parent / "second", "--live").exit_code == 0  # the sagas run
    assert "RESTORE" not in str(read_manifest(backup.parent / "second"))
    third = shops("mercato-third")
    assert third.run("restore", backup.parent / "second").exit_code == 0
    assert contents(third) == contents(old)


@pytest.fixture(autouse=True)
def tidy(tmp_path: Path) -> Iterator[None]:
    yield
    shutil.rmtree(tmp_path, ignore_errors=True)

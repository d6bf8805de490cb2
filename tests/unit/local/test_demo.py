from __future__ import annotations

import io
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from infra.demo import command, stage
from infra.demo.command import STORIES, show_endings, tell
from infra.demo.report import Report
from infra.demo.stage import Product, Stage
from infra.demo.story import Story
from infra.operator import target
from infra.operator.client import Unreachable
from infra.replay.books import PaymentFact
from tests.unit.local.fake_shop import FakeShop, FakeTime

LAMP = Product("lamp", "Lamp", {"amount": 150, "currency": "GBP"}, version=1, stock=10)


@pytest.fixture
def shop() -> FakeShop:
    stock = {"product_id": "lamp", "on_hand": 10, "reserved": 0, "available": 10}
    return FakeShop(users={"admin@mercato.example": "secret of the admin"}, stock={"lamp": stock})


@pytest.fixture
def on_stage(shop: FakeShop) -> Stage:
    client = shop.client(FakeTime())
    return Stage(client, client.login("admin@mercato.example", "secret of the admin"), "http://cloud", 20, "tag")


@pytest.fixture
def report() -> Report:
    return Report(Console(file=io.StringIO(), width=200))


def told(report: Report) -> str:
    file = report.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_story_ends_well_only_where_every_check_holds(report: Report) -> None:
    assert not report.ended_well
    report.expect("sold: 1", 1, 1)
    assert report.ended_well
    report.expect("reserved: 0", 0, 3)
    assert not report.ended_well
    assert [(check.what, check.found) for check in report.failures] == [("reserved: 0", "3")]
    assert "✔ sold: 1" in told(report)
    assert "✘ reserved: 0 (found: 3)" in told(report)


def test_the_timeline_is_told_line_by_line_as_it_grows(report: Report) -> None:
    order: dict[str, Any] = {
        "placed_at": "2026-11-22T12:00:00.000Z",
        "timeline": [{"at": "2026-11-22T12:00:00.000Z", "status": "pending", "detail": None}],
    }
    report.show_timeline(order)
    report.show_timeline(order)
    order["timeline"].append({"at": "2026-11-22T12:00:01.250Z", "status": "shipped", "detail": "parcel [1]"})
    report.show_timeline(order)
    assert [line.split() for line in told(report).splitlines()] == [
        ["0.00", "s", "pending"],
        ["1.25", "s", "shipped", "parcel", "[1]"],
    ]


def test_an_order_is_followed_to_its_end(on_stage: Stage, report: Report, shop: FakeShop) -> None:
    ada = on_stage.new_customer("Ada")
    order = on_stage.order(ada, LAMP, 2)
    order = on_stage.watch(report, ada, order, stage.is_paid, "captured")
    on_stage.expect_charged(report, order)
    on_stage.expect_stock(report, LAMP, on_hand=8)
    on_stage.expect_sold(report, LAMP, 2)
    assert report.ended_well
    assert len(report.checks) == 3


def test_an_order_that_does_not_get_there_fails_the_story(on_stage: Stage, report: Report) -> None:
    ada = on_stage.new_customer("Ada")
    order = on_stage.watch(report, ada, on_stage.order(ada, LAMP, 2), lambda _: False, "cancelled")
    assert order["status"] == "delivered"
    assert [check.what for check in report.failures] == ["the order is cancelled within 20 s"]


def test_a_reservation_that_stays_fails_the_story(on_stage: Stage, report: Report, shop: FakeShop) -> None:
    shop.stock["lamp"] |= {"reserved": 2, "available": 8}
    on_stage.expect_stock(report, LAMP, on_hand=10)
    assert [check.found for check in report.failures] == ["{'on_hand': 10, 'reserved': 2, 'available': 8}"]


@pytest.mark.parametrize(
    ("payment", "holds"),
    [
        (None, True),
        (PaymentFact("o", "failed", 0, 0), True),
        (PaymentFact("o", "refunded", 150, 150), True),
        (PaymentFact("o", "authorized", 0, 0), False),
        (PaymentFact("o", "captured", 150, 0), False),
    ],
)
def test_uncharged_means_that_nothing_is_kept_and_nothing_held(
    on_stage: Stage, report: Report, monkeypatch: pytest.MonkeyPatch, payment: PaymentFact | None, holds: bool
) -> None:
    monkeypatch.setattr("infra.replay.ledger.payment_of", lambda admin, order_id: payment)
    on_stage.expect_uncharged(report, "o")
    assert report.ended_well is holds


def test_a_story_that_breaks_off_is_told_as_a_failure(on_stage: Stage, report: Report) -> None:
    def break_off(on_stage: Stage, report: Report) -> None:
        report.expect("so far so good", 1, 1)
        raise Unreachable("GET /api/products: refused")

    ending = tell(report.console, on_stage, Story("x", "Title", "end well", break_off))
    assert [check.found for check in ending.failures] == ["Unreachable: GET /api/products: refused"]
    show_endings(report.console, [(STORIES[0], ending)])
    assert "0 of 1 ended as they should." in told(report)


def test_every_story_has_a_name_of_its_own() -> None:
    names = [story.name for story in STORIES]
    assert len(set(names)) == len(names) == 17


def test_without_a_shop_the_demo_ends_with_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_shop() -> target.State:
        raise target.NoShop("no shop is running: start one with make up")

    monkeypatch.setattr(target, "load", no_shop)
    result = CliRunner().invoke(command.demo, [])
    assert (result.exit_code, result.output) == (2, "Error: no shop is running: start one with make up\n")

"""A whole replay against a fake shop: the books balance for a correct shop, and name each defect of another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from click.testing import CliRunner, Result

from infra.operator import target
from infra.operator.target import Account, State
from infra.replay import command
from infra.replay.rows import COLUMNS
from infra.replay.tap import Tap
from mercato.store.dynamo import Table, put
from tests.unit.local.fake_shop import FakeShop, FakeTime, once, problem

SHOP = State(
    base_url="http://shop",
    endpoint="http://cloud",
    functions_endpoint="http://cloud",
    region="us-east-1",
    stack="mercato",
    outputs={"BusName": "bus"},
    tables={"orders": "OrdersTable", "payments": "PaymentsTable"},
    queues_prefix="mercato-",
    admin=Account("admin@mercato.example", "secret of the admin"),
    customer=Account("customer@mercato.example", "secret of the customer"),
)
ROWS = [
    "536365,85123A,HEART HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom",
    "536365,71053,METAL LANTERN,2,2010-12-01 08:26:00,3.39,17850.0,United Kingdom",
    "C536379,D,Discount,-1,2010-12-01 09:41:00,27.5,14527.0,United Kingdom",
    "536366,85123a,HEART HOLDER,4,2010-12-01 10:00:00,2.95,0.0,EIRE",
    "536367,85123A,HEART HOLDER,1,2010-12-01 10:00:00,2.55,12583.0,France",
    "536368,22720,?,3,2010-12-01 10:00:00,0.0,12583.0,France",
]
Run = Callable[..., Result]


@pytest.fixture
def shop() -> FakeShop:
    return FakeShop(users={SHOP.admin.email: SHOP.admin.password})


@pytest.fixture
def invoices(tmp_path: Path) -> Path:
    path = tmp_path / "invoices.csv"
    path.write_text("\n".join([",".join(COLUMNS), *ROWS]) + "\n")
    return path


@pytest.fixture
def run(shop: FakeShop, invoices: Path, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Run:
    make_table("OrdersTable")
    provider = make_table("PaymentsTable")

    def remember(payment_id: str, amount: int) -> None:
        charge = {"reference": payment_id, "status": "captured", "amount": amount, "left": amount}
        provider.write(put({"pk": f"SANDBOX#CHARGE#{payment_id}", "sk": "CHARGE"} | charge))

    def give_back(payment_id: str, amount: int) -> None:
        key = {"pk": f"SANDBOX#CHARGE#{payment_id}", "sk": "CHARGE"}
        charge = provider.get(*key.values()) or {}
        provider.write(put(charge | {"left": charge["left"] - amount}))

    shop.on_capture, shop.on_refund = remember, give_back
    boto3.client("events").create_event_bus(Name="bus")
    boto3.client("sqs").create_queue(QueueName="mercato-orders-dlq")
    time = FakeTime()
    monkeypatch.setattr(target, "load", lambda: SHOP)
    monkeypatch.setattr(target, "client", lambda _, service: boto3.client(service))
    monkeypatch.setattr(command, "Shop", lambda _: shop.client(time))
    monkeypatch.setattr(command, "Tap", partial(Tap, wait=0))
    monkeypatch.setattr(command, "HOME", invoices.parent)
    report = ["--report", str(invoices.with_name("refused.csv"))]
    return lambda *options: CliRunner().invoke(command.replay, [str(invoices), *report, *options], terminal_width=200)


def test_a_sound_shop_ends_with_balanced_books(run: Run, shop: FakeShop) -> None:
    result = run("--run", "r1", "--concurrency", "2")
    assert "The books balance." in result.output
    assert result.exit_code == 0
    assert {order_id: order["total"]["amount"] for order_id, order in shop.orders.items()} == {
        "order-replay-r1-536365": 2382,
        "order-replay-r1-536366": 1575,
        "order-replay-r1-536367": 650,
    }
    assert {order_id: order["codes"] for order_id, order in shop.orders.items() if order["codes"]} == {
        "order-replay-r1-536365": ["REPLAY-R1"]
    }
    assert [order_id for order_id, order in shop.orders.items() if order["returns"]] == ["order-replay-r1-536365"]
    assert list(shop.links.values()) == ["order-replay-r1-536366"]


@pytest.mark.parametrize("series", ["INV-2026", "INV-2031", "RE"])
def test_a_payment_without_its_invoice_and_the_gap_in_the_numbers_are_named(
    run: Run, shop: FakeShop, series: str
) -> None:
    """Staff decides how documents are numbered, and a run may last into a new year."""
    shop.not_invoiced, shop.series = {2}, series
    result = run("--run", "r1")
    assert result.exit_code == 1
    assert "invoices - credit notes = money kept" in result.output
    assert f"documents numbered without a gap: {series}: expected 2, found 3" in result.output


def test_each_price_is_a_product_of_its_own_and_each_customer_an_account(run: Run, shop: FakeShop) -> None:
    run("--run", "r1")
    assert {row["sku"]: (row["name"], row["price"], row["currency"]) for row in shop.products.values()} == {
        "85123A@255/R1": ("HEART HOLDER", "2.55", "GBP"),
        "71053@339/R1": ("METAL LANTERN", "3.39", "GBP"),
        "85123A@295/R1": ("HEART HOLDER", "2.95", "GBP"),
    }
    assert set(shop.users) - {SHOP.admin.email} == {
        "c17850-r1@replay.example",
        "c12583-r1@replay.example",
    }


def test_refused_rows_are_in_the_report(run: Run, invoices: Path) -> None:
    run()
    assert invoices.with_name("refused.csv").read_text().splitlines() == [
        "line,invoice,stock_code,reason,column,value",
        "4,C536379,D,cancellation,,",
        "7,536368,22720,zero-price,UnitPrice,0.0",
    ]


def test_the_limit_counts_sales(run: Run, shop: FakeShop) -> None:
    run("--run", "r1", "--limit", "2")
    assert set(shop.orders) == {"order-replay-r1-536365", "order-replay-r1-536366"}


def test_an_interrupted_run_is_continued_without_doing_anything_twice(run: Run, shop: FakeShop) -> None:
    def breaks_down(request: httpx.Request) -> httpx.Response | None:
        is_second = request.url.path == "/api/orders/guests"
        return problem(500, "internal-error") if is_second else None

    shop.faults.append(breaks_down)
    assert run("--run", "r1").exit_code == 1
    assert len(shop.orders) == 2
    shop.faults.clear()
    assert run("--run", "r1").exit_code == 0
    assert run("--run", "r1").exit_code == 0
    assert len(shop.orders) == 3
    assert (len(shop.users), len(shop.carts)) == (3, 1)
    assert {row["on_hand"] for row in shop.stock.values()} == {20, 26}  # the first line of one order came back


def test_stock_waits_until_inventory_knows_the_products(run: Run, shop: FakeShop) -> None:
    shop.unknown_adjustments = 3
    assert run().exit_code == 0
    assert shop.count("POST", "/inventory/adjustments") == 4


def test_answers_that_get_lost_change_nothing(run: Run, shop: FakeShop) -> None:
    def lost() -> httpx.Response:
        raise httpx.ReadTimeout("lost")

    for path in ("/products/imports", "/inventory/adjustments", "/orders/quoted", "/orders/guests", "/users"):
        shop.faults.append(once(lost, "POST", path))
    assert run().exit_code == 0
    assert len(shop.orders) == 3


def test_a_double_charge_is_found_and_named(run: Run, shop: FakeShop) -> None:
    shop.charged_too_much = 1
    result = run("--run", "r1")
    assert result.exit_code == 1
    assert "money captured = sold: order order-replay-r1-536365: expected £23.82, found £23.83" in flat(result)


def test_a_charge_that_only_the_provider_knows_of_is_found_and_named(run: Run, shop: FakeShop) -> None:
    def charge_again(payment_id: str, amount: int) -> None:
        charge = {"reference": payment_id, "status": "captured", "amount": amount, "left": amount}
        Table("PaymentsTable").write(put({"pk": f"SANDBOX#CHARGE#again-{payment_id}", "sk": "CHARGE"} | charge))
        remember(payment_id, amount)

    remember, shop.on_capture = shop.on_capture, charge_again
    result = run("--run", "r1", "--limit", "1")
    assert result.exit_code == 1
    assert "the provider's charges = sold: order order-replay-r1-536365: expected £23.82, found £47.64" in flat(result)


def test_a_leaked_reservation_is_found_and_named(run: Run, shop: FakeShop) -> None:
    shop.leaked = 1
    result = run("--run", "r1", "--patience", "5")
    assert result.exit_code == 1
    assert "reservations open: sku 71053@339/R1: expected 0, found 1" in flat(result)


def test_an_invoice_that_is_not_taken_is_named(run: Run, shop: FakeShop) -> None:
    shop.faults.append(once(lambda: problem(422, "unknown-product"), "POST", "/checkouts"))
    result = run("--run", "r1", "--concurrency", "1")
    assert result.exit_code == 1
    assert "invoices placed as orders: invoice 536365: expected an order, found POST /api/checkouts: 422" in flat(
        result
    )


def test_an_event_that_was_never_published_is_named(run: Run, shop: FakeShop) -> None:
    def write_event(request: httpx.Request) -> None:
        event = {"id": "e-1", "type": "order.created", "time": datetime.now(UTC).isoformat()}
        Table("OrdersTable").write(put({"pk": "a", "sk": "1", "event": json.dumps(event)}))

    shop.faults.append(lambda request: write_event(request) if request.url.path == "/api/orders/quoted" else None)
    result = run("--patience", "5")
    assert result.exit_code == 1
    assert (
        "events published = events written: order.created e-1: expected published, found not seen on the bus"
        in flat(result)
    )


def test_a_new_dead_letter_is_named_and_an_old_one_is_not(run: Run, shop: FakeShop) -> None:
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="mercato-orders-dlq")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="old")
    assert run().exit_code == 0
    shop.faults.append(
        lambda request: (
            send(sqs, url) if (request.method, request.url.path) == ("POST", "/api/products/imports") else None
        )
    )
    result = run()
    assert result.exit_code == 1
    assert "messages in dead-letter queues: mercato-orders-dlq: expected 0, found 1 new" in flat(result)


def test_products_that_the_shop_does_not_take_end_the_replay_before_any_order(run: Run, shop: FakeShop) -> None:
    refused = [{"line": 2, "sku": "71053@339/R1", "reason": "price: too high"}]
    report = httpx.Response(201, json={"created": 0, "updated": 0, "refused": refused, "products": []})
    shop.faults.append(lambda request: report if request.url.path == "/api/products/imports" else None)
    result = run()
    assert (result.exit_code, shop.orders) == (1, {})
    assert "1 products refused; 71053@339/R1: price: too high" in flat(result)


def test_a_shop_that_does_not_answer_ends_the_replay_with_status_2(run: Run, shop: FakeShop) -> None:
    shop.faults.append(lambda _: httpx.Response(502, text="no shop"))
    result = run()
    assert (result.exit_code, shop.orders) == (2, {})
    assert "does not answer as it should" in flat(result)


def test_a_file_that_is_no_invoice_file_is_refused(run: Run, invoices: Path, shop: FakeShop) -> None:
    invoices.write_text("a,b\n1,2\n")
    result = run()
    assert result.exit_code == 2
    assert "the file has no column InvoiceNo" in flat(result)
    assert shop.requests == []


def flat(result: Result) -> str:
    return " ".join(result.output.split())


def send(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="new")

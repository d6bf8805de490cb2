"""`mercato status`, against a shop that answers what the test says."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from infra.operator.status import status
from tests.unit.local.conftest import FakeOps

NOTHING: dict[str, Any] = {"items": [], "next_cursor": None}
DAY = {
    "day": "2026-11-28",
    "orders": 12,
    "cancelled": 2,
    "gross": {"amount": 123456, "currency": "GBP"},
    "cancelled_amount": {"amount": 500, "currency": "GBP"},
    "refunded": {"amount": 900, "currency": "GBP"},
}
SERVICE = {"name": "orders", "instances": [{"instance_id": "orders-1", "health": "healthy"}]}
CIRCUIT = {"name": "peer.products", "state": "closed"}


@pytest.fixture
def shop(ops: FakeOps) -> FakeOps:
    """A shop without any problem."""
    for path, body in {
        "/orders/days": {"items": [DAY]},
        "/sagas": NOTHING,
        "/dlq": {"items": [{"queue": "shop-orders-dlq", "messages": 0}]},
        "/circuits": {"items": [CIRCUIT]},
        "/services": {"items": [SERVICE]},
        "/api/payments/mismatches": {"items": [], "more": False},
        "/api/shipments": NOTHING,
        "/api/inventory": NOTHING,
    }.items():
        ops.answers["GET", path] = 200, body
    return ops


def test_a_shop_that_lacks_nothing_is_good(shop: FakeOps) -> None:
    told = CliRunner().invoke(status)
    assert told.exit_code == 0, told.output
    assert "12 for 1234.56 GBP, 2 cancelled, 9.00 GBP refunded" in told.output
    assert "1 healthy" in told.output
    assert "▲" not in told.output


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/sagas", {"items": [{"saga": "order-1"}], "next_cursor": None}, "mercato saga list --parked"),
        ("/dlq", {"items": [{"queue": "shop-orders-dlq", "messages": 3}]}, "shop-orders-dlq 3"),
        ("/circuits", {"items": [CIRCUIT | {"state": "open"}]}, "peer.products is open"),
        (
            "/services",
            {"items": [{"name": "carts", "instances": [{"instance_id": "carts-1", "health": "unhealthy"}]}]},
            "not healthy: carts",
        ),
        ("/api/payments/mismatches", {"items": [{}], "more": False}, "/console/payments"),
        ("/api/shipments", {"items": [{}] * 50, "next_cursor": "more"}, "50+"),
    ],
)
def test_what_waits_for_an_operator_is_told_with_where_to_look(
    shop: FakeOps, path: str, body: dict[str, Any], said: str
) -> None:
    shop.answers["GET", path] = 200, body
    told = CliRunner().invoke(status)
    assert told.exit_code == 1
    assert said in told.output
    assert told.output.count("▲") == 1


def test_an_open_dispute_is_told_and_calls_nobody_since_the_bank_may_have_the_answer(shop: FakeOps) -> None:
    shop.answers["GET", "/api/payments/mismatches"] = 200, {"items": [], "more": False, "disputed": [{}]}
    told = CliRunner().invoke(status)
    assert told.exit_code == 0
    assert "open disputes" in told.output
    assert "1 payment" in told.output


def test_low_stock_is_told_and_calls_nobody(shop: FakeOps) -> None:
    shop.answers["GET", "/api/inventory"] = 200, {"items": [{}, {}], "next_cursor": None}
    told = CliRunner().invoke(status)
    assert told.exit_code == 0
    assert "2 products" in told.output


def test_a_part_that_does_not_answer_is_a_line_and_the_others_are_shown(shop: FakeOps) -> None:
    shop.answers["GET", "/dlq"] = 500, {"detail": "It is broken."}
    told = CliRunner().invoke(status)
    assert told.exit_code == 1
    assert "no answer: 500 It is broken." in told.output
    assert "1 healthy" in told.output


def test_who_may_not_ask_is_told_once(shop: FakeOps) -> None:
    shop.answers["GET", "/orders/days"] = 403, {"detail": "This is for admins."}
    told = CliRunner().invoke(status)
    assert told.exit_code == 1
    assert told.output.count("This is for admins.") == 1

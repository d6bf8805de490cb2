"""What a customer reads about a failed saga."""

from __future__ import annotations

import pytest

from mercato.errors import SagaEnd
from mercato.money import Money
from orders.failures import Failure, explain, with_names
from orders.order import Line


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("OutOfStock", "out-of-stock"),
        ("UnknownProduct", "unknown-product"),
        ("PaymentDeclined", "payment-declined"),
        ("CaptureRefused", "capture-refused"),
    ],
)
def test_a_business_error_says_what_the_service_wrote(error: str, reason: str) -> None:
    assert explain("ReserveInventory", error, "Only 2 mugs are left.") == Failure(reason, "Only 2 mugs are left.")
    assert explain("ReserveInventory", error, "").detail


@pytest.mark.parametrize("step", ["AuthorizePayment", "CapturePayment"])
@pytest.mark.parametrize(
    "error", ["TransientError", "States.Timeout", "Sandbox.Timedout", "Lambda.TooManyRequestsException"]
)
def test_a_payment_that_could_not_be_reached_says_so(step: str, error: str) -> None:
    assert explain(step, error, "10.0.0.1 refused").reason == "payment-unavailable"


@pytest.mark.parametrize(
    ("step", "error"),
    [("ReserveInventory", "TransientError"), ("AuthorizePayment", "KeyError"), ("", "States.Timeout")],
)
def test_an_error_of_ours_keeps_its_inside_to_itself(step: str, error: str) -> None:
    found = explain(step, error, "KeyError: 'secret'")
    assert found.reason == "internal-error"
    assert "secret" not in found.detail


def test_goods_are_called_by_the_names_that_the_customer_knows() -> None:
    price = Money(amount=950, currency="GBP")
    mug, bowl = (
        Line(product_id=f"id-{name}", sku=name, name=name, quantity=2, unit_price=price) for name in ("Mug", "Bowl")
    )

    told = with_names("Not enough stock of id-Mug (asked 2, 1 left), id-Bowl (asked 2, 0 left).", [mug, bowl])

    assert told == "Not enough stock of Mug (asked 2, 1 left), Bowl (asked 2, 0 left)."


@pytest.mark.parametrize("end", SagaEnd)
def test_each_business_error_that_ends_a_saga_has_a_text_of_its_own(end: SagaEnd) -> None:
    found = explain("ReserveInventory", end, "")
    assert found.reason == end.slug
    assert found.detail not in ("", explain("ReserveInventory", "KeyError", "").detail)

import importlib
import re

import pytest

from mercato.errors import DomainError, SagaEnd, TransientError
from mercato.money import Money
from notifications import texts
from tests.kit.template import ROOT


def test_a_receipt_names_the_exact_amount_and_the_payment() -> None:
    text = texts.receipt("Anna", "order-1", "payment-1", Money(amount=1250, currency="GBP"))
    assert text.subject == "Your receipt for 12.50 GBP"
    assert text.body == (
        "Hello Anna,\n\nwe have received your payment of 12.50 GBP for order order-1.\n\nPayment: payment-1\n\nMercato"
    )


def test_a_name_stays_on_its_line() -> None:
    assert texts.welcome("Eve\r\nBcc: all@example.com").body.startswith("Hello Eve Bcc: all@example.com,\n\n")


def test_an_empty_name_is_greeted_too() -> None:
    assert texts.welcome("  ").body.startswith("Hello there,\n\n")


def test_a_long_order_is_listed_in_part() -> None:
    lines = [(number, f"Mug {number}") for number in range(1, 53)]
    body = texts.order_confirmed("Anna", "order-1", Money(amount=100, currency="GBP"), lines).body
    assert "  50 × Mug 50\n  … and 2 more\n\nTotal: 1.00 GBP" in body
    assert "Mug 51" not in body


def test_a_failed_payment_says_why_and_that_nothing_was_charged() -> None:
    body = texts.payment_failed("Anna", "order-1", Money(amount=99, currency="GBP"), "Your card has expired.").body
    assert "your payment of 0.99 GBP for order order-1 did not go through: Your card has expired." in body
    assert "You have not been charged." in body


def errors_of_the_saga() -> set[str]:
    """The name of every error that can end an order: those that the state machine catches, and those that its tasks
    raise.
    """
    machine = (ROOT / "functions/orders/order_saga.asl.json").read_text(encoding="utf-8")
    caught = {
        name for names in re.findall(r'"ErrorEquals":\s*\[(.*?)\]', machine) for name in re.findall(r'"(.*?)"', names)
    }
    services = [importlib.import_module(f"{name}.domain") for name in ("orders", "payments", "inventory", "shipping")]
    raised = {
        name
        for module in services
        for name, kind in vars(module).items()
        if isinstance(kind, type)
        and issubclass(kind, DomainError | TransientError)
        and kind.__module__ == module.__name__
    }
    python = {"KeyError", "ValueError", "InvalidTaskInput", "Lambda.Unknown", "States.Timeout", "Sandbox.Timedout"}
    return caught | raised | python | {"TransientError", "CancelledByCustomer"}


@pytest.mark.parametrize("error", sorted(errors_of_the_saga()))
def test_no_name_of_an_error_reaches_the_customer(error: str) -> None:
    body = texts.refund("Anna", "order-1", Money(amount=99, currency="GBP"), error).body
    assert error not in body
    assert re.search(r"Reason: [A-Z][a-z' ]+\.\n", body)


@pytest.mark.parametrize("end", SagaEnd)
def test_each_business_error_that_ends_a_saga_has_a_text_of_its_own(end: SagaEnd) -> None:
    amount = Money(amount=99, currency="GBP")
    assert texts.refund("Anna", "order-1", amount, end).body != texts.refund("Anna", "order-1", amount, "KeyError").body


@pytest.mark.parametrize("end", sorted(set(SagaEnd) - {SagaEnd.CANCELLED_BY_CUSTOMER}))
def test_each_business_error_that_ends_a_saga_is_raised_by_a_service_under_this_name(end: SagaEnd) -> None:
    modules = [
        importlib.import_module(name)
        for name in (
            "payments.domain",
            "inventory.domain",
            "inventory.reservation",
            "orders.domain",
            "promotions.claim",
        )
    ]
    kinds = {vars(module)[end] for module in modules if end in vars(module)}
    assert kinds
    assert all(issubclass(kind, DomainError) and kind.slug() == end.slug for kind in kinds)


@pytest.mark.parametrize("reason", ["damaged in transit", "Damaged", "Your order was cancelled.", "Zu groß"])
def test_a_reason_that_people_wrote_stays_as_it_is(reason: str) -> None:
    assert f"Reason: {reason}\n" in texts.refund("Anna", "order-1", Money(amount=99, currency="GBP"), reason).body

import importlib
import re

import pytest

from mercato.errors import DomainError, SagaEnd, TransientError
from mercato.languages import Language
from mercato.money import Money
from notifications import speech, texts
from notifications.domain import Text
from notifications.rendering import fields_of, fill
from notifications.sms_parts import parts_of
from notifications.texts import Content
from notifications.wording import MOST_SMS_PARTS, WORDINGS, Name, Wording
from payments import refunds
from tests.kit.template import ROOT


def written(content: Content, name: str = "Anna", language: Language = Language.EN) -> Text:
    return texts.write(content, name, language)


def test_a_receipt_names_the_exact_amount_and_the_payment() -> None:
    text = written(texts.receipt("order-1", "payment-1", Money(amount=1250, currency="GBP"), "https://shop/orders/1"))
    assert text.subject == "Your receipt for 12.50 GBP"
    assert text.body == (
        "Hello Anna,\n\nwe have received your payment of 12.50 GBP for order order-1.\n\nPayment: payment-1\n\n"
        "Your order and its invoice:\nhttps://shop/orders/1\n\nMercato"
    )


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (Language.EN, "Your invoice is behind the link to your order, which is in our first mail about it."),
        (Language.DE, "Ihre Rechnung finden Sie über den Link zu Ihrer Bestellung in unserer ersten E-Mail dazu."),
    ],
)
def test_a_guest_s_receipt_says_where_the_invoice_is_without_a_link(language: Language, said: str) -> None:
    amount = Money(amount=1250, currency="GBP")
    body = written(texts.receipt("order-1", "payment-1", amount, None), language=language).body
    assert f"payment-1\n\n{said}\n\nMercato" in body
    assert "http" not in body


@pytest.mark.parametrize(
    ("language", "line"),
    [(Language.EN, "The carrier's page: "), (Language.DE, "Seite des Versanddienstes: ")],
)
def test_the_carrier_s_page_is_a_line_of_its_own_where_there_is_one(language: Language, line: str) -> None:
    page = "https://track.example/T1?a=1&b=<2>"
    found = written(texts.order_shipped("order-1", "USPS", "T1", page), language=language)
    assert f" T1\n{line}{page}\n\nMercato" in found.body
    assert found.sms.endswith(f" T1\n{line}{page}")
    without = written(texts.order_shipped("order-1", "USPS", "T1"), language=language)
    assert " T1\n\nMercato" in without.body
    assert without.sms.endswith(" T1")


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("page", [f"https://track.example/{'a' * 480}", f"https://track.example/{'`' * 170}"])
def test_a_long_page_of_the_carrier_is_left_out_of_the_text_message(language: Language, page: str) -> None:
    """Each part of a text message is charged, and AWS takes 1,600 letters at most."""
    found = written(texts.order_shipped("order-1", "USPS", "T1", page), language=language)
    assert page in found.body
    assert "http" not in found.sms
    assert found.sms.endswith(" T1")
    assert parts_of(found.sms) <= MOST_SMS_PARTS


def test_a_text_of_staff_s_that_knows_no_carrier_s_page_is_sent_as_it_was_written() -> None:
    wording = Wording("Gone: {{ order }}", "By {{ carrier }},\n\n\n{{ tracking_number }}", "Gone {{ order }}")
    content = texts.order_shipped("order-1", "USPS", "T1", "https://track.example/T1")
    found = texts.write(content, "Anna", Language.EN, wording)
    assert (found.subject, found.body, found.sms) == ("Gone: order-1", "By USPS,\n\n\nT1", "Gone order-1")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("a\n{{ none }}\nb", "a\nb"),
        ("{{ none }}\nb", "b"),
        ("a\n{{ none }}", "a"),
        ("a\n {{ none }} {{none}}\nb", "a\nb"),
        ("a\n{{ none }}{{ one }}\nb", "a\n1\nb"),
        ("a\n{{ none }}.\nb", "a\n.\nb"),
        ("a\n{{ none }}\n{{ none }}\n\nb", "a\n\nb"),
        ("{{ none }}", ""),
        ("{{\none\n}}", "1"),
    ],
)
def test_a_line_of_fields_without_a_value_is_left_out(text: str, filled: str) -> None:
    assert fill(text, {"none": "", "one": "1"}) == filled


def test_a_name_stays_on_its_line() -> None:
    assert written(texts.welcome(), "Eve\r\nBcc: all").body.startswith("Hello Eve Bcc: all,\n\n")


def test_a_name_with_a_link_is_in_no_mail() -> None:
    """An account may have been made, and an order placed, with the address of somebody else."""
    assert written(texts.welcome(), "a prize: evil.example/win").body.startswith("Hello there,\n\n")


def test_an_empty_name_is_greeted_too() -> None:
    assert written(texts.welcome(), "  ").body.startswith("Hello there,\n\n")


def test_a_long_order_is_listed_in_part() -> None:
    lines = [(number, f"Mug {number}") for number in range(1, 53)]
    body = written(texts.order_confirmed("order-1", Money(amount=100, currency="GBP"), lines)).body
    assert "  50 × Mug 50\n  … and 2 more\n\nTotal: 1.00 GBP" in body
    assert "Mug 51" not in body


def test_a_failed_payment_says_why_and_that_nothing_was_charged() -> None:
    body = written(
        texts.payment_failed("order-1", Money(amount=99, currency="GBP"), "x", "Your card has expired.")
    ).body
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
    body = written(texts.refund("order-1", Money(amount=99, currency="GBP"), error)).body
    assert error not in body
    assert re.search(r"Reason: [A-Z][a-z' ]+\.\n", body)


@pytest.mark.parametrize("end", SagaEnd)
def test_each_business_error_that_ends_a_saga_has_a_text_of_its_own(end: SagaEnd) -> None:
    amount = Money(amount=99, currency="GBP")
    assert (
        written(texts.refund("order-1", amount, end)).body != written(texts.refund("order-1", amount, "KeyError")).body
    )


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
    assert f"Reason: {reason}\n" in written(texts.refund("order-1", Money(amount=99, currency="GBP"), reason)).body


@pytest.mark.parametrize("reason", [refunds.RETURNED, refunds.UNDELIVERED, refunds.GIVEN_BACK])
def test_a_reason_that_payments_gives_in_words_is_translated(reason: str) -> None:
    amount = Money(amount=99, currency="GBP")
    assert f"Reason: {reason}\n" in written(texts.refund("order-1", amount, reason)).body
    german = written(texts.refund("order-1", amount, reason), language=Language.DE).body
    assert reason not in german
    assert re.search(r"Grund: (Sie|Ihr|Ihre) [^\n]+\.\n", german)


@pytest.mark.parametrize(
    ("language", "told"), [(Language.EN, "There is nothing to refund for it:"), (Language.DE, "nichts zu erstatten:")]
)
def test_a_return_of_what_cost_nothing_is_not_told_that_all_was_refunded(language: Language, told: str) -> None:
    """As of a gift by a coupon, where the rest of the order was paid for and stays."""
    body = written(texts.return_received("order-1", 1, Money(amount=0, currency="GBP")), language=language).body
    assert told in body
    assert "All that you paid" not in body


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("name", Name)
def test_each_text_exists_in_each_language_with_the_same_fields(name: Name, language: Language) -> None:
    found, english = WORDINGS[language][name], WORDINGS[Language.EN][name]
    assert fields_of(found.subject + found.body) == fields_of(english.subject + english.body)
    assert fields_of(found.sms) == fields_of(english.sms)
    assert (language is Language.EN) == (found == english)


def test_a_german_receipt_is_german_to_the_amount() -> None:
    amount = Money(amount=123450, currency="EUR")
    text = written(texts.receipt("order-1", "payment-1", amount, "https://shop/orders/1"), language=Language.DE)
    assert text.subject == "Ihr Zahlungsbeleg über 1.234,50 EUR"
    assert text.body == (
        "Hallo Anna,\n\nwir haben Ihre Zahlung über 1.234,50 EUR für die Bestellung order-1 erhalten.\n\n"
        "Zahlung: payment-1\n\nIhre Bestellung mit der Rechnung:\nhttps://shop/orders/1\n\nMercato"
    )


@pytest.mark.parametrize(
    ("amount", "currency", "german"),
    [
        (0, "EUR", "0,00 EUR"),
        (-5, "EUR", "-0,05 EUR"),
        (-123456, "EUR", "-1.234,56 EUR"),
        (1234567, "JPY", "1.234.567 JPY"),
        (1234567, "KWD", "1.234,567 KWD"),
    ],
)
def test_amounts_in_german(amount: int, currency: str, german: str) -> None:
    assert speech.SPEECHES[Language.DE].money(Money(amount=amount, currency=currency)) == german


@pytest.mark.parametrize("end", SagaEnd)
def test_each_end_of_an_order_has_a_german_sentence(end: SagaEnd) -> None:
    german = speech.German()
    assert german.end(end.slug, "Some English.") not in (german.neutral, "Some English.")
    assert set(german.reasons) == set(speech.English.reasons)


def test_an_unknown_end_is_not_told_in_english() -> None:
    text = written(texts.order_cancelled("order-1", "of-a-newer-release", "Some English."), language=Language.DE)
    assert "English" not in text.body
    assert "Wir konnten die Bestellung nicht abschließen." in text.body


def test_a_value_is_never_read_as_a_field() -> None:
    assert fill("{{ name }}, {{order}}", {"name": "{{ order }}", "order": "1"}) == "{{ order }}, 1"


@pytest.mark.parametrize("text", ["{{ Order }}", "{{ order", "{{ order.id }}", "{{ 1 }}", "{{}}", "{{ {{ order }} }}"])
def test_what_is_no_field_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="field"):
        fields_of(text)

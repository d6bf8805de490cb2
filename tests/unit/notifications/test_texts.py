from mercato.money import Money
from notifications import texts


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

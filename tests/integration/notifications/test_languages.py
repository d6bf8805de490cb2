"""An order's messages are in the language that its buyer named, and the others in the shop's."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.languages import Language, preferred
from notifications import wiring
from tests.integration.notifications.conftest import Service

ABOUT = {"order_id": "order-1", "customer_id": "user-1"}
AMOUNT = {"amount": 123450, "currency": "EUR"}


def shipped(service: Service, event_id: str, language: str | None = None) -> dict[str, Any]:
    data = ABOUT | {"carrier": "sandbox", "tracking_number": "T1"} | ({"language": language} if language else {})
    return service.event("order.shipped", event_id, data)


@pytest.mark.parametrize(
    ("event_type", "extra", "subject"),
    [
        (
            "order.confirmed",
            {"total": AMOUNT, "lines": [{"name": "Mug", "quantity": 2}]},
            "Ihre Bestellung ist bestätigt",
        ),
        ("payment.completed", {"payment_id": "p", "amount": AMOUNT}, "Ihr Zahlungsbeleg über 1.234,50 EUR"),
        ("order.cancelled", {"reason": "out-of-stock", "detail": "Sold out."}, "Ihre Bestellung wurde storniert"),
        ("order.delivered", {"shipment_id": "s"}, "Ihre Bestellung ist angekommen"),
    ],
)
def test_each_message_of_a_german_order_is_german(
    service: Service, event_type: str, extra: dict[str, Any], subject: str
) -> None:
    service.register()

    assert service.receive(service.event(event_type, "event-1", ABOUT | {"language": "de"} | extra)) == []

    [(_, about, body)] = service.mailer.sent
    assert about == subject
    assert body.startswith("Hallo Anna,\n\n")
    assert "Sold out." not in body


def test_the_link_that_ends_such_mails_is_told_in_the_same_language(service: Service) -> None:
    service.register()
    assert service.receive(shipped(service, "shipped-1", "de")) == []
    assert "Keine E-Mails dieser Art mehr: https://shop.example/unsubscribe/" in service.mailer.sent[0][2]


def test_two_orders_of_one_customer_have_each_its_language(service: Service) -> None:
    service.register()
    assert service.receive(shipped(service, "shipped-1", "de"), shipped(service, "shipped-2", "en")) == []
    subjects = [subject for _, subject, _ in service.mailer.sent]
    assert subjects == ["Ihre Bestellung ist unterwegs", "Your order is on its way"]
    listed = [(one["subject"], one["language"]) for one in service.listed(limit="10")["items"]]
    assert {("Ihre Bestellung ist unterwegs", "de"), ("Your order is on its way", "en")} <= set(listed)


def test_a_language_of_a_later_release_is_none(service: Service) -> None:
    service.register()

    assert service.receive(shipped(service, "event-1", "fr")) == []

    assert [body.partition("\n")[0] for _, _, body in service.mailer.sent] == ["Hello Anna,"]


def test_without_a_language_it_is_the_shop_s(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    german = wiring.Settings("NotificationsTable", "unused", "https://shop.example/", default_language="de")
    monkeypatch.setitem(vars(wiring.ports()), "settings", german)
    service.register()
    assert service.receive(shipped(service, "shipped-1")) == []
    assert [subject for _, subject, _ in service.mailer.sent] == ["Ihre Bestellung ist unterwegs"]


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", Language.DE),
        ("fr,en;q=0.5,de;q=0.7", Language.DE),
        ("en-GB", Language.EN),
        ("de;q=0, en", Language.EN),
        ("fr, es", None),
        ("", None),
        ("*", None),
        ("de;q=x, en;q=0.1", Language.EN),
    ],
)
def test_a_browser_s_languages(header: str, language: Language | None) -> None:
    assert preferred(header) is language

"""Mails that come too late: the order is further along, or the time to pay it is over."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from mercato.aws.mail import MailNotSent
from mercato.clock import rfc3339
from tests.integration.notifications.conftest import Service

ABOUT = {"order_id": "order-1", "customer_id": "user-1", "number": "K7QF2-M9X40"}
CONFIRMED, SHIPPED, DELIVERED = "Your order is confirmed", "Your order is on its way", "Your order has arrived"
TO_CONFIRM = "Please confirm your payment"


def of_order(service: Service, name: str, sequence: int, extra: dict[str, Any] | None = None) -> dict[str, Any]:
    return service.event(f"order.{name}", f"{name}-{sequence}", ABOUT | (extra or {}), sequence=sequence)


def confirmed(service: Service) -> dict[str, Any]:
    total = {"amount": 500, "currency": "GBP"}
    return of_order(service, "confirmed", 5, {"total": total, "lines": [{"name": "Mug", "quantity": 1}]})


def shipped(service: Service) -> dict[str, Any]:
    return of_order(service, "shipped", 7, {"carrier": "sandbox", "tracking_number": "T1"})


def delivered(service: Service) -> dict[str, Any]:
    return of_order(service, "delivered", 9)


def awaited(service: Service, sequence: int = 3) -> dict[str, Any]:
    until = rfc3339(service.now + timedelta(minutes=10))
    asked = {"attempt": 1, "state": "action_required", "reason": "", "detail": "", "until": until}
    return of_order(service, "payment_awaited", sequence, asked)


def subjects(service: Service) -> list[str]:
    return [subject for _, subject, _ in service.mailer.sent]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_no_mail_says_on_its_way_after_one_that_says_delivered(service: Service, order: tuple[int, ...]) -> None:
    service.register()
    events = [confirmed(service), shipped(service), delivered(service)]

    for index in (*order, *order):
        assert service.receive(events[index]) == []

    sent = subjects(service)
    assert sorted(sent) == sorted({CONFIRMED, DELIVERED} | ({SHIPPED} if order.index(1) < order.index(2) else set()))
    kinds = {one["kind"]: (one["channel"], one["status"]) for one in service.listed()["items"]}
    assert kinds["order_shipped"] == (("email" if SHIPPED in sent else "in_app"), "sent")  # listed in any order
    assert service.listed()["unread_count"] == 4


def test_a_mail_that_could_not_be_sent_in_time_is_withheld(service: Service) -> None:
    service.register()
    service.mailer.failures = [MailNotSent("SES is busy")]
    assert service.receive(shipped(service)) != []
    assert service.receive(delivered(service)) == []

    assert service.receive(shipped(service)) == service.receive(shipped(service)) == []

    assert subjects(service) == [DELIVERED]
    told = [one for one in service.announced() if one["kind"] == "order_shipped"]
    assert [(one["type"], one["channel"]) for one in told] == [("notification.sent", "in_app")]


@pytest.mark.parametrize("later", ["payment_attempted", "cancelled", "confirmed"])
def test_nobody_is_asked_to_pay_an_order_that_no_longer_waits(service: Service, later: str) -> None:
    service.register()
    extra = {"reason": "x", "detail": "You cancelled it."}
    assert service.receive(confirmed(service) if later == "confirmed" else of_order(service, later, 4, extra)) == []

    assert service.receive(awaited(service)) == []

    assert TO_CONFIRM not in subjects(service)


def test_the_next_question_of_the_bank_is_a_mail_of_its_own(service: Service) -> None:
    service.register()
    for event in (awaited(service), of_order(service, "payment_attempted", 4), awaited(service, 6)):
        assert service.receive(event) == service.receive(event) == []

    assert subjects(service) == [TO_CONFIRM, TO_CONFIRM]


def test_the_mail_leads_to_the_order_and_says_how_long_it_waits(service: Service) -> None:
    service.register()
    service.receive(awaited(service))

    [(_, _, body)] = service.mailer.sent
    assert "https://shop.example/orders/order-1" in body
    assert f"until {service.now + timedelta(minutes=10):%H:%M} UTC" in body


def test_nobody_is_asked_to_pay_once_the_time_is_over(service: Service) -> None:
    service.register()
    late = awaited(service)
    service.pass_time(600)

    assert service.receive(late) == []

    assert service.mailer.sent == []
    assert [one["kind"] for one in service.listed()["items"]] == ["welcome"]

"""Mails to guests: they go to the address that the order was placed with."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest

from mercato.aws.mail import MailNotSent, MailRefused, MailUncertain
from mercato.clock import rfc3339
from mercato.peers.client import PeerUnavailable
from notifications import texts
from tests.integration.interrupter import Interrupter
from tests.integration.notifications.conftest import Service

GUEST = "guest:1"
ADDRESS = {"email": "gita@example.com", "name": "Gita Guest"}


def created(service: Service, order_id: str = "order-1", contact: Any = ADDRESS) -> list[str]:
    data = {"order_id": order_id, "customer_id": GUEST, "contact": contact}
    return service.receive(service.event("order.created", f"created-{order_id}", data))


def anonymised(service: Service, guest_id: str | None = GUEST) -> list[str]:
    data = {"order_id": "order-1", "customer_id": "user-1", "guest_id": guest_id}
    return service.receive(service.event("order.anonymised", "anonymised-1", data))


def stored() -> str:
    return json.dumps(boto3.client("dynamodb", "us-east-1").scan(TableName="NotificationsTable")["Items"])


def test_a_guest_gets_the_mails_of_the_order(service: Service) -> None:
    assert created(service) == created(service) == []

    assert service.receive(service.receipt(user_id=GUEST)) == []

    ((to, _, text),) = service.mailer.sent
    assert to == "gita@example.com"
    assert text.startswith("Hello Gita Guest,")
    assert "Your invoice is behind the link to your order, which is in our first mail about it." in text
    assert "https://" not in text, "orders alone knows the guest's link"


def test_a_mail_waits_for_the_address_that_comes_later(service: Service) -> None:
    assert service.receive(service.receipt(user_id=GUEST)) != []
    created(service)

    assert service.receive(service.receipt(user_id=GUEST)) == []

    assert [to for to, _, _ in service.mailer.sent] == ["gita@example.com"]


def test_two_orders_of_one_guest_have_an_address_each(service: Service) -> None:
    created(service)
    created(service, "order-2", {"email": "other@example.com", "name": "Gita"})

    service.receive(service.receipt(user_id=GUEST))

    assert [to for to, _, _ in service.mailer.sent] == ["gita@example.com"]


def test_the_order_of_an_account_has_no_address_in_its_event(service: Service) -> None:
    service.register("user-1")

    assert created(service, contact=None) == []
    service.receive(service.receipt())

    assert [to for to, _, _ in service.mailer.sent] == ["anna@example.com"]


def test_what_is_kept_of_a_guest_goes_with_the_order_s_address(service: Service) -> None:
    created(service)
    service.receive(service.receipt(user_id=GUEST))

    assert anonymised(service) == anonymised(service) == []

    assert "Gita" not in stored()
    assert "gita@example.com" not in stored()
    assert created(service) == []  # redelivered: the address does not come back
    assert "gita@example.com" not in stored()


def test_the_anonymising_of_an_account_s_order_changes_nothing_here(service: Service) -> None:
    before = stored()

    assert anonymised(service, None) == []

    assert stored() == before


class Killed(BaseException):
    """The process ends here."""


def kill() -> None:
    raise Killed


def awaited(service: Service, state: str = "declined", sequence: int = 3, **more: Any) -> dict[str, Any]:
    asked = {"attempt": 1, "state": state, "reason": "", "detail": ""}
    data = {"order_id": "order-1", "customer_id": GUEST, "until": rfc3339(service.now + timedelta(minutes=10))}
    return service.event("order.payment_awaited", f"awaited-{sequence}", data | asked | more, sequence=sequence)


def tokens(service: Service) -> list[str]:
    """Of the links in the mails that were sent. Each opens its order, since orders has taken it before."""
    found = [
        body.partition("https://shop.example/guest-order#token=")[2].partition("\n")[0]
        for _, _, body in service.mailer.sent
    ]
    for token in found:
        assert hashlib.sha256(token.encode()).hexdigest() in service.guest_orders.opens["order-1"]
        assert token not in stored(), "the token is stored, or in an event"
    return found


@pytest.mark.parametrize(("language", "before"), [("en", "Your order:"), ("de", "Ihre Bestellung:")])
@pytest.mark.parametrize("state", ["declined", "action_required"])
def test_the_mail_that_asks_a_guest_to_pay_has_a_link_to_the_order(
    service: Service, state: str, language: str, before: str
) -> None:
    created(service)
    event = awaited(service, state, language=language)

    assert service.receive(event) == service.receive(event) == []

    (token,) = tokens(service)
    assert f"\n\n{before}\nhttps://shop.example/guest-order#token={token}\n\nMercato" in service.mailer.sent[0][2]
    assert texts.ORDER_LINK not in str(service.mailer.sent)


def test_the_next_question_has_a_link_of_its_own_and_the_first_one_stays(service: Service) -> None:
    created(service)
    for event in (awaited(service), awaited(service, sequence=6)):
        assert service.receive(event) == []
    assert len(set(tokens(service))) == 2


@pytest.mark.parametrize(
    ("failure", "and_sends"), [(MailNotSent("busy"), False), (MailUncertain("no answer"), True), (Killed(), True)]
)
def test_a_mail_that_is_sent_again_has_the_same_link(service: Service, failure: BaseException, and_sends: bool) -> None:
    created(service)
    service.mailer.failures, service.mailer.and_sends = [failure], and_sends
    event = awaited(service)
    with contextlib.suppress(Killed):
        assert service.receive(event) != []
    service.pass_time(61)

    assert service.receive(event) == []

    assert len(set(tokens(service))) == 1


def test_a_mail_that_is_refused_for_good_is_not_sent_again(service: Service) -> None:
    created(service)
    service.mailer.failures = [MailRefused("no such mailbox")]
    assert service.receive(awaited(service)) == service.receive(awaited(service)) == []
    assert service.mailer.sent == []


@pytest.mark.parametrize("point", ["ask", "after"])
@pytest.mark.parametrize("error", [Killed(), PeerUnavailable("no answer")])
def test_without_the_answer_of_orders_the_mail_waits(service: Service, point: str, error: BaseException) -> None:
    def fail() -> None:
        raise error

    created(service)
    setattr(service.guest_orders, point, fail)
    event = awaited(service)
    with contextlib.suppress(Killed):
        assert service.receive(event) != []
    assert service.mailer.sent == []

    setattr(service.guest_orders, point, lambda: None)
    service.pass_time(61)
    assert service.receive(event) == []
    assert len(tokens(service)) == 1


@pytest.mark.parametrize("call", range(12))
def test_wherever_a_delivery_dies_the_mail_comes_with_the_one_link(service: Service, call: int) -> None:
    created(service)
    interrupter = Interrupter()
    interrupter.at(call, kill)
    event = awaited(service)
    with contextlib.suppress(Killed):
        service.receive(event)
    interrupter.act = None
    service.pass_time(61)

    for _ in range(2):
        assert service.receive(event) == []

    assert len(tokens(service)) in (1, 2)  # the end between sending and marking sends it once more
    assert len(set(tokens(service))) == 1


@pytest.mark.parametrize("call", range(12))
def test_two_deliveries_at_once_send_one_mail(service: Service, call: int) -> None:
    created(service)
    interrupter = Interrupter()
    interrupter.at(call, lambda: service.receive(awaited(service)))
    service.receive(awaited(service))
    interrupter.act = None
    assert service.receive(awaited(service)) == []
    assert len(tokens(service)) == 1


@pytest.mark.parametrize("problem", ["nothing-awaited", "too-many-links"])
def test_no_mail_for_an_order_that_waits_no_more(service: Service, problem: str) -> None:
    created(service)
    service.guest_orders.refuses = problem
    assert service.receive(awaited(service)) == service.receive(awaited(service)) == []
    assert service.mailer.sent == []
    service.guest_orders.refuses = ""
    assert service.receive(awaited(service)) == []
    assert service.mailer.sent == []


def test_an_order_that_an_account_has_claimed_is_found_in_the_account(service: Service) -> None:
    created(service)
    service.guest_orders.refuses = "link-not-found"
    assert service.receive(awaited(service)) == service.receive(awaited(service)) == []
    ((_, _, body),) = service.mailer.sent
    assert "Your order:\nhttps://shop.example/orders/order-1\n" in body
    assert "token" not in body


def test_a_release_of_orders_that_takes_no_links_yet_is_no_claim(service: Service) -> None:
    created(service)
    service.guest_orders.refuses = "route-not-found"
    assert service.receive(awaited(service)) != []
    service.guest_orders.refuses = ""
    assert service.receive(awaited(service)) == []
    assert len(tokens(service)) == 1


ENDS: dict[str, Callable[[Service], object]] = {
    "attempted": lambda one: one.receive(
        one.event("order.payment_attempted", "a", {"order_id": "order-1", "customer_id": GUEST}, sequence=4)
    ),
    "erased": anonymised,
}


@pytest.mark.parametrize("end", ENDS)
def test_a_guest_who_has_paid_or_is_forgotten_before_the_mail_gets_none(service: Service, end: str) -> None:
    created(service)
    service.mailer.failures = [MailNotSent("busy")]
    assert service.receive(awaited(service)) != []
    ENDS[end](service)
    assert service.receive(awaited(service)) == []
    assert service.mailer.sent == []


def test_a_wording_of_staff_s_without_the_place_needs_no_link(service: Service) -> None:
    created(service)
    text = {"version": 0, "subject": "Please pay", "body": "Hello {{ name }}, please pay {{ order }}."}
    path = "/api/notifications/texts/payment_to_repeat/en"
    assert service.call("PUT", path, user="boss", role="admin", body=text)[0] == 200
    service.guest_orders.ask = kill

    assert service.receive(awaited(service)) == []

    assert service.mailer.sent == [("gita@example.com", "Please pay", "Hello Gita Guest, please pay order-1.")]


def test_the_mail_to_an_account_asks_for_no_link(service: Service) -> None:
    service.register()
    service.guest_orders.ask = kill
    assert service.receive(awaited(service, customer_id="user-1")) == []
    assert "https://shop.example/orders/order-1" in service.mailer.sent[0][2]

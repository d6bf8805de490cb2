"""Which messages a guest gets about an order: switched by the order's link, for this order alone."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from mercato.aws.sms import SmsNotSent, SmsOptedOut
from notifications import wiring
from notifications.domain import BY_SMS
from tests.integration.interrupter import Interrupter
from tests.integration.notifications.conftest import Service
from tests.integration.notifications.test_guests import ADDRESS, GUEST, anonymised, created, stored

NUMBER = "+442079460958"
BODY = "Mercato: your order K7QF2-M9X40 is on its way with sandbox. Tracking number: T1"
WANTS_SMS = {"kinds": [{"kind": kind, "sms": True} for kind in BY_SMS], "phone": "+44 20 7946 0958"}


class Killed(BaseException):
    """The process ends here."""


def kill() -> None:
    raise Killed


def shipped(service: Service, order_id: str = "order-1", **changes: Any) -> dict[str, Any]:
    data = {"order_id": order_id, "customer_id": GUEST, "number": "K7QF2-M9X40"}
    sent = {"carrier": "sandbox", "tracking_number": "T1"}
    return service.event("order.shipped", f"shipped-{order_id}", data | sent | changes, sequence=7)


def switch(service: Service, path: str, body: Any) -> tuple[int, Any]:
    return service.call("PUT", path, user="", role="", body=body)


@pytest.fixture
def page(service: Service) -> str:
    """The path of the preferences of a guest's order."""
    assert created(service) == []
    return service.know_link()


def test_a_guest_gets_no_text_messages_unasked(service: Service, page: str) -> None:
    status, found = service.call("GET", page, user="", role="")
    assert (status, found["email"], found["sms"]) == (200, True, {"phone": None, "stopped": None})
    assert {one["kind"]: one["sms"] for one in found["kinds"] if one["sms"] is not None} == dict.fromkeys(BY_SMS, False)

    assert service.receive(shipped(service)) == []

    assert (service.texter.sent, len(service.mailer.sent)) == ([], 1)


def test_a_guest_who_asked_gets_the_mail_and_the_text_message_once_each(service: Service, page: str) -> None:
    for _ in range(2):
        status, found = switch(service, page, WANTS_SMS)
        assert (status, found["email"], found["sms"]) == (200, True, {"phone": NUMBER, "stopped": None})

    assert service.receive(shipped(service), shipped(service)) == service.receive(shipped(service)) == []

    assert service.texter.sent == [(NUMBER, BODY)]
    assert [to for to, _, _ in service.mailer.sent] == [ADDRESS["email"]]
    assert NUMBER not in json.dumps(service.announced())


def test_the_wish_may_come_before_the_order_s_event(service: Service) -> None:
    page = service.know_link()
    assert switch(service, page, WANTS_SMS)[0] == 200
    assert created(service) == []
    assert service.receive(shipped(service)) == []
    assert service.texter.sent == [(NUMBER, BODY)]


def test_the_text_message_is_in_the_order_s_language(service: Service, page: str) -> None:
    assert switch(service, page, WANTS_SMS)[0] == 200
    assert service.receive(shipped(service, language="de")) == []
    ((_, body),) = service.texter.sent
    assert body.startswith("Mercato: Ihre Bestellung K7QF2-M9X40 ist mit sandbox unterwegs.")


def test_the_switches_hold_for_one_order(service: Service, page: str) -> None:
    assert created(service, "order-2") == []
    assert switch(service, page, WANTS_SMS)[0] == 200
    assert service.receive(shipped(service, "order-2")) == []
    assert service.texter.sent == []


def test_a_link_that_opens_no_order_switches_nothing(service: Service, page: str) -> None:
    other = page.replace("link-of-order-1", "another")
    for status, found in (switch(service, other, WANTS_SMS), service.call("GET", other, user="", role="")):
        assert (status, found["type"]) == (404, "urn:mercato:problem:link-not-found")
    assert NUMBER not in stored()


def test_what_is_not_named_stays(service: Service, page: str) -> None:
    assert switch(service, page, {"email": False, "kinds": [{"kind": "order_shipped", "email": False}]})[0] == 200
    _, found = switch(service, page, WANTS_SMS)
    switches = {one["kind"]: (one["email"], one["sms"]) for one in found["kinds"]}
    assert (found["email"], switches["order_shipped"], switches["order_delivered"]) == (
        False,
        (False, True),
        (True, True),
    )


@pytest.mark.parametrize("nothing", [{}, {"kinds": [{"kind": "order_shipped"}]}])
def test_a_change_of_nothing_is_refused_and_changes_nothing(service: Service, page: str, nothing: Any) -> None:
    _, before = switch(service, page, WANTS_SMS)
    assert switch(service, page, nothing)[0] == 422
    assert switch(service, page, {"kinds": []}) == (200, before)


@pytest.mark.parametrize(
    "change",
    [{"kinds": [{"kind": "order_shipped", "sms": False}]}, {"phone": ""}, {"phone": "+49 30 1234567"}],
)
def test_a_guest_who_ends_it_before_it_is_sent_gets_none(service: Service, page: str, change: Any) -> None:
    assert switch(service, page, WANTS_SMS)[0] == 200
    service.texter.failures = [SmsNotSent("ThrottlingException")]
    event = shipped(service)
    assert service.receive(event) != []

    assert switch(service, page, change)[0] == 200

    assert service.receive(event) == []
    assert [to for to, _ in service.texter.sent] in ([], ["+49301234567"])


@pytest.mark.parametrize("call", range(14))
def test_a_guest_who_ends_it_in_the_middle_of_a_delivery_gets_one_or_none(
    service: Service, page: str, call: int
) -> None:
    assert switch(service, page, WANTS_SMS)[0] == 200
    event, sent = shipped(service), list[int]()
    interrupter = Interrupter()

    def end() -> None:
        sent.append(len(service.texter.sent))
        assert switch(service, page, {"kinds": [{"kind": kind, "sms": False} for kind in BY_SMS]})[0] == 200

    interrupter.at(call, end)
    service.receive(event)
    interrupter.act = None
    assert service.receive(event) == []
    assert len(service.texter.sent) <= 1
    if sent == [0] and not service.texter.sent:
        assert len(service.mailer.sent) == 1


@pytest.mark.parametrize("call", range(14))
def test_wherever_a_delivery_dies_a_guest_gets_one_text_message_at_most(service: Service, page: str, call: int) -> None:
    assert switch(service, page, WANTS_SMS)[0] == 200
    event = shipped(service)
    interrupter = Interrupter()
    interrupter.at(call, kill)
    with contextlib.suppress(Killed):
        service.receive(event)
    interrupter.act = None
    service.pass_time(61)
    for _ in range(2):
        assert service.receive(event) == []
    assert len(service.texter.sent) <= 1
    assert len(service.mailer.sent) >= 1


def test_the_answer_stop_ends_it_for_the_number_in_all_orders(service: Service, page: str) -> None:
    second = service.know_link("order-2")
    assert created(service, "order-2") == []
    for path in (page, second):
        assert switch(service, path, WANTS_SMS)[0] == 200
    service.texter.failures = [SmsOptedOut("ConflictException: DESTINATION_PHONE_NUMBER_OPTED_OUT")]

    assert service.receive(shipped(service)) == service.receive(shipped(service, "order-2")) == []

    assert service.texter.sent == []
    stopped = {"phone": NUMBER, "stopped": "opted_out"}
    assert [service.call("GET", path, user="", role="")[1]["sms"] for path in (page, second)] == [stopped, stopped]


def test_the_number_is_forgotten_with_the_order_s_address(service: Service, page: str) -> None:
    assert switch(service, page, WANTS_SMS)[0] == 200
    assert anonymised(service) == []
    assert NUMBER not in stored()

    status, found = switch(service, page, WANTS_SMS)

    assert (status, found["type"]) == (404, "urn:mercato:problem:reader-gone")
    assert NUMBER not in stored()


def test_an_order_that_an_account_has_claimed_follows_the_account_s_switches(service: Service, page: str) -> None:
    assert switch(service, page, WANTS_SMS)[0] == 200
    service.register()
    assert service.receive(shipped(service, customer_id="user-1")) == []
    assert service.texter.sent == []


def test_a_shop_may_send_no_text_messages(service: Service, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    none = wiring.Settings("NotificationsTable", "unused", "https://shop.example/", "")
    monkeypatch.setitem(vars(wiring.ports()), "settings", none)
    assert service.call("GET", page, user="", role="")[1]["sms"] is None
    status, found = switch(service, page, WANTS_SMS)
    assert (status, found["type"]) == (422, "urn:mercato:problem:sms-not-offered")

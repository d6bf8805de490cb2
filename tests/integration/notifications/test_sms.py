"""Text messages, beside the mails: each is sent once, to who asked for it, whatever becomes of the other."""

from __future__ import annotations

import itertools
import json
from typing import Any

import boto3
import pytest

from mercato.aws.mail import MailNotSent
from mercato.aws.sms import SmsNotSent, SmsOptedOut, SmsRefused, SmsUncertain
from notifications import wiring
from notifications.domain import BY_SMS
from tests.integration.interrupter import Interrupter
from tests.integration.notifications.conftest import Service

PREFERENCES = "/api/notifications/preferences"
NUMBER = "+442079460958"
ABOUT = {"order_id": "order-1", "customer_id": "user-1", "number": "K7QF2-M9X40"}
BODY = "Mercato: your order K7QF2-M9X40 is on its way with sandbox. Tracking number: T1"


class Killed(BaseException):
    """The process ends here."""


def shipped(service: Service, event_id: str = "shipped-1", **changes: Any) -> dict[str, Any]:
    data = ABOUT | {"carrier": "sandbox", "tracking_number": "T1"} | changes
    return service.event("order.shipped", event_id, data, sequence=7)


def switch(service: Service, *, on: bool = True, user: str = "user-1", **more: Any) -> tuple[int, Any]:
    kinds = [{"kind": kind, "email": True, "sms": on} for kind in BY_SMS]
    return service.call("PUT", PREFERENCES, user=user, body={"email": True, "kinds": kinds} | more)


def asks_for_sms(service: Service, user: str = "user-1") -> None:
    assert switch(service, user=user, phone="+44 20 7946 0958")[0] == 200


def items(service: Service, user: str = "user-1") -> list[dict[str, Any]]:
    return [item for item in service.table.query_all(f"USER#{user}") if item["sk"].startswith("SMS#")]


def subjects(service: Service) -> list[str]:
    return [subject for _, subject, _ in service.mailer.sent]


@pytest.fixture
def reader(service: Service) -> Service:
    service.register()
    asks_for_sms(service)
    return service


def test_nobody_gets_text_messages_unasked(service: Service) -> None:
    service.register()
    found = service.call("GET", PREFERENCES)[1]
    assert found["sms"] == {"phone": None, "stopped": None}
    assert {one["kind"]: one["sms"] for one in found["kinds"] if one["sms"] is not None} == dict.fromkeys(BY_SMS, False)

    assert service.receive(shipped(service)) == []

    assert (service.texter.sent, len(service.mailer.sent), items(service)) == ([], 1, [])


def test_who_asked_gets_the_mail_and_the_text_message_once_each(reader: Service) -> None:
    assert reader.receive(shipped(reader), shipped(reader)) == reader.receive(shipped(reader)) == []

    assert reader.texter.sent == [(NUMBER, BODY)]
    assert subjects(reader) == ["Your order is on its way"]
    told = [(one["channel"], one["type"]) for one in reader.announced() if one["kind"] == "order_shipped"]
    assert sorted(told) == [("email", "notification.sent"), ("sms", "notification.sent")]
    assert [one["channel"] for one in reader.listed()["items"] if one["kind"] == "order_shipped"] == ["email"]


def test_the_switches_of_the_channels_are_apart(reader: Service) -> None:
    body = {"email": True, "kinds": [{"kind": "order_shipped", "email": False}]}
    assert reader.call("PUT", PREFERENCES, body=body)[0] == 200

    assert reader.receive(shipped(reader)) == []

    assert (reader.texter.sent, reader.mailer.sent) == ([(NUMBER, BODY)], [])


@pytest.mark.parametrize("failing", ["mail", "sms"])
def test_a_channel_that_fails_delays_no_other_and_is_made_up_for_alone(reader: Service, failing: str) -> None:
    port: Any = reader.mailer if failing == "mail" else reader.texter
    port.failures = [MailNotSent("busy") if failing == "mail" else SmsNotSent("ThrottlingException")]

    assert reader.receive(shipped(reader)) != []
    assert (len(reader.mailer.sent), len(reader.texter.sent)) == ((0, 1) if failing == "mail" else (1, 0))

    assert reader.receive(shipped(reader)) == reader.receive(shipped(reader)) == []
    assert (len(reader.mailer.sent), len(reader.texter.sent)) == (1, 1)


def test_a_crash_between_two_channels_sends_the_other_once(reader: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(reader.texter, "send", die)
        patch.setattr(reader.store, "find_sms", die)
        sent = reader.mailer.send

        def send_and_die(*about: Any) -> None:
            sent(*about)
            patch.setattr(reader.store, "claim", die)

        patch.setattr(reader.mailer, "send", send_and_die)
        with pytest.raises(Killed):
            reader.receive(shipped(reader))
    assert (len(reader.mailer.sent), reader.texter.sent) == (1, [])

    assert reader.receive(shipped(reader)) == reader.receive(shipped(reader)) == []

    assert (len(reader.mailer.sent), reader.texter.sent) == (1, [(NUMBER, BODY)])


@pytest.mark.parametrize("failure", [Killed(), SmsUncertain("read timeout")])
def test_a_text_message_that_may_have_been_sent_is_not_sent_twice(reader: Service, failure: BaseException) -> None:
    reader.texter.failures, reader.texter.and_sends = [failure], True
    record = shipped(reader)
    if isinstance(failure, Killed):
        with pytest.raises(Killed):
            reader.receive(record)
    else:
        assert reader.receive(record) != []
    assert reader.receive(record) != []  # the claim stands
    reader.pass_time(61)

    assert reader.receive(record) == reader.receive(record) == []

    assert (len(reader.texter.sent), len(reader.mailer.sent)) == (1, 1)
    assert [item["status"] for item in items(reader)] == ["failed"]


def test_a_number_that_opted_out_is_stopped_until_staff_releases_it(reader: Service) -> None:
    reader.texter.failures = [SmsOptedOut("ConflictException: DESTINATION_PHONE_NUMBER_OPTED_OUT")]
    assert reader.receive(shipped(reader)) == reader.receive(shipped(reader, "shipped-2")) == []

    assert reader.texter.sent == []
    assert reader.call("GET", PREFERENCES)[1]["sms"] == {"phone": NUMBER, "stopped": "opted_out"}
    [stop] = reader.call("GET", "/api/notifications/stops", role="admin")[1]["items"]
    assert (stop["channel"], stop["phone"], stop["email"], stop["reason"]) == ("sms", NUMBER, "", "opted_out")
    assert sorted(item["status"] for item in items(reader)) == ["failed", "withheld"]

    assert reader.call("DELETE", f"/api/notifications/stops/{stop['stop_id']}", role="admin")[0] == 204
    assert reader.receive(shipped(reader, "shipped-3")) == []
    assert reader.texter.sent == [(NUMBER, BODY)]


def test_a_refused_number_is_recorded_and_not_tried_again(reader: Service) -> None:
    reader.texter.failures = [SmsRefused("ValidationException: INVALID_PARAMETER ‹number›")]
    assert reader.receive(shipped(reader)) == reader.receive(shipped(reader)) == []

    assert reader.texter.sent == []
    [failed] = [one for one in reader.announced() if one["type"] == "notification.failed"]
    assert (failed["channel"], failed["reason"]) == ("sms", "ValidationException: INVALID_PARAMETER ‹number›")


def test_a_text_message_that_an_event_has_overtaken_is_withheld(reader: Service) -> None:
    delivered = reader.event("order.delivered", "delivered-1", ABOUT | {"shipment_id": "s"}, sequence=8)
    assert reader.receive(delivered) == reader.receive(shipped(reader)) == []

    assert reader.texter.sent == [(NUMBER, "Mercato: your order K7QF2-M9X40 has arrived.")]


@pytest.mark.parametrize("deed", ["switch", "remove the number", "change the number", "close"])
def test_no_text_message_is_begun_after_its_reader_ended_it_at_any_moment(service: Service, deed: str) -> None:
    """The claim decides: a message goes out if and only if its claim was written before."""
    interrupter = Interrupter()
    seen = set()
    for call in itertools.count():
        user = f"user-{call}"
        service.register(user, f"{user}@example.com")
        asks_for_sms(service, user)
        service.texter.sent.clear()
        begun: list[bool] = []

        def act(user: str = user, begun: list[bool] = begun) -> None:
            begun.append(any(item["status"] != "pending" for item in items(service, user)))
            if deed == "close":
                service.store.close_account(user, service.now)
            elif deed == "switch":
                assert switch(service, on=False, user=user)[0] == 200
            else:
                phone = "" if deed.startswith("remove") else "+4930901820"
                assert service.call("PUT", PREFERENCES, user=user, body={"email": True, "phone": phone})[0] == 200

        interrupter.at(call, act)
        assert service.receive(shipped(service, f"shipped-{call}", customer_id=user, order_id=user)) == []
        if interrupter.act is not None:
            break
        numbers = [to for to, _ in service.texter.sent]
        if deed == "change the number" and not begun[0]:
            assert numbers in ([], ["+4930901820"]), f"interrupted before call {call}"
        else:
            assert numbers == [NUMBER] * begun[0], f"interrupted before call {call}"
        seen.add(bool(numbers))
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({}, "number-missing"),
        ({"phone": ""}, "number-missing"),
        ({"phone": "020 7946 0958"}, "invalid-number"),
        ({"phone": "+44 20 7946 0958 0958 0958"}, "invalid-number"),
        ({"phone": "+4420x79460958"}, "invalid-number"),
    ],
)
def test_text_messages_need_a_number(service: Service, more: dict[str, Any], problem: str) -> None:
    service.register()
    status, found = switch(service, **more)
    assert (status, found["type"]) == (422, f"urn:mercato:problem:{problem}")
    assert service.call("GET", PREFERENCES)[1]["sms"] == {"phone": None, "stopped": None}


@pytest.mark.parametrize("written", ["+44 20 7946 0958", "+44 (20) 7946-0958", "+44.20.7946.0958"])
def test_a_number_is_kept_in_international_format(service: Service, written: str) -> None:
    service.register()
    assert switch(service, phone=written)[1]["sms"]["phone"] == NUMBER


def test_a_kind_without_a_text_message_cannot_be_switched_on(reader: Service) -> None:
    kinds = [{"kind": "receipt", "email": True, "sms": True}]
    status, found = reader.call("PUT", PREFERENCES, body={"email": True, "kinds": kinds})
    assert (status, found["type"]) == (422, "urn:mercato:problem:not-by-sms")


def test_a_client_of_the_release_before_changes_no_text_messages(reader: Service) -> None:
    kinds = [{"kind": "order_shipped", "email": True}]
    assert reader.call("PUT", PREFERENCES, body={"email": True, "kinds": kinds})[0] == 200
    assert reader.receive(shipped(reader)) == []
    assert reader.texter.sent == [(NUMBER, BODY)]


def test_a_shop_without_an_origination_offers_and_sends_none(reader: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reader.receive(shipped(reader)) == []
    reader.texter.sent.clear()
    off = wiring.Settings("NotificationsTable", "unused", "https://shop.example/")
    monkeypatch.setitem(vars(wiring.ports()), "settings", off)
    found = reader.call("GET", PREFERENCES)[1]
    assert found["sms"] is None
    assert {one["sms"] for one in found["kinds"]} == {None}
    assert switch(reader)[1]["type"] == "urn:mercato:problem:sms-not-offered"

    assert reader.receive(shipped(reader, "shipped-2")) == []

    assert (reader.texter.sent, len(items(reader))) == ([], 1)


def test_a_closed_account_leaves_no_number(reader: Service) -> None:
    assert reader.receive(shipped(reader)) == []
    assert reader.receive(reader.event("user.closed", "closed-1", {"user_id": "user-1"})) == []

    assert NUMBER not in json.dumps(boto3.client("dynamodb", "us-east-1").scan(TableName=reader.table.name)["Items"])


@pytest.mark.parametrize("failure", [None, SmsNotSent("x"), SmsRefused("x"), SmsOptedOut("x"), SmsUncertain("x")])
def test_no_number_is_logged_or_published(
    reader: Service, failure: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    reader.texter.failures = [failure] if failure else []
    caplog.set_level("INFO")
    reader.receive(shipped(reader))
    reader.receive(shipped(reader))

    written = [str(vars(record)) for record in caplog.records]
    assert any("order_shipped" in line for line in written)
    assert not [line for line in [*written, json.dumps(reader.announced())] if NUMBER.lstrip("+") in line]

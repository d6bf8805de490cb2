import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ConnectionClosedError
from moto.core.models import botocore_stubber

from mercato import aws
from mercato.aws.mail import MailNotSent, MailRefused, MailUncertain
from notifications.domain import CLAIM_LASTS, Claim
from tests.integration.interrupter import Interrupter

REGISTERED = {"user_id": "user-1", "email": "anna@example.com", "name": "Anna"}


class Killed(BaseException):
    """The process ends here."""


def of_kind(announced: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [found for found in announced if found["kind"] == kind]


def test_a_registered_user_is_welcomed_and_remembered(service: Any) -> None:
    assert service.receive(service.event("user.registered", "event-1", REGISTERED)) == []
    ((to, subject, body),) = service.mailer.sent
    assert (to, subject) == ("anna@example.com", "Welcome to Mercato")
    assert body.startswith("Hello Anna,")
    (found,) = service.listed()["items"]
    assert (found["kind"], found["channel"], found["status"], found["order_id"]) == ("welcome", "email", "sent", None)
    assert service.announced() == [
        {
            "type": "notification.sent",
            "notification_id": found["notification_id"],
            "user_id": "user-1",
            "channel": "email",
            "kind": "welcome",
        }
    ]
    assert service.receive(service.receipt()) == []


@pytest.mark.parametrize(
    ("event_type", "extra", "kind", "subject"),
    [
        (
            "order.confirmed",
            {"total": {"amount": 500, "currency": "GBP"}, "lines": [{"name": "Mug", "quantity": 2, "sku": "M"}]},
            "order_confirmed",
            "Your order is confirmed",
        ),
        (
            "payment.completed",
            {"payment_id": "p", "amount": {"amount": 500, "currency": "GBP"}},
            "receipt",
            "Your receipt for 5.00 GBP",
        ),
        (
            "payment.failed",
            {"payment_id": "p", "amount": {"amount": 500, "currency": "GBP"}, "reason": "x", "detail": "No."},
            "payment_failed",
            "Your payment did not go through",
        ),
        ("order.shipped", {"carrier": "sandbox", "tracking_number": "T1"}, "order_shipped", "Your order is on its way"),
        ("order.delivered", {"shipment_id": "s"}, "order_delivered", "Your order has arrived"),
        (
            "order.payment_awaited",
            {"attempt": 1, "state": "action_required", "reason": "", "detail": "", "until": "2099-01-01T12:30:00.000Z"},
            "payment_awaited",
            "Please confirm your payment",
        ),
        (
            "order.payment_awaited",
            {"attempt": 1, "state": "declined", "reason": "", "detail": "", "until": "2099-01-01T12:30:00.000Z"},
            "payment_awaited",
            "Please pay with another card",
        ),
        ("order.cancelled", {"reason": "x", "detail": "Sold out."}, "order_cancelled", "Your order was cancelled"),
        (
            "order.return_approved",
            {"lines": [{"product_id": "p", "quantity": 2}], "amount": {"amount": 500, "currency": "GBP"}},
            "return_approved",
            "Please send your goods back",
        ),
        ("order.return_refused", {"refusal": "It was worn."}, "return_refused", "We cannot take your return"),
        (
            "order.return_received",
            {"lines": [{"product_id": "p", "quantity": 1, "restock": 1, "write_off": 0}], "reason": "damaged"}
            | {"amount": {"amount": 500, "currency": "GBP"}},
            "return_received",
            "We have received your return",
        ),
        (
            "payment.refunded",
            {"amount": {"amount": 500, "currency": "GBP"}, "reason": "Broken"},
            "refund",
            "We have refunded 5.00 GBP",
        ),
    ],
)
def test_each_event_tells_its_customer(
    service: Any, event_type: str, extra: dict[str, Any], kind: str, subject: str
) -> None:
    service.register()
    data = {"order_id": "order-1", "customer_id": "user-1"} | extra
    assert service.receive(service.event(event_type, "event-2", data)) == []
    assert [(to, about) for to, about, _ in service.mailer.sent] == [("anna@example.com", subject)]
    found = next(one for one in service.listed()["items"] if one["kind"] == kind)
    assert (found["order_id"], found["status"]) == ("order-1", "sent")
    assert "order order-1" in service.mailer.sent[0][2], "an order of an earlier release is named by its id"


def test_a_refund_of_nothing_is_no_news(service: Any) -> None:
    service.register()
    data = {"order_id": "order-1", "customer_id": "user-1", "reason": "You returned goods."}
    event = service.event("payment.refunded", "event-2", data | {"amount": {"amount": 0, "currency": "GBP"}})
    assert (service.receive(event), service.mailer.sent) == ([], [])


@pytest.mark.parametrize("page", ["https://track.example/T1", None])
def test_the_mail_of_a_parcel_has_the_carrier_s_page_if_there_is_one(service: Any, page: str | None) -> None:
    service.register()
    data = {"order_id": "order-1", "customer_id": "user-1", "carrier": "USPS", "tracking_number": "T1"}
    assert service.receive(service.event("order.shipped", "event-2", data | {"tracking_url": page})) == []
    [(_, _, body)] = service.mailer.sent
    assert ("\nThe carrier's page: https://track.example/T1\n" in body) is (page is not None)
    assert ("carrier's page" in body) is (page is not None)


@pytest.mark.parametrize(
    ("event_type", "data"),
    [
        ("order.shipped", {"carrier": "sandbox", "tracking_number": "T1", "number": "K7QF2-M9X40"}),
        (
            "payment.completed",
            {"payment_id": "p", "amount": {"amount": 500, "currency": "GBP"}, "order_number": "K7QF2-M9X40"},
        ),
    ],
)
def test_a_mail_names_the_order_by_its_number(service: Any, event_type: str, data: dict[str, Any]) -> None:
    service.register()
    about = {"order_id": "order-1", "customer_id": "user-1"}
    assert service.receive(service.event(event_type, "event-2", about | data)) == []
    [(_, _, body)] = service.mailer.sent
    assert "order K7QF2-M9X40" in body
    assert "order-1" not in body.replace("https://shop.example/orders/order-1", "")


def test_a_receipt_links_to_the_order_s_page_which_has_the_invoice(service: Any) -> None:
    service.register()
    assert service.receive(service.receipt()) == []
    [(_, _, body)] = service.mailer.sent
    assert "Your order and its invoice:\nhttps://shop.example/orders/order-1\n" in body


def renamed(service: Any, name: str, sequence: int) -> dict[str, Any]:
    data = {"user_id": "user-1", "name": name}
    record: dict[str, Any] = service.event("user.profile_changed", f"renamed-{sequence}", data, sequence=sequence)
    return record


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0), (0, 1, 2, 1, 0)])
def test_a_mail_greets_by_the_newest_name_in_whatever_order_the_events_come(
    service: Any, order: tuple[int, ...]
) -> None:
    registered = service.event("user.registered", "event-1", REGISTERED)
    records = [registered, renamed(service, "Anna King", 2), renamed(service, "Anna Byron", 3)]
    for index in order:
        assert service.receive(records[index]) == []

    assert service.receive(service.receipt()) == []

    assert service.mailer.sent[-1][2].startswith("Hello Anna Byron,")


def test_a_name_that_comes_after_the_account_was_closed_is_not_kept(service: Any) -> None:
    service.register()
    assert service.receive(service.event("user.closed", "closed-1", {"user_id": "user-1"})) == []

    assert service.receive(renamed(service, "Anna King", 2)) == []

    items = boto3.client("dynamodb", "us-east-1").scan(TableName=service.table.name)["Items"]
    assert "Anna" not in json.dumps(items)


def test_a_doubled_event_makes_one_notification_and_one_mail(service: Any) -> None:
    service.register()
    assert service.receive(service.receipt(), service.receipt()) == []
    assert service.receive(service.receipt()) == []
    assert len(service.mailer.sent) == 1
    assert service.listed()["unread_count"] == 2, "the welcome and one receipt"
    assert len(of_kind(service.announced(), "receipt")) == 1


def test_an_event_of_a_user_not_known_yet_waits_in_the_queue(service: Any) -> None:
    assert service.receive(service.receipt()) == ["m-paid-1"]
    assert service.mailer.sent == []
    assert service.listed()["unread_count"] == 0
    service.register()
    assert service.receive(service.receipt()) == []
    assert len(service.mailer.sent) == 1


def test_an_event_that_waits_does_not_hold_up_the_others(service: Any) -> None:
    service.register()
    assert service.receive(service.receipt("a", "user-2"), service.receipt("b")) == ["m-a"]
    assert len(service.mailer.sent) == 1


def test_without_email_what_an_order_can_do_without_is_listed_and_not_sent(service: Any) -> None:
    service.register()
    assert service.call("PUT", "/api/notifications/preferences", body={"email": False})[0] == 200
    data = {"order_id": "order-1", "customer_id": "user-1", "shipment_id": "s"}
    assert service.receive(service.event("order.delivered", "delivered-1", data)) == []
    assert service.mailer.sent == []
    found = service.listed()["items"][0]
    assert (found["kind"], found["channel"], found["status"], found["read"]) == (
        "order_delivered",
        "in_app",
        "sent",
        False,
    )
    (announced,) = of_kind(service.announced(), "order_delivered")
    assert (announced["type"], announced["channel"]) == ("notification.sent", "in_app")


def test_a_mail_that_is_refused_for_good_is_failed_and_not_tried_again(service: Any) -> None:
    service.register()
    service.mailer.failures = [MailRefused("MessageRejected: no such address")]
    assert service.receive(service.receipt()) == []
    assert service.receive(service.receipt()) == []
    assert service.mailer.sent == []
    assert service.listed()["items"][0]["status"] == "failed"
    (announced,) = of_kind(service.announced(), "receipt")
    assert (announced["type"], announced["reason"]) == ("notification.failed", "MessageRejected: no such address")


def test_a_throttled_mail_is_sent_by_the_next_delivery_at_once(service: Any) -> None:
    service.register()
    service.mailer.failures = [MailNotSent("TooManyRequestsException")]
    assert service.receive(service.receipt()) == ["m-paid-1"]
    assert service.listed()["items"][0]["status"] == "pending"
    assert service.receive(service.receipt()) == []
    assert len(service.mailer.sent) == 1
    assert service.listed()["unread_count"] == 2


def test_a_receipt_whose_answer_was_lost_is_sent_again_only_after_its_claim(service: Any) -> None:
    service.register()
    service.mailer.failures = [MailUncertain("read timeout")]
    assert service.receive(service.receipt()) == ["m-paid-1"]
    service.pass_time(59)
    again = service.receipt(at=service.now.replace(hour=12, minute=0, second=0))
    assert service.receive(again) == ["m-paid-1"], "the claim stands"
    assert service.mailer.sent == []
    service.pass_time(2)
    assert service.receive(again) == []
    assert len(service.mailer.sent) == 1
    assert service.listed()["items"][0]["status"] == "sent"


def test_a_receipt_cut_off_after_sending_is_the_one_case_that_sends_twice(service: Any) -> None:
    service.register()
    record = service.receipt()
    service.mailer.failures, service.mailer.and_sends = [Killed()], True
    with pytest.raises(Killed):
        service.receive(record)
    service.pass_time(61)
    assert service.receive(record) == []
    assert len(service.mailer.sent) == 2
    assert len(of_kind(service.announced(), "receipt")) == 1, "announced once all the same"


def test_a_welcome_cut_off_after_sending_is_never_sent_twice(service: Any) -> None:
    record = service.event("user.registered", "event-1", REGISTERED)
    service.mailer.failures, service.mailer.and_sends = [Killed()], True
    with pytest.raises(Killed):
        service.receive(record)
    assert service.receive(record) == ["m-event-1"]
    service.pass_time(61)
    assert service.receive(record) == []
    assert len(service.mailer.sent) == 1
    (announced,) = service.announced()
    assert announced["type"] == "notification.failed"
    assert announced["reason"].startswith("interrupted")


def test_a_welcome_that_is_given_up_is_a_dead_letter_so_that_an_alarm_rings(service: Any) -> None:
    record = service.event("user.registered", "event-1", REGISTERED)
    service.mailer.failures = [Killed()]
    with pytest.raises(Killed):
        service.receive(record)
    service.pass_time(61)
    assert service.receive(record) == []
    sqs = boto3.client("sqs", "us-east-1")
    url = sqs.get_queue_url(QueueName="shop-notifications-dlq")["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"]["reason"]["StringValue"] == "mail-given-up"


def lose_answers(losses: int, expression: str) -> list[str]:
    """DynamoDB executes each transaction with that expression, and the first responses are lost. Returns the received
    transactions.
    """
    arrived: list[str] = []

    def lose(request: Any, event_name: str, **_: Any) -> None:
        if expression in request.body.decode():
            arrived.append(request.body.decode())
            if len(arrived) <= losses:
                botocore_stubber(event_name=event_name, request=request)
                raise ConnectionClosedError(endpoint_url=request.url)

    aws.client("dynamodb").meta.events.register_first("before-send.dynamodb.TransactWriteItems", lose)
    return arrived


@pytest.mark.parametrize("kind", ["welcome", "receipt"])
def test_a_claim_whose_answer_is_lost_is_this_attempt_s_and_sends(service: Any, kind: str) -> None:
    if kind == "receipt":
        service.register()
    record = service.receipt() if kind == "receipt" else service.event("user.registered", "event-1", REGISTERED)
    arrived = lose_answers(1, "SET #status = :sending")
    assert service.receive(record) == []
    assert len(arrived) == 2
    assert len(service.mailer.sent) == 1
    assert service.listed()["items"][0]["status"] == "sent"


def test_a_claim_that_never_has_an_answer_is_given_back_and_the_next_delivery_sends(service: Any) -> None:
    record = service.event("user.registered", "event-1", REGISTERED)
    attempts = 3
    arrived = lose_answers(attempts, "SET #status = :sending")
    assert service.receive(record) == ["m-event-1"]
    assert len(arrived) == attempts
    assert service.mailer.sent == []
    assert service.receive(record) == []
    assert len(service.mailer.sent) == 1
    assert service.listed()["items"][0]["status"] == "sent"


def test_a_crash_between_recording_and_sending_loses_nothing(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service.register()

    def die(*_: object) -> bool:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(service.store, "claim", die)
        with pytest.raises(Killed):
            service.receive(service.receipt())
    assert service.mailer.sent == []
    assert service.receive(service.receipt()) == []
    assert len(service.mailer.sent) == 1


def test_two_deliveries_at_once_send_one_mail(service: Any) -> None:
    service.register()
    inner = service.mailer.send
    answers: list[list[str]] = []

    def send_while_another_comes(to: str, subject: str, body: str, unsubscribe: str) -> None:
        service.mailer.send = inner
        answers.append(service.receive(service.receipt()))
        inner(to, subject, body)

    service.mailer.send = send_while_another_comes
    assert service.receive(service.receipt()) == []
    assert answers == [["m-paid-1"]], "the second sees the claim and waits"
    assert len(service.mailer.sent) == 1


@pytest.mark.parametrize("call", range(5))
def test_an_attempt_that_read_before_another_one_s_claim_does_not_send_beside_it(service: Any, call: int) -> None:
    """SES's answer to the other attempt was lost, so its mail may have been sent."""
    service.register()
    service.mailer.failures = [MailUncertain("read timeout")]
    interrupter, answers = Interrupter(), list[list[str]]()
    interrupter.at(call, lambda: answers.append(service.receive(service.receipt())))
    assert service.receive(service.receipt()) == ["m-paid-1"]
    assert answers == [["m-paid-1"]]
    assert service.mailer.sent == []
    assert service.listed()["items"][0]["status"] == "sending"


def test_an_attempt_whose_claim_another_one_has_taken_over_decides_nothing_any_more(service: Any) -> None:
    service.register()
    service.mailer.failures = [MailNotSent("TooManyRequestsException")]
    service.receive(service.receipt())
    store, found = service.store, service.listed()["items"][0]
    receipt = store.get_notification("user-1", found["notification_id"])
    claims = []
    for name in ("first", "second"):
        claims.append(Claim(name, service.now + CLAIM_LASTS))
        assert store.claim(receipt, "anna@example.com", claims[-1], service.now)
        service.pass_time(61)
    first, second = claims
    assert not store.mark_sent(receipt, first, service.now)
    assert not store.mark_failed(receipt, first, "refused", service.now)
    assert not store.release(receipt, first)
    assert service.listed()["items"][0]["status"] == "sending"
    assert store.mark_sent(receipt, second, service.now)
    assert service.listed()["items"][0]["status"] == "sent"


def test_an_event_redriven_after_its_marker_has_expired_sends_nothing_more(service: Any) -> None:
    service.register()
    service.receive(service.receipt())
    boto3.client("dynamodb", "us-east-1").delete_item(
        TableName=service.table.name, Key={"pk": {"S": "INBOX#paid-1"}, "sk": {"S": "INBOX"}}
    )
    assert service.receive(service.receipt()) == []
    assert len(service.mailer.sent) == 1
    assert service.listed()["unread_count"] == 2


@pytest.mark.parametrize(
    "data",
    [
        {"order_id": "order-1", "customer_id": "user-1"},
        {"payment_id": "p", "order_id": "o", "customer_id": "user-1", "amount": {"amount": 12.5, "currency": "GBP"}},
        {"payment_id": "p", "order_id": "o", "customer_id": "user-1", "amount": {"amount": 1, "currency": "pounds"}},
    ],
)
def test_an_event_that_cannot_be_read_goes_to_the_dead_letters_with_its_reason(
    service: Any, data: dict[str, Any]
) -> None:
    service.register()
    assert service.receive(service.event("payment.completed", "event-3", data)) == []
    sqs = boto3.client("sqs", "us-east-1")
    url = sqs.get_queue_url(QueueName="shop-notifications-dlq")["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"]["reason"]["StringValue"] == "malformed"
    assert message["MessageAttributes"]["correlation_id"]["StringValue"] == "request-0001"
    assert json.loads(message["Body"])["detail"]["id"] == "event-3"
    assert service.mailer.sent == []

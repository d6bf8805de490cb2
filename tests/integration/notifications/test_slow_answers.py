"""AWS answers after seconds: no invocation ends while a message may be on its way, so none is sent twice for it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from mercato.events import consumer as consumers_of_queues
from mercato.invocation import deadline
from notifications import consumers
from notifications.domain import BY_SMS
from tests.integration.notifications.conftest import Service
from tests.kit import aws_events
from tests.kit.template import resources_of_type

TIMEOUT = 20.0  # seconds, of the function


class Killed(BaseException):
    """Lambda ends the invocation."""


@dataclass
class Clock:
    now: float = 0.0
    ends_at: float = TIMEOUT

    def monotonic(self) -> float:
        return self.now

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends_at - self.now) * 1000)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        if self.now > self.ends_at:
            raise Killed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(deadline, "time", found)
    monkeypatch.setattr(consumers_of_queues, "time", found)
    return found


def slow(channel: Any, clock: Clock, *times: float) -> None:
    """Each message on the channel leaves at once, and AWS answers some seconds later: `times`, again and again."""
    send, seconds = channel.send, itertools.cycle(times)

    def send_slowly(*message: str) -> None:
        send(*message)
        clock.wait(next(seconds))

    channel.send = send_slowly


def deliver(service: Service, clock: Clock, *records: dict[str, Any]) -> list[dict[str, Any]]:
    """One invocation. Returns the messages that come again."""
    clock.ends_at = clock.now + TIMEOUT
    answer = consumers.handler(aws_events.records(*records), clock)
    left = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    return [record for record in records if record["messageId"] in left]


def test_the_function_has_the_time_that_these_tests_give_it() -> None:
    found = resources_of_type("AWS::Serverless::Function")["NotificationsConsumer"]["Properties"]
    assert found.get("Timeout", 20) == TIMEOUT


@pytest.mark.parametrize("times", [[0.9], [3.0], [6.9], [1.9] * 8 + [5.0], [0.1] * 5 + [6.9] * 2])
def test_each_mail_of_a_batch_is_sent_once(service: Service, clock: Clock, times: list[float]) -> None:
    service.register()
    slow(service.mailer, clock, *times)
    left = [service.receipt(f"paid-{number}") for number in range(10)]
    for _ in range(len(left)):
        left = deliver(service, clock, *left)
        service.pass_time(120)
    assert left == []
    assert len(service.mailer.sent) == 10


@pytest.mark.parametrize("seconds", [0.7, 3.0, 4.3, 6.9])
def test_each_customer_who_waits_for_a_product_gets_one_mail(service: Service, clock: Clock, seconds: float) -> None:
    queue = boto3.client("sqs", "us-east-1").create_queue(QueueName="shop-notifications")["QueueUrl"]
    service.sells(available=0)
    names = [f"user-{number}" for number in range(15)]
    for name in names:
        service.register(name, f"{name}@example.com")
        assert service.call("PUT", "/api/notifications/wishes/mug", user=name)[0] in (200, 201, 204)
    slow(service.mailer, clock, seconds)

    left = deliver(service, clock, service.stock_event(15, 6))
    for _ in names:
        anew = boto3.client("sqs", "us-east-1").receive_message(QueueUrl=queue, VisibilityTimeout=900)
        if not left and not anew.get("Messages"):
            break
        left = deliver(service, clock, service.stock_event(15, 6))

    assert sorted(to for to, _, _ in service.mailer.sent) == sorted(f"{name}@example.com" for name in names)


def test_a_text_message_waits_where_its_mail_has_used_up_the_time(service: Service, clock: Clock) -> None:
    service.register()
    kinds = [{"kind": kind, "email": True, "sms": True} for kind in BY_SMS]
    wanted = {"email": True, "kinds": kinds, "phone": "+44 20 7946 0958"}
    assert service.call("PUT", "/api/notifications/preferences", body=wanted)[0] == 200
    slow(service.mailer, clock, 6.9)
    slow(service.texter, clock, 6.9)
    data = {"order_id": "order-1", "customer_id": "user-1", "carrier": "sandbox", "tracking_number": "T1"}
    shipped = service.event("order.shipped", "shipped-1", data, sequence=7)

    left = deliver(service, clock, service.receipt(), shipped)
    assert left == [shipped]
    service.pass_time(120)
    assert deliver(service, clock, *left) == []

    assert (len(service.mailer.sent), len(service.texter.sent)) == (2, 1)

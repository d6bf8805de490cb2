"""The bus of one case. The real relay publishes the outbox records to the queues of the real consumers.

Each event is delivered at least twice. A message that a consumer reports as failed is delivered again.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import Any

from documents import consumers as document_consumers
from inventory import consumers as inventory_consumers
from mercato.store.attributes import Item, to_item
from notifications import consumers as notification_consumers
from orders import consumers as order_consumers
from payments import consumers as payment_consumers
from relay import publish
from shipping import carrier as shipping_carrier
from shipping import consumers as shipping_consumers
from tests.chaos.faults import Died, Injector
from tests.chaos.tables import Watch
from tests.kit import aws_events

CONSUMERS = {
    "orders": order_consumers.consumer,
    "inventory": inventory_consumers.consumer,
    "payments": payment_consumers.consumer,
    "shipping": shipping_consumers.consumer,
    "notifications": notification_consumers.consumer,
    "documents": document_consumers.consumer,
}
CARRIER = "shop-carrier"
MAX_RECEIVES = 6
_TOO_OFTEN = f"after {MAX_RECEIVES} receives"


def hearing(service: str, event_type: str) -> str:
    """The name of a consumer's step, to which a Fault refers as its task."""
    return f"{service} hears {event_type}"


class Events:
    """A fake EventBridge client that accepts every event."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []

    def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - as boto3 names it
        self.taken += [json.loads(entry["Detail"]) for entry in Entries]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": str(number)} for number in range(len(Entries))]}


class Queues:
    """A fake SQS client that keeps the sent messages by the queue's name."""

    def __init__(self) -> None:
        self.sent: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803 - as boto3 names it
        return {"QueueUrl": QueueName}

    def send_message(self, QueueUrl: str, MessageBody: str, **more: Any) -> dict[str, str]:  # noqa: N803
        self.sent[QueueUrl].append({"body": MessageBody} | more)
        return {"MessageId": "m-1"}

    def change_message_visibility(self, **_: Any) -> None:
        """A message that failed comes back at once, without the queue's pause."""

    def take(self, name: str) -> list[dict[str, Any]]:
        return self.sent.pop(name, [])


class Bus:
    """`published` has every published event once. `dead` describes every dead letter."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._events, self._queues = Events(), Queues()
        self._relayed = 0
        self._delivering = False
        self._dead_letters: list[tuple[str, dict[str, Any]]] = []
        self.injector = Injector(())
        self.published: list[dict[str, Any]] = []
        self.dead: list[str] = []

    def client(self, service: str, attempts: int = 3) -> Any:
        """Replaces mercato.aws.client in the modules that publish events or send messages."""
        return {"events": self._events, "sqs": self._queues}[service]

    def begin_with(self, published: list[dict[str, Any]]) -> None:
        """Takes these events as published and delivered. Call it before the first delivery, with their outbox."""
        self.published[:] = published
        self._relayed = len(self._watch.outbox)

    def deliver(self) -> None:
        """Delivers until no event or message is left. A nested call returns at once, since the outer call continues."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._relay() or self._carry():
                pass
        finally:
            self._delivering = False
        self._collect_dead()

    def deliver_again(self) -> None:
        """Delivers every event again, as late duplicates."""
        for detail in list(self.published):
            self._hand_out(detail)
        self.deliver()

    def redrive(self) -> list[str]:
        """Redrives every dead letter, as an operator does after a repair. Returns the steps that had failed."""
        letters, self._dead_letters, self.dead = self._dead_letters, [], []
        for service, detail in letters:
            self._deliver_to(service, CONSUMERS[service], detail)
        self.deliver()
        return [hearing(service, detail["type"]) for service, detail in letters]

    def of_type(self, event_type: str) -> list[dict[str, Any]]:
        return [event["data"] for event in self.published if event["type"] == event_type]

    def _relay(self) -> bool:
        fresh: list[Item] = self._watch.outbox[self._relayed :]
        if not fresh:
            return False
        first, self._relayed = self._relayed, self._relayed + len(fresh)
        records = [
            aws_events.stream_record(to_item(item), number=str(first + offset)) for offset, item in enumerate(fresh)
        ]
        taken = len(self._events.taken)
        assert publish.handler(aws_events.records(*records), None) == {"batchItemFailures": []}
        for detail in self._events.taken[taken:]:
            self.published.append(detail)
            self._hand_out(detail)
        return True

    def _hand_out(self, detail: dict[str, Any]) -> None:
        for service, consumer in CONSUMERS.items():
            if consumer.subscription_to(detail["type"]):
                self._deliver_to(service, consumer, detail)
                self._deliver_to(service, consumer, detail)

    def _deliver_to(self, service: str, consumer: Any, detail: dict[str, Any]) -> None:
        waiting = deque([self._record(service, detail)])
        for _ in range(MAX_RECEIVES):
            if not waiting:
                return
            record = waiting.popleft()
            if not self._is_received(consumer, record, hearing(service, detail["type"])):
                waiting.append(record)
                self._relay()  # the event that it waits for may be in the outbox
        if waiting:
            self.dead.append(f"{service}: {detail['type']} {_TOO_OFTEN}")
            self._dead_letters.append((service, detail))

    def _is_received(self, consumer: Any, record: dict[str, Any], step: str) -> bool:
        try:
            answer = self.injector.call(lambda _: consumer.handler(aws_events.records(record), None), {"task": step})
        except (Exception, Died):  # noqa: BLE001 - the message stays in its queue, whatever the exception
            return False
        return not answer["batchItemFailures"]

    def _carry(self) -> bool:
        messages = self._queues.take(CARRIER)
        for number, message in enumerate(messages):
            record = aws_events.sqs_record(message["body"], "shop-carrier", message_id=f"m-{number}")
            for _ in range(2):
                assert not shipping_carrier.handler(aws_events.records(record), None)["batchItemFailures"]
        return bool(messages)

    def _collect_dead(self) -> None:
        for service in (*CONSUMERS, "carrier"):
            for message in self._queues.take(f"shop-{service}-dlq"):
                event = json.loads(message["body"])["detail"]
                reason = message["MessageAttributes"]["detail"]["StringValue"]
                self.dead.append(f"{service}: {event['type']}: {reason}")
                self._dead_letters.append((service, event))

    @staticmethod
    def _record(service: str, detail: dict[str, Any]) -> dict[str, Any]:
        return aws_events.bus_record(detail, f"shop-{service}", message_id=f"m-{detail['id']}")

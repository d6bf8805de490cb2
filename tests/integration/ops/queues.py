"""Makes queues with dead-letter queues, and fills them."""

from __future__ import annotations

import json
from typing import Any

import boto3

PREFIX = "mercato-"


class Queues:
    def __init__(self) -> None:
        self.sqs: Any = boto3.client("sqs", "us-east-1")
        self.dropped = 0

    def open(self, *names: str) -> None:
        """Makes a queue and its dead-letter queue, as infra/subscription.yaml makes them."""
        for name in names:
            dlq = self.open_dead_end(f"{name}-dlq")
            arn = self.sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "8"})
            self.sqs.create_queue(QueueName=PREFIX + name, Attributes={"RedrivePolicy": policy})

    def open_dead_end(self, name: str, prefix: str = PREFIX) -> str:
        return str(self.sqs.create_queue(QueueName=prefix + name)["QueueUrl"])

    def url(self, name: str) -> str:
        return str(self.sqs.get_queue_url(QueueName=PREFIX + name)["QueueUrl"])

    def drop(self, queue: str, *, event: str, reason: str = "malformed", **attributes: str) -> str:
        """Sends a dead letter as our consumers do. Returns its message id. The events' ids count up."""
        self.dropped += 1
        detail = {
            "id": f"event-{self.dropped}",
            "type": event,
            "subject": f"subject-{self.dropped}",
            "correlationid": f"request-{self.dropped:04}",
        }
        return self.put(f"{queue}-dlq", json.dumps({"detail": detail}), reason=reason, **attributes)

    def put(self, queue: str, body: str, **attributes: str) -> str:
        answer = self.sqs.send_message(
            QueueUrl=self.url(queue),
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
        return str(answer["MessageId"])

    def count(self, name: str) -> int:
        """The number of visible messages in the queue."""
        names = ["ApproximateNumberOfMessages"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url(name), AttributeNames=names)["Attributes"]
        return int(found[names[0]])

    def hold(self, name: str) -> None:
        """Receives messages, as a concurrent reader does."""
        self.sqs.receive_message(QueueUrl=self.url(name), MaxNumberOfMessages=10, VisibilityTimeout=600)

    def delivered(self, name: str) -> list[tuple[str, dict[str, str]]]:
        """Receives what was redriven to a queue: event ids, each with the message's attributes."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url(name), MaxNumberOfMessages=10, MessageAttributeNames=["All"], VisibilityTimeout=600
        )
        return [
            (
                json.loads(message["Body"])["detail"]["id"],
                {key: value["StringValue"] for key, value in message.get("MessageAttributes", {}).items()},
            )
            for message in answer.get("Messages", [])
        ]

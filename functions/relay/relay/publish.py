"""Reads the tables' streams and publishes outbox records: in order per entity, at least once, and never stuck.

Run twice, an event is published twice with the same id, and consumers drop the second. Killed in the middle, the
stream delivers the batch again. The first entry that EventBridge does not take now ends the work: the stream goes on
from there, so that no entity's later event overtakes an earlier one.

A record that can never be published (not an envelope, too large, refused as malformed) would stop its shard for all
entities. It goes to the failure queue with its keys and its reason, which rings the alarm, and the stream goes on.
Nothing is lost: the item stays in its table. Only where that queue cannot be reached does the record hold the shard,
and then for no longer than the mapping's MaximumRetryAttempts; what the mapping gives up on goes to the same queue.
From there relay.sweep publishes it when it can.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.invocation import deadline
from mercato.telemetry.logs import log
from relay.records import Outgoing, Unreadable, batches, is_outbox_record, read
from relay.wiring import ports

NOT_PUBLISHABLE = "not-publishable"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    with deadline.of_invocation(context):
        stopped_at = publish(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": stopped_at}] if stopped_at else []}


def publish(records: list[dict[str, Any]]) -> str | None:
    """Returns the sequence number of the first record that is not done, where the stream must go on from."""
    by_sequence = {record["dynamodb"]["SequenceNumber"]: record for record in records}
    readable, undone = _read(records)
    for batch in batches(readable):
        refused, not_taken = ports().event_bus.put(batch)
        undone |= not_taken
        undone |= {number for number, reason in refused.items() if not _set_aside(by_sequence[number], reason)}
        if undone:
            break
    # Sequence numbers are texts of different lengths; the batch itself is in their order.
    return next((number for number in by_sequence if number in undone), None)


def _read(records: list[dict[str, Any]]) -> tuple[list[Outgoing], set[str]]:
    """What can be published, and the sequence numbers of what can be neither published nor set aside."""
    readable: list[Outgoing] = []
    undone: set[str] = set()
    for record in filter(is_outbox_record, records):
        try:
            readable.append(read(record, ports().settings.event_bus_name))
        except Unreadable as error:
            if not _set_aside(record, str(error)):
                undone.add(record["dynamodb"]["SequenceNumber"])
    return readable, undone


def _set_aside(record: dict[str, Any], reason: str) -> bool:
    """False where the failure queue cannot be reached."""
    found = {
        "reason": reason,
        "stream": record.get("eventSourceARN", ""),
        "keys": record["dynamodb"].get("Keys", {}),
        "sequence_number": record["dynamodb"]["SequenceNumber"],
    }
    log.error("record cannot be published", extra=found)
    try:
        aws.client("sqs").send_message(
            QueueUrl=ports().settings.failure_queue_url,
            MessageBody=json.dumps(found),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in (("reason", NOT_PUBLISHABLE), ("detail", _printable(reason)))
            },
        )
    except (ClientError, BotoCoreError) as error:
        log.warning("the failure queue cannot be reached", extra={"reason": str(error)})
        return False
    return True


def _printable(text: str) -> str:
    """What SQS takes as an attribute."""
    return "".join(char if char.isprintable() else " " for char in text[:1000]) or "-"

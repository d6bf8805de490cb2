"""Reads the tables' streams and publishes outbox records: in order per entity, at least once, and never stuck.

A repeated run publishes an event twice with the same id, and consumers drop the duplicate. After a crash the stream
redelivers the batch. The first entry that EventBridge does not accept now ends the work: the stream continues from
there, so that no later event of an entity overtakes an earlier one.

A record that can never be published (not an envelope, too large, refused as malformed) would block its shard for all
entities. It goes to the failure queue with its keys and its reason, which raises the alarm, and the stream continues.
The item stays in its table. Only if that queue is unavailable does the record block the shard, at most for the
mapping's MaximumRetryAttempts; after these the mapping sends it to the same queue. relay.sweep publishes from there.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.invocation import deadline
from mercato.telemetry import failures
from mercato.telemetry.logs import log
from relay.records import Outgoing, Unreadable, batches, is_outbox_record, read
from relay.wiring import ports

NOT_PUBLISHABLE = "not-publishable"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    with deadline.of_invocation(context):
        stopped_at = publish(event["Records"])
    return {"batchItemFailures": [{"itemIdentifier": stopped_at}] if stopped_at else []}


def publish(records: list[dict[str, Any]]) -> str | None:
    """Returns the sequence number of the first unpublished record, from which the stream must continue."""
    by_sequence = {record["dynamodb"]["SequenceNumber"]: record for record in records}
    readable, undone = _read(records)
    for batch in batches(readable):
        refused, not_taken = ports().event_bus.put(batch)
        undone |= not_taken
        undone |= {number for number, reason in refused.items() if not _set_aside(by_sequence[number], reason)}
        if undone:
            break
    # Sequence numbers are texts of different lengths, so use the order of the batch.
    return next((number for number in by_sequence if number in undone), None)


def _read(records: list[dict[str, Any]]) -> tuple[list[Outgoing], set[str]]:
    """The publishable events, and the sequence numbers of records that can be neither published nor set aside."""
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
    """Returns False if the failure queue is unavailable."""
    found = {
        "reason": reason,
        "stream": record.get("eventSourceARN", ""),
        "keys": record["dynamodb"].get("Keys", {}),
        "sequence_number": record["dynamodb"]["SequenceNumber"],
    }
    log.error("record cannot be published", extra=found)
    failures.count()
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
        log.warning("the failure queue is unavailable", extra={"reason": str(error)})
        return False
    return True


def _printable(text: str) -> str:
    """The text with only the characters that SQS accepts in an attribute."""
    return "".join(char if char.isprintable() else " " for char in text[:1000]) or "-"

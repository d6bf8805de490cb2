"""Reads the records that a message of the failure queue names: a part of a stream, or one item of a table.

Lambda's message names a range of a shard and holds no records; the stream keeps them for a day. The relay's own message
names an item's keys. The item is read from the table, so a repair of the item takes effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.errors import TransientError

# Errors of DynamoDB and its streams for records that no longer exist. A retry cannot succeed.
_GONE = frozenset({"TrimmedDataAccessException", "ResourceNotFoundException", "ValidationException"})
_EMPTY_PAGES = 5  # a shard may answer a few pages without a record before its end


class Gone(Exception):
    """Neither the stream nor the table has the record any more, or the message names none."""


def records_of(message: Any) -> list[dict[str, Any]]:
    """The records as the stream would deliver them. Raises Gone, or TransientError if they cannot be read now."""
    try:
        if "DDBStreamBatchInfo" in message:
            return list(_from_stream(message["DDBStreamBatchInfo"]))
        return [_from_table(message["stream"], message["keys"], message["sequence_number"])]
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            raise Gone(str(error)) from None
        raise TransientError(str(error)) from error
    except BotoCoreError as error:
        raise TransientError(str(error)) from error
    except (LookupError, TypeError, ValueError) as error:
        raise Gone(f"the message names nothing: {error!r}") from None


def _from_stream(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records from the first to the last of a batch after Lambda's last retry."""
    client, last = aws.client("dynamodbstreams"), int(batch["endSequenceNumber"])
    iterator = client.get_shard_iterator(
        StreamArn=batch["streamArn"],
        ShardId=batch["shardId"],
        ShardIteratorType="AT_SEQUENCE_NUMBER",
        SequenceNumber=batch["startSequenceNumber"],
    )["ShardIterator"]
    empty = 0
    while iterator and empty < _EMPTY_PAGES:
        page = client.get_records(ShardIterator=iterator)
        for record in page["Records"]:
            number = int(record["dynamodb"]["SequenceNumber"])
            if number > last:
                return
            yield {"eventSourceARN": batch["streamArn"]} | record
            if number == last:
                return
        empty = 0 if page["Records"] else empty + 1
        iterator = page.get("NextShardIterator")
    raise TransientError(f"the stream ended before {last}")


def _from_table(stream: str, keys: dict[str, Any], sequence_number: str) -> dict[str, Any]:
    """`stream` is arn:…:table/<name>/stream/<label>."""
    table = stream.split("table/")[1].split("/")[0]
    answer = aws.client("dynamodb").get_item(TableName=table, Key=keys, ConsistentRead=True)
    if "Item" not in answer:
        raise Gone(f"{table} has no item {keys}")
    return {
        "eventName": "INSERT",
        "eventSourceARN": stream,
        "dynamodb": {"Keys": keys, "NewImage": answer["Item"], "SequenceNumber": sequence_number},
    }

"""Access tokens that end early: those of a closed account, and those with a revoked role.

ENDED#<user>  ENDED  in the table of the rate limits, which every API reads: the time at which the user's tokens ended.
The users service writes it in the transaction that ends them, and the authorizer reads it once for each token that
it checks. The item is kept for longer than a token lives.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.clock import epoch
from mercato.store.attributes import from_item, to_item
from mercato.store.dynamo import Write
from mercato.telemetry.logs import log

_KEPT = timedelta(hours=1)
_PATIENCE = 2.0  # seconds


def end(table_name: str, user_id: str, now: datetime) -> Write:
    """For a transaction on any table: ends every token issued up to `now`, in whole seconds."""
    return Write(
        "Update",
        {
            "TableName": table_name,
            "Key": to_item(_key(user_id)),
            "UpdateExpression": "SET ended_at = :now, #ttl = :ttl",
            "ExpressionAttributeNames": {"#ttl": "ttl"},
            "ExpressionAttributeValues": to_item({":now": epoch(now), ":ttl": epoch(now + _KEPT)}),
        },
    )


def has_ended(table_name: str, user_id: str, issued_at: int) -> bool:
    """Whether a token issued then, in Unix seconds, was ended. False if the table is unavailable: the shop stays open,
    and the token expires by itself.
    """
    try:
        answer = aws.client("dynamodb", attempts=2, patience=_PATIENCE).get_item(
            TableName=table_name, Key=to_item(_key(user_id)), ConsistentRead=True
        )
    except (ClientError, BotoCoreError) as error:
        log.error("the table of ended tokens is unavailable: the token passes", extra={"reason": str(error)})
        return False
    return "Item" in answer and bool(from_item(answer["Item"])["ended_at"] >= issued_at)


def _key(user_id: str) -> dict[str, str]:
    return {"pk": f"ENDED#{user_id}", "sk": "ENDED"}

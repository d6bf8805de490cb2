"""Access tokens that end before their time: those of a closed account, and those with a role that was taken away.

ENDED#<user>  ENDED  in the table of the rate limits, which every API reads: when the user's tokens
ended. The users service writes it in the transaction that ends them, and the authorizer reads it, once for each token
that it is asked about. The item is kept for longer than a token lives.
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
    """For a transaction on any table: every token that was issued up to `now`, in whole seconds, is refused."""
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
    """Of a token that was issued then, in Unix seconds. False where the table cannot be asked: a dead table closes no
    shop, and the token ends by itself.
    """
    try:
        answer = aws.client("dynamodb", attempts=2, patience=_PATIENCE).get_item(
            TableName=table_name, Key=to_item(_key(user_id)), ConsistentRead=True
        )
    except (ClientError, BotoCoreError) as error:
        log.error("whether the token has ended is not known: it is let pass", extra={"reason": str(error)})
        return False
    return "Item" in answer and bool(from_item(answer["Item"])["ended_at"] >= issued_at)


def _key(user_id: str) -> dict[str, str]:
    return {"pk": f"ENDED#{user_id}", "sk": "ENDED"}

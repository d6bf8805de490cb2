"""The mark of a restore, in the audit table of the shop that is restored: pk=RESTORE, sk=RESTORE.

It says which backup it is, how far it is, and what the functions' concurrency was before. A backup leaves it out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from infra.operator.backup.files import Item
from infra.trouble import Trouble

_KEY = {"pk": {"S": "RESTORE"}, "sk": {"S": "RESTORE"}}


class State(StrEnum):
    BEGUN = "begun"
    WRITTEN = "written"  # and compared with the backup; it remains to open the shop and to start sagas
    COMPLETE = "complete"


@dataclass(frozen=True)
class Mark:
    """`backup` is the SHA-256 of the manifest. `run` is the run of the command that has the restore now."""

    backup: str
    state: State
    run: str
    functions: Mapping[str, int | None]


class Marks:
    """Of one shop. `table` is the name of its audit table."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def read(self) -> Mark | None:
        item = self._dynamodb.get_item(TableName=self._table, Key=_KEY, ConsistentRead=True).get("Item")
        return _read(item) if item else None

    def begin(self, backup: str, functions: Mapping[str, int | None]) -> Mark:
        """Begins the restore, or takes it over from an interrupted run. Raises Trouble if another one was begun."""
        mark = Mark(backup, State.BEGUN, uuid.uuid4().hex, functions)
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key=_KEY,
                UpdateExpression="SET #backup = :backup, #run = :run, #state = if_not_exists(#state, :begun), "
                "#functions = if_not_exists(#functions, :functions)",
                ConditionExpression="attribute_not_exists(pk) OR #backup = :backup",
                ExpressionAttributeNames={f"#{name}": name for name in ("backup", "run", "state", "functions")},
                ExpressionAttributeValues={
                    ":backup": {"S": backup},
                    ":run": {"S": mark.run},
                    ":begun": {"S": mark.state},
                    ":functions": {"S": json.dumps(dict(functions))},
                },
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            raise _if_condition(error, "another backup was being restored into this shop") from None
        return _read(answer["Attributes"])

    def advance(self, mark: Mark, state: State) -> None:
        """Raises Trouble if another run has taken over."""
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=_KEY,
                UpdateExpression="SET #state = :state",
                ConditionExpression="#run = :run",
                ExpressionAttributeNames={"#state": "state", "#run": "run"},
                ExpressionAttributeValues={":state": {"S": state}, ":run": {"S": mark.run}},
            )
        except ClientError as error:
            raise _if_condition(error, "another run of this restore has taken over") from None

    def withdraw(self, mark: Mark) -> None:
        """Removes the mark of a restore that has written nothing."""
        try:
            self._dynamodb.delete_item(
                TableName=self._table,
                Key=_KEY,
                ConditionExpression="#run = :run",
                ExpressionAttributeNames={"#run": "run"},
                ExpressionAttributeValues={":run": {"S": mark.run}},
            )
        except ClientError as error:
            raise _if_condition(error, "another run of this restore has taken over") from None

    def require(self, mark: Mark) -> None:
        """Raises Trouble if another run has taken over."""
        found = self.read()
        if found is None or found.run != mark.run:
            raise Trouble("another run of this restore has taken over", "Leave it to that run, and wait for its end.")


def is_mark(item: Item) -> bool:
    return item["pk"] == _KEY["pk"]


def _read(item: Item) -> Mark:
    functions = json.loads(item["functions"]["S"])
    return Mark(item["backup"]["S"], State(item["state"]["S"]), item["run"]["S"], functions)


def _if_condition(error: ClientError, what: str) -> Exception:
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        return error
    return Trouble(what, "Look which commands run on this shop. One restore is done at a time.")

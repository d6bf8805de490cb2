"""A DynamoDB table for the stores: plain values, failed conditions by index, throttling as TransientError."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from mercato import aws
from mercato.dataclass import dataclass
from mercato.errors import Malformed, TransientError
from mercato.invocation import deadline, hooks
from mercato.store.attributes import Item, from_item, to_item
from mercato.telemetry import metrics

MAX_TRANSACTION = 100
_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
    "TransactionInProgressException",
}
_RETRYABLE_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
_CONFLICT_ATTEMPTS = 6
# Seconds: the pauses of a patient transaction, and what its last try and the response need of the invocation's time.
_SHORTEST_PAUSE, _LONGEST_PAUSE, _LAST_TRY = 0.02, 1.0, 2.0


class ConditionFailed(Exception):
    """A write's condition failed. `index` is its place in the transaction, `item` the item as it is stored."""

    def __init__(self, index: int, item: Item | None) -> None:
        super().__init__(f"the condition of write {index} did not hold")
        self.index = index
        self.item = item


class InvalidCursor(Malformed):
    """The cursor was not issued by this list."""


class SeveralConditionsFailed(ConditionFailed):
    """Several conditions of a transaction failed; `failures` has each, by its index."""

    def __init__(self, failures: Mapping[int, Item | None]) -> None:
        first = min(failures)
        super().__init__(first, failures[first])
        self.failures = dict(failures)


@dataclass(frozen=True)
class Write:
    """One write of a transaction, in the API's form. Made by put, update, delete or check."""

    kind: str
    parameters: dict[str, Any] = field(hash=False)


def _conditional(condition: str | None, names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if condition:
        found["ConditionExpression"] = condition
        found["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    if names:
        found["ExpressionAttributeNames"] = dict(names)
    if values:
        found["ExpressionAttributeValues"] = to_item(values)
    return found


def put(
    item: Item, condition: str | None = None, *, names: Mapping[str, str] = {}, values: Mapping[str, Any] = {}
) -> Write:
    return Write("Put", {"Item": to_item(item)} | _conditional(condition, names, values))


def put_new(item: Item) -> Write:
    """A put that fails if the item exists."""
    return put(item, "attribute_not_exists(pk)")


def update(
    pk: str,
    sk: str,
    expression: str,
    condition: str | None = None,
    *,
    names: Mapping[str, str] = {},
    values: Mapping[str, Any] = {},
) -> Write:
    key = {"Key": to_item({"pk": pk, "sk": sk}), "UpdateExpression": expression}
    return Write("Update", key | _conditional(condition, names, values))


def delete(
    pk: str, sk: str, condition: str | None = None, *, names: Mapping[str, str] = {}, values: Mapping[str, Any] = {}
) -> Write:
    return Write("Delete", {"Key": to_item({"pk": pk, "sk": sk})} | _conditional(condition, names, values))


def check(pk: str, sk: str, condition: str, *, names: Mapping[str, str] = {}, values: Mapping[str, Any] = {}) -> Write:
    return Write("ConditionCheck", {"Key": to_item({"pk": pk, "sk": sk})} | _conditional(condition, names, values))


@dataclass(frozen=True)
class KeyRange:
    """The sort keys that a query reads, and their order. `prefix`, `after` (exclusive) or `between` (inclusive) bounds
    them. Without any of these, all are read.
    """

    prefix: str | None = None
    after: str | None = None
    between: tuple[str, str] | None = None
    forward: bool = True

    def condition(self) -> tuple[str, dict[str, str]]:
        """The condition on `#sk` that follows the one on the partition key, and its values."""
        if self.prefix is not None:
            return " AND begins_with(#sk, :sk)", {":sk": self.prefix}
        if self.after is not None:
            return " AND #sk > :sk", {":sk": self.after}
        if self.between is not None:
            first, last = self.between
            return " AND #sk BETWEEN :sk AND :to", {":sk": first, ":to": last}
        return "", {}


_WHOLE = KeyRange()


@dataclass(frozen=True)
class Page:
    """`next_key` is the key after which the next page starts, or None at the end."""

    items: list[Item]
    next_key: Item | None


def _pauses(patience: float) -> Iterator[float]:
    """The pauses between the tries of a transaction that conflicts with others.

    Without `patience` five, which double up to half a second. With it, decorrelated jitter for about that many seconds,
    but no longer than the invocation lasts.
    """
    if not patience:
        yield from (random.uniform(0, min(0.02 * 2**attempt, 0.5)) for attempt in range(1, _CONFLICT_ATTEMPTS))
        return
    pause = waited = 0.0
    while waited < patience:
        pause = min(_LONGEST_PAUSE, random.uniform(_SHORTEST_PAUSE, 3 * max(pause, _SHORTEST_PAUSE)))
        if deadline.left() < pause + _LAST_TRY:
            return
        waited += pause
        yield pause


def _is_done(write: Write, found: Item | None) -> bool:
    """Whether the stored item equals the one of this put, or is missing after this delete: a retry of a done write."""
    if write.kind == "Put":
        return found == from_item(write.parameters["Item"])
    return write.kind == "Delete" and found is None


class Table:
    """One table with the keys `pk` and `sk`, both strings. `sleep` is passed in for tests."""

    def __init__(self, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = name
        self._sleep = sleep

    def get(self, pk: str, sk: str, *, consistent: bool = True) -> Item | None:
        answer = self._call(
            "get_item", TableName=self.name, Key=to_item({"pk": pk, "sk": sk}), ConsistentRead=consistent
        )
        return from_item(answer["Item"]) if "Item" in answer else None

    def get_many(self, keys: Iterable[tuple[str, str]]) -> list[Item]:
        """Reads by key, a hundred at a time. Omits missing items; the order is not kept."""
        pending = [to_item({"pk": pk, "sk": sk}) for pk, sk in dict.fromkeys(keys)]
        found: list[Item] = []
        attempt = 0
        while pending:
            batch, pending = pending[:100], pending[100:]
            answer = self._call("batch_get_item", RequestItems={self.name: {"Keys": batch, "ConsistentRead": True}})
            found += [from_item(item) for item in answer["Responses"].get(self.name, [])]
            left = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if left:
                attempt = attempt + 1 if len(left) == len(batch) else 1
                self._back_off(attempt, f"{len(left)} keys of {self.name} stay unread")
                pending = left + pending
        return found

    def query(
        self,
        pk: str,
        keys: KeyRange = _WHOLE,
        *,
        index: str | None = None,
        limit: int | None = None,
        start: Item | None = None,
        consistent: bool = True,
    ) -> Page:
        """Reads one page of a partition. An index is read eventually consistent. Raises InvalidCursor if `start` is not
        a key of this list.
        """
        pk_name, sk_name = (f"{index}pk", f"{index}sk") if index else ("pk", "sk")
        condition, values = keys.condition()
        call: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "#pk = :pk" + condition,
            "ExpressionAttributeNames": {"#pk": pk_name} | ({"#sk": sk_name} if condition else {}),
            "ExpressionAttributeValues": to_item({":pk": pk} | values),
            "ScanIndexForward": keys.forward,
        }
        if index:
            call["IndexName"] = index
        else:
            call["ConsistentRead"] = consistent
        if limit:
            call["Limit"] = limit
        if start:
            call["ExclusiveStartKey"] = to_item(start)
        try:
            answer = self._call("query", **call)
        except ClientError as error:
            # The start key comes from a client's cursor; the rest of the request is our own.
            if start is None or error.response["Error"]["Code"] != "ValidationException":
                raise
            raise InvalidCursor("The cursor belongs to another list; start again without one.") from None
        last = answer.get("LastEvaluatedKey")
        return Page([from_item(item) for item in answer["Items"]], from_item(last) if last else None)

    def query_all(
        self,
        pk: str,
        keys: KeyRange = _WHOLE,
        *,
        index: str | None = None,
        limit: int | None = None,
        consistent: bool = True,
    ) -> Iterator[Item]:
        """Reads a partition page by page. `limit` is the size of a page."""
        start: Item | None = None
        while True:
            page = self.query(pk, keys, index=index, limit=limit, start=start, consistent=consistent)
            yield from page.items
            if page.next_key is None:
                return
            start = page.next_key

    def write(self, write: Write, *, return_values: str | None = None) -> Item | None:
        """Writes one item. Retries a conflict with a transaction. `return_values`: ALL_NEW, ALL_OLD of an update.

        botocore retries a write after a lost response, and the retry then fails its condition. So a conditional update
        is sent as a transaction of one, which DynamoDB does once; a retried put or delete is recognised by the stored
        item. For an update with `return_values` neither is possible: its caller must recognise its own write.

        Raises ConditionFailed.
        """
        if write.kind == "Update" and "ConditionExpression" in write.parameters and return_values is None:
            self._transact([write], None)
            return None
        operation = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}[write.kind]
        extra = {"ReturnValues": return_values} if return_values else {}
        for attempt in range(1, _CONFLICT_ATTEMPTS + 1):
            try:
                answer = self._call(operation, TableName=self.name, **write.parameters, **extra)
                return from_item(answer["Attributes"]) if "Attributes" in answer else None
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "ConditionalCheckFailedException":
                    item: Any = error.response.get("Item")
                    found = from_item(item) if item else None
                    if error.response.get("ResponseMetadata", {}).get("RetryAttempts") and _is_done(write, found):
                        return None
                    raise ConditionFailed(0, found) from None
                if code != "TransactionConflictException":
                    raise
                self._count_conflict()
            self._back_off(attempt, f"the write to {self.name} conflicts with a transaction")
        raise AssertionError("unreachable")

    def transact(self, writes: list[Write], *, token: str | None = None, patience: float = 0.0) -> None:
        """Writes all or nothing, at most MAX_TRANSACTION writes. Retries a conflict with another transaction.

        DynamoDB cancels a transaction that meets another on one item, at once and without a queue. `patience` is the
        seconds for which a transaction on items that many others write at the same time is tried again.

        Without a token, botocore makes one for each call, so that its own retries are idempotent.

        Raises ConditionFailed if one condition failed, SeveralConditionsFailed for more, TransientError if it could not
        be done now.
        """
        if writes:
            self._transact(writes, token, patience)

    def _transact(self, writes: list[Write], token: str | None, patience: float = 0.0) -> None:
        actions = [{write.kind: {"TableName": self.name} | write.parameters} for write in writes]
        call: dict[str, Any] = {"TransactItems": actions} | ({"ClientRequestToken": token} if token else {})
        pauses = _pauses(patience)
        while True:
            try:
                self._call("transact_write_items", **call)
                return
            except ClientError as error:
                if error.response["Error"]["Code"] != "TransactionCanceledException":
                    raise
                self._raise_for(error)
            pause = next(pauses, None)
            if pause is None:
                raise TransientError(f"the transaction on {self.name} conflicts with others")
            self._sleep(pause)

    def _raise_for(self, error: ClientError) -> None:
        """Returns if a reason is a conflict or a throttle, so that a retry may succeed.

        A failed condition beside a conflict is not final: the other transaction may be this same change, and only after
        it has ended are all conditions, also an inbox marker's, evaluated.
        """
        reasons: Any = error.response.get("CancellationReasons", [])
        codes = {reason.get("Code", "None") for reason in reasons}
        if codes - _RETRYABLE_REASONS - {"None", "ConditionalCheckFailed"}:  # ValidationError: our bug, no conflict
            raise error
        if "TransactionConflict" in codes:
            self._count_conflict()
        if codes & _RETRYABLE_REASONS:
            return
        failed = {
            index: from_item(reason["Item"]) if reason.get("Item") else None
            for index, reason in enumerate(reasons)
            if reason.get("Code") == "ConditionalCheckFailed"
        }
        if len(failed) == 1:
            raise ConditionFailed(*next(iter(failed.items()))) from None
        if failed:
            raise SeveralConditionsFailed(failed) from None
        raise error

    def _count_conflict(self) -> None:
        metrics.count("TransactionConflicts", table=self.name)
        hooks.run_each_time(metrics.flush)

    def _back_off(self, attempt: int, what: str) -> None:
        if attempt >= _CONFLICT_ATTEMPTS:
            raise TransientError(what)
        self._sleep(random.uniform(0, min(0.02 * 2**attempt, 0.5)))

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(aws.client("dynamodb"), operation)(**parameters)
            return answer
        except ClientError as error:
            if error.response["Error"]["Code"] in _THROTTLED:
                raise TransientError(f"{operation} on {self.name}: {error}") from error
            raise
        except (ConnectionError, HTTPClientError) as error:
            raise TransientError(f"{operation} on {self.name}: {error}") from error

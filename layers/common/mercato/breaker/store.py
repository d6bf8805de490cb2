"""Stores circuits: one DynamoDB item each, and one list of all.

    CB#<name>       STATE               the circuit, see state.py
    CB#<name>       AUDIT#<time>#<id>   an operator's change of it
    CIRCUITS        <name>              the list with each circuit's setting, so that operators need no scan
    OUTBOX#<name>   <generation>#...    events for the relay

The timeouts are far below those of other calls: a breaker must never wait longer than the call that it protects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws
from mercato.breaker.change import Change, Check, Result, Value
from mercato.breaker.errors import StoreFault
from mercato.breaker.state import CLOSED, SET_BY_OPERATORS, State
from mercato.dataclass import dataclass
from mercato.events import outbox
from mercato.store import dynamo
from mercato.store.attributes import Item, from_item, to_item
from mercato.store.dynamo import Write

SERVICE = "ops"
CONNECT, READ, ATTEMPTS = 0.2, 0.5, 1
# Longer than any opening, since a deleted circuit is closed. A state that an operator set has no ttl.
_KEPT_SECONDS = 90 * 24 * 3600


@dataclass(frozen=True)
class Reading:
    """`entries` are the requested entries of the list that exist, with their settings."""

    states: Mapping[str, State]
    entries: Mapping[str, str]


class Store(Protocol):
    """Each method raises StoreFault if there is no answer."""

    def read(self, names: Collection[str], entries: Collection[str] = ()) -> Reading: ...

    def change(self, name: str, change: Change, now: int) -> Result: ...

    def enlist(self, name: str, about: str) -> None: ...


class DynamoStore:
    """`attempts`: how often a call is tried. An operator's command has time for more than one, and is a transaction,
    which DynamoDB does once however often botocore retries it.
    """

    def __init__(self, table_name: str, *, attempts: int = ATTEMPTS) -> None:
        self._table = table_name
        self._attempts = attempts

    def read(self, names: Collection[str], entries: Collection[str] = ()) -> Reading:
        """One call for all. Consistent, so that a lower generation than the known one is not a stale answer."""
        keys = [{"pk": _pk(name), "sk": "STATE"} for name in names]
        keys += [{"pk": "CIRCUITS", "sk": name} for name in entries]
        states, found = dict.fromkeys(names, CLOSED), {}
        for start in range(0, len(keys), 100):
            wanted = [to_item(key) for key in keys[start : start + 100]]
            asked = {self._table: {"Keys": wanted, "ConsistentRead": True}}
            answer = self._call("batch_get_item", RequestItems=asked)
            if answer.get("UnprocessedKeys"):
                raise StoreFault(f"not all circuits of {self._table} could be read")
            for item in map(from_item, answer["Responses"].get(self._table, [])):
                if item["pk"] == "CIRCUITS":
                    found[item["sk"]] = item["about"]
                else:
                    states[item["pk"].removeprefix("CB#")] = State.of(item)
        return Reading(states, found)

    def change(self, name: str, change: Change, now: int) -> Result:
        update = _update(name, change, now)
        also = [*_told(name, change, now), *_audited(name, change)]
        return self._transact(name, change, [update, *also]) if also else self._write(name, update)

    def enlist(self, name: str, about: str) -> None:
        entry = to_item({"pk": "CIRCUITS", "sk": name, "about": about})
        self._call("put_item", TableName=self._table, Item=entry)

    def names(self) -> Iterator[tuple[str, str]]:
        """Every circuit with its setting."""
        start: dict[str, Any] = {}
        while True:
            answer = self._call(
                "query",
                TableName=self._table,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues=to_item({":pk": "CIRCUITS"}),
                **start,
            )
            for item in map(from_item, answer["Items"]):
                yield item["sk"], item["about"]
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def audit_of(self, name: str, limit: int = 20) -> list[Item]:
        """The operators' changes of a circuit, newest first."""
        answer = self._call(
            "query",
            TableName=self._table,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :audit)",
            ExpressionAttributeValues=to_item({":pk": _pk(name), ":audit": "AUDIT#"}),
            ScanIndexForward=False,
            Limit=limit,
        )
        return [from_item(item) for item in answer["Items"]]

    def _write(self, name: str, update: Write) -> Result:
        try:
            answer = self._call("update_item", TableName=self._table, **update.parameters, ReturnValues="ALL_NEW")
        except _Refused as refused:
            return Result(False, self._in_the_way(name, refused))
        return Result(True, _state(answer["Attributes"]))

    def _transact(self, name: str, change: Change, writes: list[Write]) -> Result:
        actions = [{write.kind: {"TableName": self._table} | write.parameters} for write in writes]
        try:
            self._call("transact_write_items", TransactItems=actions)
        except _Refused as refused:
            if refused.index > 0:
                # Published before, by an earlier circuit of this name that was deleted: the state still counts.
                return self._write(name, writes[0])
            return Result(False, self._in_the_way(name, refused))
        return Result(True, State.of(change.set))

    def _in_the_way(self, name: str, refused: _Refused) -> State:
        return self.read([name]).states[name] if refused.item is None else _state(refused.item)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(_client(self._attempts), operation)(**parameters)
        except ClientError as error:
            _raise_refused(error)
            raise StoreFault(f"{operation} on {self._table}: {error}") from error
        except BotoCoreError as error:
            raise StoreFault(f"{operation} on {self._table}: {error}") from error
        return answer


def _client(attempts: int) -> Any:
    return aws.client("dynamodb", attempts=attempts, patience=(CONNECT, READ))


class _Refused(Exception):
    """A condition failed, or another transaction was first; then the stored `item` is not known."""

    def __init__(self, index: int, item: Any) -> None:
        super().__init__()
        self.index = index
        self.item = item


def _raise_refused(error: ClientError) -> None:
    response: Any = error.response
    code = response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        raise _Refused(0, response.get("Item") or {}) from None
    if code == "TransactionCanceledException":
        reasons = response.get("CancellationReasons", [])
        codes = [reason.get("Code", "None") for reason in reasons]
        if "ConditionalCheckFailed" in codes:
            index = codes.index("ConditionalCheckFailed")
            raise _Refused(index, reasons[index].get("Item") or {}) from None
        if "TransactionConflict" in codes:
            raise _Refused(0, None) from None
    if code == "TransactionConflictException":
        raise _Refused(0, None) from None


def _state(attributes: Mapping[str, Any]) -> State:
    return State.of(from_item(attributes))


def _pk(name: str) -> str:
    return f"CB#{name}"


def _update(name: str, change: Change, now: int) -> Write:
    names: dict[str, str] = {}
    values: dict[str, Any] = {}

    def named(attribute: str) -> str:
        names[f"#{attribute}"] = attribute
        return f"#{attribute}"

    def valued(value: int | str) -> str:
        key = f":v{len(values)}"
        values[key] = value
        return key

    def condition(check: Check) -> str:
        attribute, operator = named(check.attribute), check.operator.removeprefix("?")
        compared = f"{attribute} {operator} {valued(check.value)}"
        return f"(attribute_not_exists({attribute}) OR {compared})" if check.operator == "?=" else compared

    stays = change.set.get("st") in SET_BY_OPERATORS
    kept: dict[str, Value] = {} if stays else {"ttl": now // 1000 + _KEPT_SECONDS}
    assigned = ", ".join(f"{named(key)} = {valued(value)}" for key, value in (dict(change.set) | kept).items())
    removed = f" REMOVE {named('ttl')}" if stays else ""
    added = ", ".join(f"{named(key)} {valued(value)}" for key, value in change.add.items())
    alternatives = [" AND ".join(map(condition, alternative)) for alternative in change.when]
    if len(alternatives) > 1:
        # A single alternative has no parentheses: DynamoDB refuses redundant ones.
        alternatives = [f"({alternative})" for alternative in alternatives]
    return dynamo.update(
        _pk(name),
        "STATE",
        f"SET {assigned}" + removed + (f" ADD {added}" if added else ""),
        " OR ".join(alternatives),
        names=names,
        values=values,
    )


def _told(name: str, change: Change, now: int) -> Iterator[Write]:
    if change.event is not None:
        moment = datetime.fromtimestamp(now / 1000, UTC)
        sequence = int(change.set["gen"])
        yield outbox.record(change.event, service=SERVICE, subject=name, sequence=sequence, now=moment)


def _audited(name: str, change: Change) -> Iterator[Write]:
    if change.audit is not None:
        key = f"AUDIT#{change.audit['at']}#{change.audit['request_id']}"
        yield dynamo.put_new({"pk": _pk(name), "sk": key} | change.audit)

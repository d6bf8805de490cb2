"""Repeats the first response for an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).

If the key determines the entity's id and one transaction creates the entity (orders, cancellations, returns), nothing
more is needed. Any other write uses `answer_once`: a record in the service's own table, `pk=IDEMPOTENCY#<id>`,
holds a lease while the request runs, and then the response. After a crash the lease expires, and a retry runs the
write again, which therefore must derive its ids from `Keyed.id`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, cast

from pydantic import BaseModel

from mercato.clock import epoch
from mercato.dataclass import dataclass
from mercato.errors import Conflict, IdempotencyKeyReused, TransientError
from mercato.http.auth import Caller
from mercato.http.response import Response, replayed
from mercato.ids import derived_id, fingerprint, new_id
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, Table

LEASE = timedelta(seconds=30)  # longer than a function that answers HTTP may run
KEPT = timedelta(days=2)
_IN_FLIGHT, _DONE = "in_flight", "done"


class RequestInFlight(Conflict):
    """The first request with this key has not been answered yet."""


@dataclass(frozen=True)
class Keyed:
    """A request with its key. `id` is derived from caller, route and key; `fingerprint` from the request's content. The
    answer is `kept` no longer than the entity whose personal data it repeats.
    """

    id: str
    fingerprint: str
    kept: timedelta = KEPT

    @classmethod
    def read(cls, route: str, caller: Caller, key: str, asked: BaseModel | bytes, *path: str) -> Keyed:
        """`path` is the entity in the request's path: the same key for another entity is another request."""
        content: Any = asked.model_dump(mode="json") if isinstance(asked, BaseModel) else asked.hex()
        return cls(derived_id("idempotency", caller.user_id, route, key), fingerprint([*path, content]))


def answer_once[R: Response[Any]](asked: Keyed, table: Table, now: datetime, write: Callable[[], R]) -> R:
    """The response of `write`, or the stored one. A refusal is not stored: it changed nothing, and a retry is decided
    again.

    Raises IdempotencyKeyReused for another request with the same key, RequestInFlight while the first is running.
    """
    token, is_over = new_id(now), False
    try:
        before = _claim(asked, table, token, now)
        if before is None:
            answer = write()
            _keep(asked, table, token, answer, now)
        else:
            answer = cast(R, before)  # a Response with the stored content
        is_over = True
        return answer
    finally:
        if not is_over:  # also if the claim's own response was lost: a retry need not wait for the lease
            _let_go(asked, table, token)


def _claim(asked: Keyed, table: Table, token: str, now: datetime) -> Response[Any] | None:
    """Returns None if this request has the lease and must be answered."""
    record = _record(asked, now) | {"state": _IN_FLIGHT, "token": token, "until": epoch(now + LEASE)}
    is_free = (
        "attribute_not_exists(pk) OR #ttl <= :now OR (#state = :in_flight AND #until <= :now AND fingerprint = :print)"
    )
    names = {"#state": "state", "#until": "until", "#ttl": "ttl"}
    values = {":in_flight": _IN_FLIGHT, ":now": epoch(now), ":print": asked.fingerprint}
    try:
        table.write(dynamo.put(record, is_free, names=names, values=values))
    except ConditionFailed as failed:
        found = failed.item or {}
        if found.get("token") == token:  # a retry of this write after a lost response
            return None
        if found.get("fingerprint", asked.fingerprint) != asked.fingerprint:
            raise IdempotencyKeyReused from None
        if found.get("state") != _DONE:
            raise RequestInFlight("The first request with this Idempotency-Key is still under way.") from None
        return _answer_of(found)
    return None


def _keep[T](asked: Keyed, table: Table, token: str, answer: Response[T], now: datetime) -> None:
    """If another request took over the lease, its response is kept. Both are equal by construction."""
    body = answer.body.model_dump_json() if isinstance(answer.body, BaseModel) else json.dumps(answer.body)
    done = {
        "state": _DONE,
        "token": token,
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": zlib.compress(body.encode()),
    }
    record = _record(asked, now) | done
    with suppress(ConditionFailed):
        table.write(dynamo.put(record, "#token = :token", names={"#token": "token"}, values={":token": token}))


def _let_go(asked: Keyed, table: Table, token: str) -> None:
    ours = dynamo.delete(
        *_key(asked),
        "#token = :token AND #state = :in_flight",
        names={"#token": "token", "#state": "state"},
        values={":token": token, ":in_flight": _IN_FLIGHT},
    )
    with suppress(ConditionFailed, TransientError):
        table.write(ours)


def _answer_of(record: Item) -> Response[Any]:
    body = zlib.decompress(record["body"]).decode()
    return replayed(Response(body, record["status"], record["headers"]))


def _record(asked: Keyed, now: datetime) -> Item:
    pk, sk = _key(asked)
    return {"pk": pk, "sk": sk, "fingerprint": asked.fingerprint, "ttl": epoch(now + asked.kept)}


def _key(asked: Keyed) -> tuple[str, str]:
    return f"IDEMPOTENCY#{asked.id}", "IDEMPOTENCY"

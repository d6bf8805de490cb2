"""The journal as HTTP shows it."""

from typing import Annotated, Self

from pydantic import Field

from mercato.http import Query, View
from mercato.text import Exact
from ops.journal.store import Entry
from ops.journal.story import Node, NodeKind


class EventsQuery(Query):
    """`after` is the `next_cursor` of an earlier answer; without it, the newest events are listed.

    To follow the journal, ask again with each answer's `next_cursor`: no event is missed, and none comes twice.
    """

    after: Annotated[str, Field(max_length=512, pattern=r"^[A-Za-z0-9_-]*$")] | None = None
    type: Annotated[str, Exact(), Field(min_length=1, max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class EventView(View):
    """`ids` are the ids in the event's data. The journal keeps no other field of it, since they may be personal."""

    event_id: str
    type: str
    source: str
    subject: str
    sequence: int
    at: str
    recorded_at: str
    correlation_id: str
    causation_id: str | None
    ids: dict[str, str]

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(**vars(entry))


class EventsView(View):
    """The oldest first. Fewer items than `limit`, or none, do not mean that no more are to come."""

    items: list[EventView]
    next_cursor: str


class NodeView(View):
    """`parent` is the `key` of what caused it; null for what the request caused. `after_ms` counts from the request's
    first event; `duration_ms`, `outcome`, `tries` and `errors` are those of a saga or of one of its steps.
    """

    key: str
    parent: str | None
    depth: int
    kind: NodeKind
    name: str
    source: str
    subject: str
    at: str
    after_ms: int
    duration_ms: int | None
    outcome: str | None
    tries: int | None
    errors: list[str]

    @classmethod
    def of(cls, node: Node) -> Self:
        return cls(**vars(node))


class RequestView(View):
    """The tree of a request as a list: each node before what it caused. `is_whole` is false where there are more events
    than are read.
    """

    request_id: str
    is_whole: bool
    items: list[NodeView]

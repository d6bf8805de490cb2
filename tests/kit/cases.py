"""What a service gives to the tests that walk over all services: its requests, events and items.

A service that is new adds `tests/integration/<service>/cases.py` with those of these lists that it needs:

    ACCEPTED           for each writing route, a request that succeeds: no effect is lost or doubled when an answer of
                       AWS is lost, and the template grants what the route does
    KEYED              for each route with an Idempotency-Key, a request that succeeds, and another body: the key takes
                       effect once. They count as ACCEPTED, too
    REFUSED            for each error of its own that a writing route answers, a request: it changes nothing
    REFUSED_ELSEWHERE  the errors that no request of REFUSED can cause, and the test that has them
    HEARD              for each event of each of its queues, the state before it: a duplicate changes nothing, and the
                       template grants what the consumer does
    OWN_QUEUES         messages of consumers that do not hear the shop's bus: the same
    EXPIRING           for each item with a `ttl`, its writes and reads: an expired item is as if it were gone
    EXEMPT             writers of a `ttl` for which that makes no difference, with the reason
    MAY_GO             for each module that writes a `ttl`, why DynamoDB may delete its items
    LARGEST            for each list with pages, its largest item: a page of them fits into an answer

The `given` of a case is a function. It gets the service's main fixture, which is `service` in the service's
conftest.py (tests/integration/every_service.py), makes the state with it, and returns the request or the event's data.

    ACCEPTED = (Accepted("PUT /api/gifts/mine", asking("/api/gifts/mine", {"order_id": "o-1", "text": "Enjoy!"})),)

The tests are in tests/integration/redelivery, grants, idempotency, refusals and expiry, and in tests/contract
(test_page_sizes.py, test_what_expires.py). They name what has no case.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from infra.contract.events import Subscription
from infra.paths import ROOT
from mercato.http import View
from mercato.store.dynamo import Table
from tests.kit.asked import Asked
from tests.kit.routes import all_routes

Data = dict[str, Any]
SEQUENCE = 7  # of each event in HEARD, later than everything before


@dataclass(frozen=True)
class KeyedRequest:
    """A request with an Idempotency-Key. `other` is another body for its route, or None for a route without a body."""

    path: str
    body: Any
    other: Any


Given = Callable[[Any], Asked]
GivenKeyed = Callable[[Any], KeyedRequest]


def _no_data(_: Any) -> Data:
    return {}


@dataclass(frozen=True)
class Accepted:
    """`fixture` names the fixture of a request that needs another one than its service's."""

    route: str
    given: Given
    fixture: str = ""

    def __str__(self) -> str:
        return f"{self.route} {self.given.__name__.strip('_')}"


@dataclass(frozen=True)
class Keyed:
    route: str
    given: GivenKeyed


@dataclass(frozen=True)
class Refused:
    """The request is valid otherwise, so it is refused as late as possible.

    `kept` has the partitions that a refusal changes on purpose, with the reason.
    """

    route: str
    problem: str
    given: Given
    kept: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.route}: {self.problem}"


@dataclass(frozen=True)
class RefusedElsewhere:
    route: str
    problem: str
    why: str


@dataclass(frozen=True)
class Heard:
    """An event of a queue, whose name is without the shop's, such as documents-pdf.

    `given` makes the state in which the event has an effect, and returns the data that then counts. The event takes
    those fields of the data that it has, and the others from its example.
    """

    queue: str
    event_type: str
    given: Callable[[Any], Data] = _no_data


@dataclass(frozen=True)
class OwnQueue:
    """A message that the consumer in `module` gets from elsewhere than the shop's bus. `given` returns its body."""

    module: str
    queue: str
    given: Callable[[Any], Any]

    def __str__(self) -> str:
        return f"{self.module}{self.given.__name__}"

    @property
    def service(self) -> str:
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Expiring:
    """A kind of item with a time to live.

    `writers` are the functions that write the `ttl`, as module:name. `make` writes the items at a moment. `use` reads
    and writes them at a later one, and returns every result.
    """

    name: str
    table: str
    writers: tuple[str, ...]
    make: Callable[[Table, datetime], object]
    use: Callable[[Table, datetime], object]


@dataclass(frozen=True)
class Exempt:
    """A function that writes a `ttl`, as module:name. Its expired items and absent ones have the same effect."""

    writer: str
    why: str


@dataclass(frozen=True)
class MayGo:
    """A module that writes a `ttl`, by its path in the repository."""

    path: str
    why: str


@dataclass(frozen=True)
class Largest:
    """The largest item of a list. `is_one_query`: one Query of DynamoDB makes the whole page, of 1 MB at most."""

    route: str
    make: Callable[[], View]
    is_one_query: bool = False


def services() -> list[str]:
    """Returns the services that have cases."""
    return sorted(path.parent.name for path in ROOT.glob("tests/integration/*/cases.py"))


def of[T](service: str, name: str, kind: type[T]) -> tuple[T, ...]:
    """Returns a service's list of this name. Raises TypeError if it has anything else than cases of this kind."""
    found: Any = getattr(importlib.import_module(f"tests.integration.{service}.cases"), name, ())
    if not isinstance(found, tuple) or not all(isinstance(case, kind) for case in found):
        raise TypeError(f"{name} in {file_of(service)} is not a tuple of {kind.__name__}")
    return found


def collect[T](name: str, kind: type[T]) -> list[T]:
    """Returns the cases in the list of this name of all services."""
    return [case for service in services() for case in of(service, name, kind)]


def file_of(service: str) -> str:
    return f"tests/integration/{service}/cases.py"


def to_add(what: str, name: str, service: str) -> str:
    """Says which file a missing case belongs to."""
    return f"{what} has no case: add one to {name} in {file_of(service)}"


def accepted() -> list[Accepted]:
    """Returns the cases of ACCEPTED, and those of KEYED as such, of all services."""
    return [*collect("ACCEPTED", Accepted), *(_as_accepted(one) for one in collect("KEYED", Keyed))]


def _as_accepted(keyed: Keyed) -> Accepted:
    def given(service: Any) -> Asked:
        asked = keyed.given(service)
        return Asked(asked.path, asked.body, user="cust-1", role=_caller_of(keyed.route))

    given.__name__ = keyed.given.__name__
    return Accepted(keyed.route, given)


@functools.cache
def _roles() -> dict[str, list[str]]:
    return {served.name: [str(role) for role in served.route.roles] for served in all_routes()}


def _caller_of(route: str) -> str:
    return "customer" if "customer" in _roles()[route] else "admin"


@functools.cache
def heard() -> dict[tuple[str, str], Heard]:
    """Returns the cases of HEARD of all services, by queue and type."""
    return {(one.queue, one.event_type): one for one in collect("HEARD", Heard)}


def heard_of(subscription: Subscription) -> Heard:
    """Returns the case of an event in a queue. Raises LookupError if its service has none."""
    found = heard().get((subscription.queue, subscription.event_type))
    if found is None:
        what = f"{subscription.event_type} in the queue {subscription.queue}"
        raise LookupError(to_add(what, "HEARD", subscription.service))
    return found

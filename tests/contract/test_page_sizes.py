"""Each page of a list fits into Lambda's response, however large its items are, and has a cursor for the next page."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import get_args, get_type_hints

import pytest
from annotated_types import Le

from mercato.http import Query, Response, View
from mercato.http.audit import AuditEntry, AuditTrail
from mercato.http.response import write_response
from mercato.store.dynamo import Table
from ops.dead_letters import api as dead_letters
from tests.kit import cases
from tests.kit.cases import Largest
from tests.kit.routes import Served, all_routes

MOST = 6 * 1024 * 1024  # bytes of a response that Lambda accepts; API Gateway accepts 10 MB
QUERY = 1024 * 1024  # bytes of items, at most, that one Query of DynamoDB returns


LARGEST = {one.route: one for one in cases.collect("LARGEST", Largest)}
# It measures its items.
MEASURED = {"GET /api/ops/dlq/{queue}/messages": dead_letters._MOST_BYTES}


def of_kind(page: type[View], item: View) -> bool:
    return get_args(page.model_fields["items"].annotation) == (type(item),)


def query_of(served: Served) -> type[Query] | None:
    kinds = [kind for kind in served.route.parameters.values() if isinstance(kind, type) and issubclass(kind, Query)]
    return next((kind for kind in kinds if "limit" in kind.model_fields), None)


PAGED = {served.name: served for served in all_routes() if query_of(served)}


def test_every_list_is_known() -> None:
    missing = PAGED.keys() - LARGEST.keys() - MEASURED.keys()
    assert not missing, "\n".join(cases.to_add(name, "LARGEST", PAGED[name].service) for name in sorted(missing))
    assert PAGED.keys() == LARGEST.keys() | MEASURED.keys()


def pages_of(served: Served) -> tuple[type[View], ...]:
    found = get_type_hints(served.route.function)["return"]
    return get_args(found) or (found,)


@pytest.mark.parametrize("name", sorted(PAGED))
def test_every_page_names_the_next(name: str) -> None:
    for page in pages_of(PAGED[name]):
        assert {"items", "next_cursor"} <= page.model_fields.keys()


@pytest.mark.parametrize("name", sorted(LARGEST))
def test_a_page_of_the_largest_items_fits_into_an_answer(name: str) -> None:
    query = query_of(PAGED[name])
    assert query is not None
    (limit,) = (rule.le for rule in query.model_fields["limit"].metadata if isinstance(rule, Le))
    assert isinstance(limit, int)
    largest = LARGEST[name].make()
    stored = sum(len(str(value).encode()) for value in largest.model_dump(mode="json").values())
    count = min(limit, QUERY // stored + 1) if LARGEST[name].is_one_query else limit
    (page,) = (page for page in pages_of(PAGED[name]) if of_kind(page, largest))
    rest = dict.fromkeys(page.model_fields, None) | {"items": [largest] * count, "next_cursor": "x" * 2000}
    answer = write_response(Response(page.model_construct(**rest)), "req-12345678")

    # Lambda's runtime writes the answer as JSON once more.
    assert len(json.dumps(answer, ensure_ascii=False).encode()) < MOST


def test_a_page_that_measures_its_items_stays_below_an_answer() -> None:
    """A message of 256 KB may exceed the limit, and JSON within JSON is at most twice as long."""
    message = 256 * 1024
    assert 2 * (max(MEASURED.values()) + 2 * message) < MOST


def test_a_list_of_items_too_large_for_one_page_is_read_whole_page_by_page(
    make_table: Callable[[str], Table], noon: datetime
) -> None:
    """A Query ends at 1 MB, so its page has a cursor there, whatever limit was requested."""
    table = make_table("AuditTable")
    trail = AuditTrail(table)
    for number in range(6):
        entry = AuditEntry.make("boss", "orders", f"POST /{number}", "x" * 390_000, "req-12345678", noon)
        trail.ask(entry)

    found: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor:
        entries, cursor = trail.list_page(limit=100, cursor=cursor)
        found += [entry.action for entry in entries]
        pages += 1

    assert sorted(found) == [f"POST /{number}" for number in range(6)]
    assert pages > 1

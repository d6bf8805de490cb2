"""A refused request changes nothing: each error of a writing route leaves every table unchanged."""

from __future__ import annotations

import pytest

from infra.contract.openapi.never_returned import NEVER
from infra.contract.openapi.operations import operations
from infra.contract.openapi.problems import problems_of, reachable_errors
from mercato.errors import AccountClosed
from tests.kit import cases
from tests.kit.asked import send, stored
from tests.kit.cases import Refused, RefusedElsewhere

WRITING = {f"{one.route.method} {one.route.path}": one for one in operations() if one.route.method != "GET"}
REFUSED = cases.collect("REFUSED", Refused)
ELSEWHERE = cases.collect("REFUSED_ELSEWHERE", RefusedElsewhere)

# Not effects of the request: the audit log, the counts of requests, and the list of circuits.
_APART = ("AuditTable", "RateLimitsTable", "CircuitsTable")


def events(items: list[str]) -> list[str]:
    return [item for item in items if '"event"' in item]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_refusal_changes_nothing_and_tells_nobody(case: Refused, request: pytest.FixtureRequest, cloud: None) -> None:
    service = WRITING[case.route].service
    asked = case.given(request.getfixturevalue(service))
    before, told = stored(_APART, case.kept), events(stored(_APART))

    status, problem = send(service, case.route.partition(" ")[0], asked)

    assert (problem.get("type"), 400 <= status < 500) == (f"urn:mercato:problem:{case.problem}", True), problem
    assert stored(_APART, case.kept) == before
    assert events(stored(_APART)) == told


def test_every_error_of_every_writing_route_is_among_them() -> None:
    """Errors of the HTTP kit itself (an unreadable body, no token, no right, a limit) come before the service. Only
    AccountClosed needs the service.
    """
    answered = {
        (name, kind.slug())
        for name, operation in WRITING.items()
        for kinds in problems_of(operation).values()
        for kind in kinds
        if kind is AccountClosed or not kind.__module__.startswith("mercato.")
    }
    tried = {(case.route, case.problem) for case in REFUSED}
    elsewhere = {(one.route, one.problem) for one in ELSEWHERE}
    assert not tried & elsewhere
    missing = [
        cases.to_add(f"{route}: {problem}", "REFUSED", WRITING[route].service)
        for route, problem in sorted(answered - tried - elsewhere)
    ]
    assert not missing, "\n".join(missing)
    assert elsewhere - answered == set()


def test_what_the_contract_leaves_out_is_named_by_the_routes_code_and_met_by_no_case() -> None:
    named = {
        (f"{one.route.method} {one.route.path}", kind.slug()) for one in operations() for kind in reachable_errors(one)
    }
    never = {(route, problem) for _, route, problems in NEVER for problem in problems}
    assert never - named == set()
    assert not never & {(case.route, case.problem) for case in REFUSED}

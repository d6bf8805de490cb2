"""A refused request changes nothing: each error of a writing route leaves every table unchanged."""

from __future__ import annotations

import pytest

from infra.contract.openapi.never import NEVER
from infra.contract.openapi.operations import operations
from infra.contract.openapi.problems import problems_of, reachable_errors
from mercato.errors import AccountClosed
from tests.integration.carts.conftest import service as carts  # noqa: F401 - fixtures, by the service's name
from tests.integration.checkout.conftest import desk as checkout  # noqa: F401
from tests.integration.documents.conftest import desk as documents  # noqa: F401
from tests.integration.inventory.conftest import shop as inventory  # noqa: F401
from tests.integration.notifications.conftest import service as notifications  # noqa: F401
from tests.integration.ops.conftest import desk as ops  # noqa: F401
from tests.integration.orders.conftest import shop as orders  # noqa: F401
from tests.integration.payments.conftest import till as payments  # noqa: F401
from tests.integration.products.conftest import service as products  # noqa: F401
from tests.integration.promotions.conftest import desk as promotions  # noqa: F401
from tests.integration.refusals.cases import CASES, Case
from tests.integration.refusals.elsewhere import ELSEWHERE
from tests.integration.shipping.conftest import service as shipping  # noqa: F401
from tests.integration.users.conftest import service as users  # noqa: F401
from tests.integration.users.conftest import service_without_keys, settings  # noqa: F401
from tests.kit.asked import send, stored

WRITING = {f"{one.route.method} {one.route.path}": one for one in operations() if one.route.method != "GET"}


# Not effects of the request: the audit log, the counts of requests, and the list of circuits.
_APART = ("AuditTable", "RateLimitsTable", "CircuitsTable")


def events(items: list[str]) -> list[str]:
    return [item for item in items if '"event"' in item]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_refusal_changes_nothing_and_tells_nobody(case: Case, request: pytest.FixtureRequest, cloud: None) -> None:
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
    tried = {(case.route, case.problem) for case in CASES}
    elsewhere = {(route, problem) for _, route, problems in ELSEWHERE for problem in problems}
    assert not tried & elsewhere
    assert answered - tried - elsewhere == set()
    assert elsewhere - answered == set()


def test_what_the_contract_leaves_out_is_named_by_the_routes_code_and_met_by_no_case() -> None:
    named = {
        (f"{one.route.method} {one.route.path}", kind.slug()) for one in operations() for kind in reachable_errors(one)
    }
    never = {(route, problem) for _, route, problems in NEVER for problem in problems}
    assert never - named == set()
    assert not never & {(case.route, case.problem) for case in CASES}

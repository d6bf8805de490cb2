"""Every route with an Idempotency-Key takes effect once per key. A key belongs to one caller and one route."""

from __future__ import annotations

import importlib
import json
from itertools import permutations
from typing import Any

import boto3
import pytest

from mercato.http import Body, IdempotencyKey
from mercato.http.auth import Role
from mercato.http.request import RawBody
from tests.kit import aws_events, cases
from tests.kit.cases import GivenKeyed, Keyed, KeyedRequest
from tests.kit.routes import Served, all_routes


def _has_body(served: Any) -> bool:
    return any(issubclass(kind, (Body, RawBody)) for kind in served.route.parameters.values())


def givens_of(served: Served) -> list[GivenKeyed]:
    found = [one.given for one in cases.collect("KEYED", Keyed) if one.route == served.name]
    if not found:
        raise LookupError(cases.to_add(served.name, "KEYED", served.service))
    return found


KEYED = [served for served in all_routes() if IdempotencyKey in served.route.parameters.values()]
CASES = [pytest.param(one, given, id=f"{one.name}{given.__name__}") for one in KEYED for given in givens_of(one)]
WITH_BODY = [case for case in CASES if _has_body(case.values[0])]
PAIRS = [
    pytest.param(one, other, id=f"{one.name} then {other.name}")
    for one, other in permutations(KEYED, 2)
    if one.service == other.service
]
REUSED = (422, "urn:mercato:problem:idempotency-key-reused")


class Desk:
    """The real handler of one service, and its table."""

    def __init__(self, request: pytest.FixtureRequest, served: Served) -> None:
        self.service: Any = request.getfixturevalue(served.service)
        self.handler: Any = importlib.import_module(f"{served.service}.api").handler

    def send(self, path: str, body: Any, *, role: Role, user: str = "cust-1", key: str = "k-1") -> Any:
        """Sends the request. Returns status, body and headers."""
        headers = {"X-Request-Id": "req-12345678", "Idempotency-Key": key}
        event = aws_events.rest_request("POST", path, body, user=user, role=role, headers=headers)
        answer = self.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"]), answer["headers"]

    def kept(self) -> list[str]:
        """All items in the service's table."""
        items = boto3.client("dynamodb", "us-east-1").scan(TableName=self.service.table.name)["Items"]
        return sorted(json.dumps(item, sort_keys=True, default=repr) for item in items)


def role_of(served: Served) -> Role:
    return Role.CUSTOMER if Role.CUSTOMER in served.route.roles else Role.ADMIN


def granted(desk: Desk, served: Served, asked: KeyedRequest, **who: Any) -> Any:
    """The first response, which succeeds and does not report a repetition."""
    answer = desk.send(asked.path, asked.body, role=role_of(served), **who)
    assert answer[0] in (200, 201, 202), answer
    assert "Idempotent-Replayed" not in answer[2]
    return answer


@pytest.mark.parametrize(("served", "given"), CASES)
def test_the_same_request_again_has_its_first_answer_and_no_effect(
    request: pytest.FixtureRequest, served: Served, given: GivenKeyed
) -> None:
    desk = Desk(request, served)
    asked = given(desk.service)
    status, body, headers = granted(desk, served, asked)
    kept = desk.kept()
    again = desk.send(asked.path, asked.body, role=role_of(served))
    assert again == (status, body, headers | {"Idempotent-Replayed": "true"})
    assert desk.kept() == kept


@pytest.mark.parametrize(("served", "given"), WITH_BODY)
def test_another_body_with_the_same_key_is_refused_and_has_no_effect(
    request: pytest.FixtureRequest, served: Served, given: GivenKeyed
) -> None:
    desk = Desk(request, served)
    asked = given(desk.service)
    granted(desk, served, asked)
    kept = desk.kept()
    status, problem, _ = desk.send(asked.path, asked.other, role=role_of(served))
    assert (status, problem["type"]) == REUSED
    assert desk.kept() == kept


@pytest.mark.parametrize(("served", "given"), CASES)
def test_another_caller_s_same_key_is_another_key(
    request: pytest.FixtureRequest, served: Served, given: GivenKeyed
) -> None:
    desk = Desk(request, served)
    asked = given(desk.service)
    granted(desk, served, asked)
    _, answer, headers = desk.send(asked.path, asked.other, role=Role.ADMIN, user="another")
    assert "Idempotent-Replayed" not in headers
    assert answer.get("type") != REUSED[1]


@pytest.mark.parametrize(("served", "other"), PAIRS)
def test_the_same_key_on_another_route_is_another_key(
    request: pytest.FixtureRequest, served: Served, other: Served
) -> None:
    desk = Desk(request, served)
    for one in (served, other):
        asked = givens_of(one)[0](desk.service)
        before = desk.kept()
        granted(desk, one, asked)
        assert desk.kept() != before
    if served.service == "inventory":
        assert desk.service.counts("a") == (10, 0, 10)

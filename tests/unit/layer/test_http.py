"""Routes, callers, responses and errors."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from mercato.http import (
    App,
)
from mercato.http.request import base_of
from mercato.invocation import deadline
from tests.kit import aws_events
from tests.unit.layer.things import app, call


def test_a_route_gets_what_its_signature_names() -> None:
    status, body, headers = call("POST", "/api/things", body={"name": "Mug", "count": 2})
    assert (status, body) == (201, {"name": "user-1/key-1/Mug", "count": 2})
    assert headers["Location"] == "/live/api/things/1"
    assert headers["Content-Type"] == "application/json"


def test_accepted_and_no_content_have_their_status() -> None:
    assert call("POST", "/api/accepted", body={"name": "x"})[0] == 202
    assert call("DELETE", "/api/things/1", role="admin")[:2] == (204, None)


def test_path_parameters_are_bound_by_name_and_decoded() -> None:
    assert call("GET", "/api/things/a%20b/parts/%C3%A9")[1] == {"thing": "a b", "part": "é"}


def test_a_slash_at_the_end_is_the_same_path() -> None:
    assert call("GET", "/api/things/1/")[0] == 200


@pytest.mark.parametrize("path", ["/api/things/1/parts", "/api/thingsx", "/", "", "/api/things//parts/2"])
def test_an_unknown_path_is_404(path: str) -> None:
    status, body, _ = call("GET", path)
    assert (status, body["type"]) == (404, "urn:mercato:problem:not-found")


def test_an_id_longer_than_any_of_ours_is_404_and_never_reaches_the_store() -> None:
    assert call("GET", f"/api/things/{'x' * 200}")[0] == 200
    assert call("GET", f"/api/things/{'x' * 201}")[0] == 404


@pytest.mark.parametrize("dots", [".", "..", "%2E%2E", "%2e."])
def test_a_dot_segment_is_no_id(dots: str) -> None:
    """Passed on in the path of a call to a peer, it would lead to another of the peer's routes."""
    assert call("GET", f"/api/things/{dots}")[0] == 404
    assert call("GET", f"/api/things/{dots}/parts/1")[0] == 404
    assert call("GET", f"/api/things/..{dots}")[0] == 200


def test_a_known_path_with_another_method_is_405_and_says_which_it_takes() -> None:
    status, body, headers = call("PATCH", "/api/things/1")
    assert (status, headers["Allow"], body["allow"]) == (
        405,
        "DELETE, GET, HEAD, OPTIONS",
        ["DELETE", "GET", "HEAD", "OPTIONS"],
    )


@pytest.mark.parametrize(("path", "allowed"), [("/api/accepted/peers", "GET, OPTIONS"), ("/api/peers", "GET, OPTIONS")])
def test_a_method_for_peers_alone_is_told_only_where_there_is_no_other(path: str, allowed: str) -> None:
    assert call("OPTIONS", path)[2]["Allow"] == allowed


def test_without_a_token_a_customers_route_is_401() -> None:
    status, problem, headers = call("POST", "/api/things", body={"name": "x"}, role=None)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert problem["type"] == "urn:mercato:problem:unauthenticated"


def test_a_customer_may_not_do_an_admins_work() -> None:
    assert call("DELETE", "/api/things/1")[0] == 403
    assert call("GET", "/api/peers")[0] == 403


def test_an_admin_may_do_a_customers_but_not_a_peers() -> None:
    assert call("POST", "/api/accepted", body={"name": "x"}, role="admin")[0] == 202
    assert call("GET", "/api/peers", role="admin")[0] == 403


def function_url(path: str, query: str = "", peer: str | None = None, **headers: str) -> tuple[int, Any]:
    found = app.handler(aws_events.url_request("GET", path, peer=peer, query=query, headers=headers), None)
    return found["statusCode"], json.loads(found["body"])


def test_the_same_routes_answer_on_the_function_url() -> None:
    assert function_url("/api/things", "limit=3&q=a%26b") == (200, {"limit": 3, "q": "a&b"})
    assert function_url("/api/things", "limit=3&limit=4")[0] == 422


def test_a_peer_calls_on_behalf_of_a_user() -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/orders/orders"
    assert function_url("/api/peers", peer="orders", **{"x-user-id": "user-9"}) == (
        200,
        {"user_id": "user-9", "arn": arn},
    )
    assert function_url("/api/peers", **{"x-user-id": "user-9"})[0] == 401


@pytest.mark.parametrize("pages", ["shop-storefront-pages", "shop-console-pages"])
def test_pages_call_what_is_public_alone(pages: str) -> None:
    """They serve everybody: one that is taken over, or misled, must reach no customer's data."""
    assert function_url("/api/peers", peer=pages, **{"x-user-id": "user-9"})[0] == 403
    assert function_url("/api/things", "limit=3", peer=pages)[0] == 200


def test_a_domain_error_is_a_problem_document() -> None:
    status, problem, headers = call("GET", "/api/errors/conflict", headers={"X-Request-Id": "request-0001"})
    assert (status, headers["Content-Type"]) == (409, "application/problem+json")
    assert problem == {
        "type": "urn:mercato:problem:out-of-tea",
        "title": "Not possible now",
        "status": 409,
        "detail": "There is no tea.",
        "left": [{"amount": 1, "currency": "GBP"}],
        "request_id": "request-0001",
    }, "and what the RFC names is not overwritten"


def test_a_domain_error_of_no_known_kind_is_422() -> None:
    status, problem, _ = call("GET", "/api/errors/odd")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:odd")


def test_a_transient_error_is_503_and_tells_nothing_of_the_inside() -> None:
    status, problem, headers = call("GET", "/api/errors/transient")
    assert (status, headers["Retry-After"]) == (503, "1")
    assert "secret" not in json.dumps(problem)


@pytest.mark.parametrize("kind", ["bug", "recursion", "unknown"])
def test_a_bug_is_a_clean_500(kind: str) -> None:
    status, problem, headers = call("GET", f"/api/errors/{kind}", headers={"X-Request-Id": "request-0001"})
    assert (status, problem["type"]) == (500, "urn:mercato:problem:internal-error")
    assert (problem["request_id"], headers["X-Request-Id"]) == ("request-0001", "request-0001")
    assert "secret" not in json.dumps(problem)


def test_a_refusal_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        call("GET", "/api/errors/conflict")
    (line,) = [found for found in caplog.records if found.message == "request refused"]
    assert (line.__dict__["status"], line.__dict__["problem"]) == (409, "out-of-tea")


@pytest.mark.parametrize(("kind", "status"), [("conflict", 409), ("bug", 500)])
def test_every_answer_is_one_log_line_with_what_was_asked(
    kind: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        call("GET", f"/api/errors/{kind}")
    (line,) = [found.__dict__ for found in caplog.records if found.message == "request"]
    assert (line["method"], line["path"], line["status"]) == ("GET", f"/api/errors/{kind}", status)


def test_answers_may_be_lists_of_views_and_hold_times() -> None:
    assert call("GET", "/api/values/views")[1] == [{"name": "a", "count": 1}]
    assert call("GET", "/api/values/time")[1] == {"at": "2026-11-22T00:00:00Z"}


def test_text_is_written_as_it_is() -> None:
    found = app.handler(aws_events.rest_request("GET", "/api/values/text"), None)
    assert (found["body"], found["headers"]["Content-Type"]) == ("a,b\n", "text/csv")


def test_the_request_id_is_taken_over_where_it_is_valid_and_made_where_not() -> None:
    def ask(request_id: str) -> tuple[str, str]:
        _, body, headers = call("GET", "/api/values/correlation", headers={"x-request-ID": request_id})
        return body["id"], headers["X-Request-Id"]

    assert ask("request-0001") == ("request-0001", "request-0001")
    for bad in ("short", "x" * 65, "has space 123", 'quote"12345', "line\nbreak12"):
        inside, outside = ask(bad)
        assert inside == outside != bad


def test_the_invocations_deadline_bounds_the_work() -> None:
    within = call("GET", "/api/values/correlation", context=aws_events.Context(2000))[1]["within"]
    assert 1.0 < within <= 1.5
    assert deadline.within(60) == 60, "and is gone with it"


def test_health_is_answered_to_anyone() -> None:
    assert call("GET", "/health", role=None)[:2] == (200, {"service": "things", "status": "ok", "checks": {}})


def test_a_service_is_as_well_as_what_it_needs() -> None:
    sick = App("sick", health=lambda: {"table": "ok", "queue": "AccessDenied"})
    answer = sick.handler(aws_events.rest_request("GET", "/health"), None)
    checks = {"table": "ok", "queue": "AccessDenied"}
    assert (answer["statusCode"], json.loads(answer["body"])) == (
        503,
        {"service": "sick", "status": "failing", "checks": checks},
    )


@pytest.mark.parametrize(
    ("base", "whole"), [("/prod", "/prod/api/orders"), ("", "/api/orders"), ("", "/else"), ("", "")]
)
def test_a_location_begins_with_what_the_client_has_in_front_of_the_path(base: str, whole: str) -> None:
    """At execute-api the stage is part of every URL. A path without it gets 403."""
    event = aws_events.rest_request("POST", "/api/orders")
    event["requestContext"]["path"] = whole
    assert base_of(event) == base


def test_a_function_url_has_nothing_in_front_of_the_path() -> None:
    assert base_of(aws_events.url_request("POST", "/api/orders")) == ""

import json
import logging
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import Field

from mercato import correlation, deadline
from mercato.auth import Caller
from mercato.errors import Conflict, DomainError, NotFound, TransientError
from mercato.http import (
    ADMIN,
    CUSTOMER,
    MAX_BODY,
    PEER,
    PUBLIC,
    Accepted,
    App,
    Body,
    Created,
    IdempotencyKey,
    NoContent,
    Query,
    Request,
    Response,
    View,
    read_body,
)
from mercato.money import Money


class Thing(Body):
    name: Annotated[str, Field(min_length=1, max_length=20)]
    count: int = 1
    tags: list[str] = []


class Anything(Body):
    value: Any = None


class ThingView(View):
    name: str
    count: int


class Paging(Query):
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    q: str | None = None


class OutOfTea(Conflict):
    pass


class Odd(DomainError):
    """Of no kind that the table knows."""


app = App("things")


@app.post("/api/things", role=CUSTOMER)
def make_thing(thing: Thing, caller: Caller, key: IdempotencyKey) -> Response[ThingView]:
    return Created(ThingView(name=f"{caller.user_id}/{key}/{thing.name}", count=thing.count), "/api/things/1")


@app.post("/api/accepted", role=CUSTOMER)
def accept_thing(thing: Thing) -> Response[ThingView]:
    return Accepted(ThingView(name=thing.name, count=thing.count), "/api/things/1")


@app.get("/api/things", role=PUBLIC)
def list_things(query: Paging) -> dict[str, Any]:
    return {"limit": query.limit, "q": query.q}


@app.get("/api/things/{thing_id}", role=PUBLIC)
def show_thing(thing_id: str) -> ThingView:
    return ThingView(name=thing_id, count=len(thing_id))


@app.get("/api/things/{thing_id}/parts/{part_id}", role=PUBLIC)
def show_part(part_id: str, thing_id: str) -> dict[str, str]:
    return {"thing": thing_id, "part": part_id}


@app.delete("/api/things/{thing_id}", role=ADMIN)
def drop_thing(thing_id: str) -> Response[None]:
    return NoContent()


@app.get("/api/peers", role=PEER)
def for_peers(caller: Caller) -> dict[str, str]:
    return {"user_id": caller.user_id, "arn": caller.peer_arn}


@app.post("/api/raw", role=PUBLIC)
def take_raw(request: Request) -> dict[str, Any]:
    return {"thing": read_body(Thing, request.body).name, "query": request.query}


@app.post("/api/anything", role=PUBLIC)
def take_anything(body: Anything) -> dict[str, Any]:
    return {"value": body.value}


@app.get("/api/errors/{kind}", role=PUBLIC)
def fail(kind: str) -> None:
    raise {
        "conflict": OutOfTea("There is no tea.", status="green", left=[Money(amount=1, currency="GBP")]),
        "not-found": NotFound("Gone."),
        "odd": Odd("Odd."),
        "transient": TransientError("secret host name"),
        "bug": KeyError("secret"),
        "recursion": RecursionError(),
    }[kind]


@app.get("/api/values/{kind}", role=PUBLIC)
def answer(kind: str) -> Any:
    return {
        "views": [ThingView(name="a", count=1)],
        "time": {"at": datetime(2026, 11, 22, tzinfo=UTC)},
        "correlation": {"id": correlation.current().correlation_id, "within": deadline.within(60)},
        "text": Response("a,b\n", headers={"Content-Type": "text/csv"}),
    }[kind]


def call(
    method: str,
    path: str,
    *,
    body: Any = None,
    role: str | None = "customer",
    context: Any = None,
    **event: Any,
) -> tuple[int, Any, dict[str, str]]:
    text = body if body is None or isinstance(body, str) else json.dumps(body)
    given = {
        "httpMethod": method,
        "path": path,
        "headers": {"Idempotency-Key": "key-1"},
        "body": text,
        "requestContext": {"authorizer": {"user_id": "user-1", "role": role} if role else None},
    }
    found = app.handler(given | event, context)
    return found["statusCode"], json.loads(found["body"]) if found["body"] else None, found["headers"]


def test_a_route_gets_what_its_signature_names() -> None:
    status, body, headers = call("POST", "/api/things", body={"name": "Mug", "count": 2})
    assert (status, body) == (201, {"name": "user-1/key-1/Mug", "count": 2})
    assert headers["Location"] == "/api/things/1"
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


def test_a_known_path_with_another_method_is_405_and_says_which_it_takes() -> None:
    status, body, headers = call("PATCH", "/api/things/1")
    assert (status, headers["Allow"], body["allow"]) == (
        405,
        "DELETE, GET, HEAD, OPTIONS",
        ["DELETE", "GET", "HEAD", "OPTIONS"],
    )


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        " ",
        "{",
        '{"name": }',
        "nonsense",
        "{'name': 'x'}",
        '{"name": "x", "count": NaN}',
        '{"name": "x", "count": Infinity}',
        '{"name": "\\ud800"}',
        '{"name": "x"} {}',
        "\ufeff{}",
        "[" * 33 + "]" * 33,
        "[" * 100_000,
        '{"a":' * 50_000,
        '{"name": "x", "count": ' + "9" * 5000 + "}",
    ],
)
def test_a_body_that_is_not_json_is_400(body: str | None) -> None:
    status, problem, _ = call("POST", "/api/things", body=body)
    assert (status, problem["type"]) == (400, "urn:mercato:problem:malformed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 21}, "name"),
        ({"name": 5}, "name"),
        ({"name": None}, "name"),
        ({"name": "x", "count": "2"}, "count"),
        ({"name": "x", "count": 2.5}, "count"),
        ('{"name": "x", "count": 2.0000001}', "count"),
        ('{"name": "x", "count": 1e400}', "count"),
        ('{"name": "x", "count": 1e300}', "count"),
        ('{"name": 2.0}', "name"),
        ({"name": "x", "count": True}, "count"),
        ({"name": "x", "colour": "red"}, "colour"),
        ({"name": "x", "tags": ["a", 1]}, "tags.1"),
        ([], "body"),
        ("null", "body"),
        ("7", "body"),
    ],
)
def test_a_body_that_makes_no_sense_is_422_and_names_the_field(body: Any, field: str) -> None:
    status, problem, _ = call("POST", "/api/things", body=body)
    assert (status, problem["type"]) == (422, "urn:mercato:problem:invalid-request")
    assert problem["errors"][0]["field"] == field
    assert problem["detail"].startswith(f"{field} ")


@pytest.mark.parametrize("written", ["2", "2.0", "2.000", "20e-1", "0.2e1"])
def test_a_whole_number_is_one_however_it_is_written(written: str) -> None:
    assert call("POST", "/api/things", body=f'{{"name": "x", "count": {written}}}')[0] == 201


def test_brackets_inside_strings_do_not_count_as_depth() -> None:
    assert call("POST", "/api/anything", body={"value": "[" * 100 + '\\"{' * 100})[0] == 200


def test_a_body_may_be_nested_32_deep() -> None:
    nested = '{"value": ' + "[" * 31 + "]" * 31 + "}"
    assert call("POST", "/api/anything", body=nested)[0] == 200
    assert call("POST", "/api/anything", body=nested.replace("[", "[[").replace("]", "]]"))[0] == 400


def test_a_body_over_the_limit_is_413() -> None:
    at_most = json.dumps({"value": "x" * (MAX_BODY - 13)})
    assert len(at_most) == MAX_BODY
    assert call("POST", "/api/anything", body=at_most)[0] == 200
    status, problem, _ = call("POST", "/api/anything", body=at_most + " ")
    assert (status, problem["limit"]) == (413, MAX_BODY)


def test_the_limit_counts_bytes() -> None:
    assert call("POST", "/api/anything", body='{"value": "' + "é" * (MAX_BODY // 2) + '"}')[0] == 413


def test_a_base64_body_is_decoded_and_a_broken_one_is_400() -> None:
    assert call("POST", "/api/anything", body="eyJ2YWx1ZSI6IDF9", isBase64Encoded=True)[1] == {"value": 1}
    assert call("POST", "/api/anything", body="!!!", isBase64Encoded=True)[0] == 400
    assert call("POST", "/api/anything", body="/////w==", isBase64Encoded=True)[0] == 400


def test_a_route_may_read_the_raw_body_itself() -> None:
    assert call("POST", "/api/raw", body={"name": "Mug"}, queryStringParameters={"a": "1"})[1] == {
        "thing": "Mug",
        "query": {"a": "1"},
    }
    assert call("POST", "/api/raw", body="{")[0] == 400
    assert call("POST", "/api/raw", body={"name": 1})[0] == 422


def test_query_parameters_are_read_and_bounded() -> None:
    assert call("GET", "/api/things")[1] == {"limit": 20, "q": None}
    assert call("GET", "/api/things", queryStringParameters={"limit": "5", "q": "tea"})[1] == {"limit": 5, "q": "tea"}
    for query in ({"limit": "0"}, {"limit": "101"}, {"limit": ""}, {"limit": "5.5"}, {"page": "2"}):
        assert call("GET", "/api/things", queryStringParameters=query)[0] == 422


def test_a_query_where_none_is_taken_is_422() -> None:
    assert call("GET", "/api/things/1", queryStringParameters={"q": "x"})[0] == 422


def test_a_query_parameter_may_be_given_once() -> None:
    assert call("GET", "/api/things", multiValueQueryStringParameters={"limit": ["1", "2"]})[0] == 422


@pytest.mark.parametrize(
    ("header", "key"), [("abc", "abc"), ('"abc"', "abc"), (" abc ", "abc"), ("x" * 128, "x" * 128)]
)
def test_an_idempotency_key_is_bare_or_quoted(header: str, key: str) -> None:
    assert IdempotencyKey.read(header) == key


@pytest.mark.parametrize("header", [None, "", '""', "a b", 'a"b', "é", "x" * 129, '"'])
def test_an_idempotency_key_that_cannot_be_read_is_400(header: str | None) -> None:
    headers = {"Idempotency-Key": header} if header is not None else {}
    status, problem, _ = call("POST", "/api/things", body={"name": "x"}, headers=headers)
    assert (status, problem["type"]) == (400, "urn:mercato:problem:invalid-idempotency-key")


def test_without_a_token_a_customers_route_is_401() -> None:
    status, problem, headers = call("POST", "/api/things", body={"name": "x"}, role=None)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert problem["type"] == "urn:mercato:problem:unauthenticated"


def test_who_may_not_call_is_told_before_the_body_is_read() -> None:
    assert call("POST", "/api/things", body="{", role=None)[0] == 401


def test_a_customer_may_not_do_an_admins_work() -> None:
    assert call("DELETE", "/api/things/1")[0] == 403
    assert call("GET", "/api/peers")[0] == 403


def test_an_admin_may_do_a_customers_but_not_a_peers() -> None:
    assert call("POST", "/api/accepted", body={"name": "x"}, role="admin")[0] == 202
    assert call("GET", "/api/peers", role="admin")[0] == 403


def function_url(path: str, query: str = "", iam: str | None = None, **headers: str) -> tuple[int, Any]:
    event = {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {"http": {"method": "GET"}}
        | ({"accountId": "1", "authorizer": {"iam": {"userArn": iam}}} if iam else {}),
    }
    found = app.handler(event, None)
    return found["statusCode"], json.loads(found["body"])


def test_the_same_routes_answer_on_the_function_url() -> None:
    assert function_url("/api/things", "limit=3&q=a%26b") == (200, {"limit": 3, "q": "a&b"})
    assert function_url("/api/things", "limit=3&limit=4")[0] == 422


def test_a_peer_calls_on_behalf_of_a_user() -> None:
    arn = "arn:aws:sts::1:assumed-role/orders/x"
    assert function_url("/api/peers", iam=arn, **{"x-user-id": "user-9"}) == (200, {"user_id": "user-9", "arn": arn})
    assert function_url("/api/peers", **{"x-user-id": "user-9"})[0] == 401


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
    found = app.handler({"httpMethod": "GET", "path": "/api/values/text"}, None)
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
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 2000

    within = call("GET", "/api/values/correlation", context=Context())[1]["within"]
    assert 1.0 < within <= 1.5
    assert deadline.within(60) == 60, "and is gone with it"


def test_health_is_answered_to_anyone() -> None:
    assert call("GET", "/health", role=None)[:2] == (200, {"service": "things", "status": "ok", "checks": {}})


def test_a_service_is_as_well_as_what_it_needs() -> None:
    sick = App("sick", health=lambda: {"table": "ok", "queue": "AccessDenied"})
    answer = sick.handler({"httpMethod": "GET", "path": "/health"}, None)
    checks = {"table": "ok", "queue": "AccessDenied"}
    assert (answer["statusCode"], json.loads(answer["body"])) == (
        503,
        {"service": "sick", "status": "failing", "checks": checks},
    )

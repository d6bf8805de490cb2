"""Input: bodies, queries and keys."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mercato.http import (
    CUSTOMER,
    MAX_BODY,
    App,
    Cursor,
    IdempotencyKey,
    Query,
    View,
)
from mercato.http.request import headers_of
from tests.kit import aws_events
from tests.unit.layer.things import call


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


HUGE = ["1e1000000000000000000", "0e1000000000000000000", "1E+1000000000000000000", "1e-1000000000000000000", "1e1000"]


@pytest.mark.parametrize("number", [*HUGE, "9" * 65, "-" + "9" * 5000, "0." + "1" * 5000, "1" * 60 + "e12345"])
def test_a_number_beyond_the_stated_bounds_is_400_in_our_own_words(number: str) -> None:
    for body in (f'{{"name": "x", "count": {number}}}', f'{{"email": {number}, "count": 2.0}}', number):
        status, problem, _ = call("POST", "/api/things", body=body)
        assert (status, problem["type"]) == (400, "urn:mercato:problem:malformed")
        assert "at most 64 characters, and an exponent of at most 999" in problem["detail"]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e-999", "1e0000000000000000000000999", "9" * 64, "0e999"])
def test_a_number_within_the_bounds_is_read_exactly_or_refused_by_its_field(number: str) -> None:
    status, problem, _ = call("POST", "/api/things", body=f'{{"name": {number}, "count": 2.0}}')
    assert (status, problem["errors"][0]["field"]) == (422, "name")


@pytest.mark.parametrize(("number", "count"), [("-0", 0), ("-0.0", 0), ("0e999", 0), ("9" * 64, int("9" * 64))])
def test_zero_and_long_integers_are_what_they_say(number: str, count: int) -> None:
    assert call("POST", "/api/things", body=f'{{"name": "x", "count": {number}}}')[1]["count"] == count


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


def test_who_may_not_call_is_told_before_the_body_is_read() -> None:
    assert call("POST", "/api/things", body="{", role=None)[0] == 401


def test_the_lines_of_a_header_that_came_several_times_are_all_read() -> None:
    event = {
        "headers": {"Tracestate": "bar=2", "X-One": "1"},
        "multiValueHeaders": {"Tracestate": ["foo=1", "bar=2"], "X-One": ["1"]},
    }
    assert headers_of(event) == {"tracestate": "foo=1, bar=2", "x-one": "1"}
    assert headers_of({"headers": {"tracestate": "foo=1,bar=2"}}) == {"tracestate": "foo=1,bar=2"}
    assert headers_of({"headers": None, "multiValueHeaders": None}) == {}


class Listed(Query):
    sort: str = "up"
    limit: int = 1
    cursor: Cursor | None = None


class ListedPage(View):
    next_cursor: str | None
    start: str | None


paged = App("paged")


@paged.get("/api/listed/{owner}", role=CUSTOMER)
def list_them(owner: str, query: Listed) -> ListedPage:
    return ListedPage(next_cursor="abc", start=query.cursor)


def page(path: str = "/api/listed/a", user: str = "ada", **query: str) -> tuple[int, Any]:
    answer = paged.handler(aws_events.rest_request("GET", path, user=user, query=query), None)
    return answer["statusCode"], json.loads(answer["body"])


def test_a_cursor_goes_on_in_its_own_list_with_another_limit() -> None:
    cursor = page(sort="up")[1]["next_cursor"]
    assert page(sort="up", cursor=cursor, limit="5") == (200, {"next_cursor": cursor, "start": "abc"})
    assert page(cursor=cursor)[0] == 200  # an explicit default and no parameter give the same list


@pytest.mark.parametrize(
    "other", [{"sort": "down"}, {"user": "bob"}, {"path": "/api/listed/b"}], ids=["sort", "caller", "path"]
)
def test_a_cursor_of_another_list_is_refused(other: dict[str, str]) -> None:
    cursor = page(sort="up")[1]["next_cursor"]
    status, problem = page(cursor=cursor, **other)
    assert (status, problem["type"]) == (400, "urn:mercato:problem:invalid-cursor")
    assert page(cursor=cursor[1:])[0] == page(cursor="abc")[0] == 400

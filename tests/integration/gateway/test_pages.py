"""The contract and its page, as the gateway serves them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from typing import Any

import pytest

from gateway import api
from infra.contract import events
from mercato.http import cors
from mercato.http.guard import Guard
from mercato.http.rate_limit import Limiter
from mercato.http.response import accepts_gzip
from tests.kit import aws_events


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RATE_LIMITS_TABLE", "AUDIT_TABLE"):
        monkeypatch.delenv(name, raising=False)


def get(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    headers = {"accept": "*/*"} | headers
    sent = {name.replace("_", "-"): value for name, value in headers.items() if value}
    return api.handler(aws_events.rest_request(method, path, headers=sent), None)


def test_the_contract_is_the_generated_document() -> None:
    answer = get("/api/openapi.json")

    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["headers"]["Cache-Control"] == "public, max-age=300"
    assert json.loads(answer["body"]) == json.loads(events.OPENAPI.read_text())


def test_the_page_needs_nothing_from_elsewhere() -> None:
    answer = get("/api/docs")

    assert answer["statusCode"] == 200
    assert answer["headers"]["Content-Type"] == "text/html; charset=utf-8"
    assert re.findall(r"(?:src|href)=\"(?!openapi\.json)[^\"#]", answer["body"]) == []
    assert "http://" not in answer["body"]
    assert "https://" not in answer["body"]


def test_the_pages_policy_allows_its_own_script_and_style_and_nothing_else() -> None:
    answer = get("/api/docs")
    policy = dict(part.strip().split(" ", 1) for part in answer["headers"]["Content-Security-Policy"].split(";"))

    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer["body"], re.DOTALL)
        assert policy[directive] == f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"


def test_the_page_has_nothing_that_its_policy_would_refuse() -> None:
    page = get("/api/docs")["body"]

    assert re.findall(r"<[^>]+\s(?:style|on\w+)=", page) == []
    assert "innerHTML" not in page
    assert "eval(" not in page


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/docs"])
def test_who_has_a_page_already_is_not_sent_it_again(path: str) -> None:
    first = get(path)
    tag = first["headers"]["ETag"]

    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = get(path, if_none_match=known)
        assert (again["statusCode"], again["body"]) == (304, "")
        assert "Content-Type" not in again["headers"]
        assert {name: again["headers"][name] for name in ("ETag", "Cache-Control")} == {
            name: first["headers"][name] for name in ("ETag", "Cache-Control")
        }
    assert get(path, if_none_match='"other"')["statusCode"] == 200
    assert get("/api/nothing", if_none_match="*")["statusCode"] == 404


@pytest.mark.parametrize("path", ["/api/openapi.json", "/api/docs"])
def test_a_document_is_compressed_where_the_client_accepts_it(path: str) -> None:
    plain, small = get(path), get(path, accept_encoding="br, gzip;q=0.8")

    assert small["isBase64Encoded"]
    assert small["headers"]["Content-Encoding"] == "gzip"
    compressed = base64.b64decode(small["body"])
    assert gzip.decompress(compressed).decode() == plain["body"]
    assert len(compressed) < len(plain["body"]) / 2
    assert "Content-Encoding" not in plain["headers"]
    assert "Accept-Encoding" in plain["headers"]["Vary"]
    assert plain["headers"]["Vary"] == small["headers"]["Vary"]


def test_a_client_without_accept_has_the_document_as_it_is() -> None:
    """API Gateway only decodes a base64 body if the request's Accept matches; otherwise it would return the base64
    text.
    """
    answer = get("/api/openapi.json", accept="", accept_encoding="gzip")

    assert not answer["isBase64Encoded"]
    assert answer["body"] == get("/api/openapi.json")["body"]


def test_a_cache_is_told_of_the_origin_and_of_the_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cors, "_allowed", lambda: frozenset({"https://shop.example"}))

    assert get("/api/openapi.json")["headers"]["Vary"] == "Origin, Accept-Encoding"
    assert get("/api/health")["headers"]["Vary"] == "Origin"


def test_each_encoding_of_a_document_has_an_etag_of_its_own() -> None:
    plain, small = get("/api/openapi.json"), get("/api/openapi.json", accept_encoding="gzip")
    assert plain["headers"]["ETag"] != small["headers"]["ETag"]

    for answer, accepted in ((plain, "identity"), (small, "gzip")):
        other = small if answer is plain else plain
        same = get("/api/openapi.json", accept_encoding=accepted, if_none_match=answer["headers"]["ETag"])
        assert (same["statusCode"], same["body"], same["isBase64Encoded"]) == (304, "", False)
        assert same["headers"]["ETag"] == answer["headers"]["ETag"]
        assert "Accept-Encoding" in same["headers"]["Vary"]
        changed = get("/api/openapi.json", accept_encoding=accepted, if_none_match=other["headers"]["ETag"])
        assert changed["statusCode"] == 200


def test_head_of_a_compressed_document_has_its_headers_and_no_body() -> None:
    answer = get("/api/openapi.json", method="HEAD", accept_encoding="gzip")

    assert (answer["statusCode"], answer["body"], answer["isBase64Encoded"]) == (200, "", False)
    assert answer["headers"] == get("/api/openapi.json", accept_encoding="gzip")["headers"] | {
        "X-Request-Id": answer["headers"]["X-Request-Id"]
    }


@pytest.mark.parametrize(
    ("said", "accepted"),
    [
        ("gzip", True),
        ("GZip", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("br;q=1, gzip; q=0.001", True),
        ("*", True),
        ("gzip, identity;q=0.5", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*;q=0", False),
        ("identity, gzip;q=0.5", False),
        ("gzip;q=2", False),
        ("gzip;level=9", False),
        ("gzip;q=", False),
    ],
)
def test_accept_encoding_is_read_as_http_says(said: str, accepted: bool) -> None:
    assert accepts_gzip(said) is accepted


def test_a_public_answer_says_nothing_of_one_clients_limits() -> None:
    limiter = Limiter(Counts(), 100)
    api.app.guarding, configured = (lambda: Guard(limiter)), api.app.guarding
    try:
        public, refused = get("/api/docs"), get("/api/nothing")
    finally:
        api.app.guarding = configured
    assert not [name for name in public["headers"] if name.startswith("RateLimit")]
    assert [name for name in refused["headers"] if name.startswith("RateLimit")] == ["RateLimit-Policy", "RateLimit"]


class Counts:
    def take(self, client: str, window: int, requests: int, allowed: int) -> int | None:
        return 0

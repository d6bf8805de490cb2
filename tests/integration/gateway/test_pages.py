"""The contract and its page, as the gateway hands them out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from gateway import api
from infra.contract import events
from mercato.http.guard import Guard
from mercato.http.rate_limit import Limiter


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RATE_LIMITS_TABLE", "AUDIT_TABLE"):
        monkeypatch.delenv(name, raising=False)


def get(path: str, **headers: str) -> dict[str, Any]:
    event = {
        "httpMethod": "GET",
        "path": path,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {"identity": {"sourceIp": "192.0.2.1"}},
    }
    return api.handler(event, None)


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

"""The guard of every API: both sides of it, and what the client is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mercato.errors import Conflict
from mercato.http import ADMIN, CUSTOMER, PEER, PUBLIC, UNLIMITED, App, Limit, NoContent, Response, SourceAddress
from mercato.http.audit import AuditTrail
from mercato.http.guard import Guard, configured
from mercato.http.rate_limit import CountTable, Limiter, StoreUnavailable
from mercato.store.dynamo import Table
from tests.kit import aws_events

WINDOW_START = 900_000.0


class Away:
    def take(self, *_: Any) -> int | None:
        raise StoreUnavailable("away")


@pytest.fixture
def trail(make_table: Callable[[str], Table]) -> AuditTrail:
    return AuditTrail(make_table("AuditTable"))


@pytest.fixture
def app(make_table: Callable[[str], Table], trail: AuditTrail) -> App:
    limiter = Limiter(CountTable(make_table("RateLimitsTable").name), 3, lambda: WINDOW_START)
    return shop(Guard(limiter, trail))


def shop(guard: Guard) -> App:
    app = App("shop", guarding=lambda: guard)

    @app.get("/api/things", role=(PUBLIC, CUSTOMER, PEER))
    def list_things(source: SourceAddress) -> Response[str]:
        return Response(str(source))

    @app.post("/api/log-in", role=PUBLIC, limit=Limit("log-in", requests=1))
    def log_in() -> Response[None]:
        return NoContent()

    @app.post("/api/webhooks", role=PUBLIC, limit=UNLIMITED)
    def take_webhook() -> Response[None]:
        return NoContent()

    @app.delete("/api/things/{thing_id}", role=ADMIN)
    def delete_thing(thing_id: str) -> Response[None]:
        if thing_id == "kept":
            raise Conflict("This one is kept.")
        return NoContent()

    return app


def call(
    app: App,
    method: str = "GET",
    path: str = "/api/things",
    *,
    source: str = "203.0.113.9",
    user: str = "",
    role: str = "customer",
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    event = aws_events.rest_request(method, path, user=user, role=role, headers=headers, source=source)
    return app.handler(event, None)


def call_as_peer(app: App, source: str = "203.0.113.9", headers: dict[str, str] | None = None) -> dict[str, Any]:
    return app.handler(aws_events.url_request("GET", "/api/things", headers=headers, source=source), None)


def test_each_answer_tells_what_is_left_and_the_last_when_to_come_back(app: App) -> None:
    answers = [call(app) for _ in range(4)]

    assert [answer["statusCode"] for answer in answers] == [200, 200, 200, 429]
    assert [answer["headers"]["RateLimit"] for answer in answers] == [f'"default";r={r};t=900' for r in (2, 1, 0, 0)]
    refused = answers[-1]
    assert refused["headers"]["RateLimit-Policy"] == '"default";q=3;w=900'
    assert refused["headers"]["Retry-After"] == "900"
    assert refused["headers"]["Content-Type"] == "application/problem+json"
    problem = json.loads(refused["body"])
    assert (problem["type"], problem["status"], problem["retry_after"]) == (
        "urn:mercato:problem:rate-limited",
        429,
        900,
    )


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For",
        "x-forwarded-for",
        "X-Real-IP",
        "Forwarded",
        "X-Client-IP",
        "X-User-Id",
        "CF-Connecting-IP",
        "X-Source-Address",
    ],
)
def test_no_header_makes_a_client_another(app: App, header: str) -> None:
    answers = [call(app, headers={header: f"198.51.100.{n}"}) for n in range(6)]

    assert [answer["statusCode"] for answer in answers] == [200] * 3 + [429] * 3
    assert answers[0]["body"] == "203.0.113.9"


def test_users_have_limits_of_their_own_wherever_they_come_from(app: App) -> None:
    assert [call(app, user="ada", source=f"198.51.100.{n}")["statusCode"] for n in range(4)] == [200] * 3 + [429]
    assert call(app, user="bob", source="198.51.100.1")["statusCode"] == 200
    assert call(app)["statusCode"] == 200


def test_peers_and_webhooks_are_never_limited(app: App) -> None:
    assert {call_as_peer(app)["statusCode"] for _ in range(20)} == {200}
    assert {call(app, "POST", "/api/webhooks")["statusCode"] for _ in range(20)} == {204}
    assert "RateLimit" not in call_as_peer(app)["headers"]


def test_a_tight_route_does_not_use_up_the_rest(app: App) -> None:
    assert [call(app, "POST", "/api/log-in")["statusCode"] for _ in range(3)] == [204, 429, 429]
    assert [call(app)["statusCode"] for _ in range(3)] == [200] * 3


def test_looking_for_what_is_not_there_counts_too(app: App) -> None:
    assert [call(app, path=f"/api/.env{n}")["statusCode"] for n in range(5)] == [404] * 3 + [429] * 2
    assert call(app, "PUT", source="198.51.100.1")["headers"]["RateLimit"] == '"default";r=2;t=900'


def test_what_is_refused_for_its_role_counts_too(app: App) -> None:
    statuses = [call(app, "DELETE", "/api/things/1")["statusCode"] for _ in range(5)]

    assert statuses == [401] * 3 + [429] * 2


def test_requests_pass_uncounted_while_the_table_is_away(cloud: None) -> None:
    app = shop(Guard(Limiter(Away(), 1, lambda: WINDOW_START)))

    answers = [call(app) for _ in range(10)]

    assert {answer["statusCode"] for answer in answers} == {200}
    assert all("RateLimit" not in answer["headers"] for answer in answers)


def test_an_admins_writes_are_noted_with_their_outcome(app: App, trail: AuditTrail) -> None:
    call(app, "DELETE", "/api/things/1", user="boss", role="admin", headers={"X-Request-Id": "request-0001"})
    call(app, "DELETE", "/api/things/kept", user="boss", role="admin")
    call(app, user="boss", role="admin")

    entries, _ = trail.list_page(limit=10, cursor=None)
    assert [(entry.target, entry.status) for entry in entries] == [
        ("thing_id=kept", 409),
        ("thing_id=kept", None),
        ("thing_id=1", 204),
        ("thing_id=1", None),
    ]
    assert (entries[-1].actor, entries[-1].action, entries[-1].request_id) == (
        "boss",
        "DELETE /api/things/{thing_id}",
        "request-0001",
    )


def test_nobody_elses_requests_are_noted(app: App, trail: AuditTrail) -> None:
    call(app, "DELETE", "/api/things/1", user="ada")
    call(app, "DELETE", "/api/things/1")
    call(app, "POST", "/api/log-in", headers={"X-Role": "admin"})

    assert trail.list_page(limit=10, cursor=None) == ([], None)


def test_the_guard_is_made_from_the_functions_settings(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vars(configured()) == {"_limiter": None, "_trail": None}
    configured.cache_clear()
    for name, value in {
        "RATE_LIMITS_TABLE": "limits",
        "RATE_LIMIT_PER_15_MINUTES": "7",
        "AUDIT_TABLE": "audit",
    }.items():
        monkeypatch.setenv(name, value)

    assert all(vars(configured()).values())


def test_a_visitor_for_whom_a_peer_calls_is_counted_by_the_visitors_own_address(app: App) -> None:
    def visit(address: str) -> dict[str, Any]:
        return call_as_peer(app, headers={"X-Source-Address": address})

    assert [visit("198.51.100.1")["statusCode"] for _ in range(4)] == [200, 200, 200, 429]
    assert visit("198.51.100.2")["body"] == "198.51.100.2"
    assert call(app, source="198.51.100.1")["statusCode"] == 429  # the same client, whichever way it comes
    assert [call_as_peer(app)["statusCode"] for _ in range(5)] == [200] * 5  # for itself a peer calls uncounted

"""The gateway's routes. Their peers are real HTTP servers that are found in Cloud Map."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gateway import api
from mercato import aws
from mercato.breaker import shared
from mercato.peers import peer as clients
from mercato.peers.client import ServiceClient
from mercato.store.dynamo import Table
from tests.kit import aws_events

PROFILE = {"user_id": "ada", "email": "ada@example.com", "name": "Ada", "role": "customer"}
DOWN = {"unavailable": True}


class Peers(ThreadingHTTPServer):
    """All three peers at one address, distinguished by their paths."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, Any]] = {
            "/api/users/ada": (200, PROFILE),
            "/api/orders?limit=5": (200, {"items": [{"order_id": "o1"}], "next_cursor": None}),
            "/api/notifications?unread=true&limit=1": (200, {"items": [], "next_cursor": None, "unread_count": 3}),
        }
        self.requests: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Peers

    def do_GET(self) -> None:
        self.server.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        status, body = self.server.answers.get(self.path, (500, {}))
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def environment(cloud: None, make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NAMESPACE", "mercato")
    monkeypatch.setenv("CIRCUITS_TABLE", make_table("CircuitsTable").name)
    monkeypatch.setattr(clients, "ServiceClient", functools.partial(ServiceClient, sleep=lambda _: None))
    shared.reset()
    clients.reset()
    yield
    clients.reset()
    shared.reset()


@pytest.fixture
def peers(environment: None) -> Iterator[Peers]:
    peers = Peers()
    thread = threading.Thread(target=peers.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    map_ = aws.client("servicediscovery")
    map_.create_http_namespace(Name="mercato")
    (namespace,) = map_.list_namespaces()["Namespaces"]
    for name in ("users", "orders", "notifications"):
        service = map_.create_service(Name=name, NamespaceId=namespace["Id"])["Service"]["Id"]
        map_.register_instance(ServiceId=service, InstanceId=f"{name}-1", Attributes={"url": peers.url, "weight": "1"})
    yield peers
    peers.shutdown()
    thread.join()
    peers.server_close()


def call(method: str, path: str, *, user_id: str = "", headers: dict[str, str] | None = None) -> tuple[int, Any]:
    answer = api.handler(aws_events.rest_request(method, path, user=user_id, headers=headers), None)
    return answer["statusCode"], json.loads(answer["body"])


def test_the_dashboard_of_a_customer(peers: Peers) -> None:
    assert call("GET", "/api/dashboard", user_id="ada") == (
        200,
        {"user": PROFILE, "recent_orders": [{"order_id": "o1"}], "unread_notifications": 3},
    )


def test_peers_are_called_signed_for_the_customer_and_under_the_same_request_id(peers: Peers) -> None:
    call("GET", "/api/dashboard", user_id="ada", headers={"X-Request-Id": "request-0001", "X-User-Id": "mallory"})

    assert len(peers.requests) == 3
    for _, headers in peers.requests:
        assert headers["x-request-id"] == "request-0001"
        assert headers["x-user-id"] == "ada"
        assert headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


def test_a_peer_that_fails_is_unavailable_and_the_answer_is_200(peers: Peers) -> None:
    peers.answers["/api/orders?limit=5"] = (503, {"detail": "busy"})

    status, body = call("GET", "/api/dashboard", user_id="ada")

    assert status == 200
    assert body == {"user": PROFILE, "recent_orders": DOWN, "unread_notifications": 3}


def test_a_peer_that_stays_down_is_left_alone_and_the_rest_is_there(peers: Peers) -> None:
    peers.answers["/api/orders?limit=5"] = (503, {"detail": "busy"})

    for _ in range(8):
        status, body = call("GET", "/api/dashboard", user_id="ada")

        assert (status, body) == (200, {"user": PROFILE, "recent_orders": DOWN, "unread_notifications": 3})

    assert [path for path, _ in peers.requests].count("/api/orders?limit=5") == 5


def test_with_nothing_registered_the_dashboard_is_empty_and_200(environment: None) -> None:
    assert call("GET", "/api/dashboard", user_id="ada") == (
        200,
        {"user": DOWN, "recent_orders": DOWN, "unread_notifications": DOWN},
    )


def test_the_public_has_no_dashboard_and_no_peer_is_asked(peers: Peers) -> None:
    status, body = call("GET", "/api/dashboard")

    assert (status, body["type"]) == (401, "urn:mercato:problem:unauthenticated")
    assert peers.requests == []


def test_health_is_public_and_needs_no_peer() -> None:
    assert call("GET", "/api/health") == (200, {"service": "gateway", "status": "ok"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/api"),
        ("GET", "/api/nothing"),
        ("POST", "/api/nothing/at/all"),
        ("DELETE", "/api/dashboards"),
        ("PUT", "/admin"),
        ("PATCH", "/api/%2e%2e/health"),
    ],
)
def test_every_other_path_is_404_as_a_problem(method: str, path: str) -> None:
    answer = api.handler(aws_events.rest_request(method, path, headers={"X-Request-Id": "request-0001"}), None)

    assert answer["statusCode"] == 404
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert json.loads(answer["body"]) == {
        "type": "urn:mercato:problem:not-found",
        "title": "Not found",
        "status": 404,
        "detail": f"There is nothing at {method} {path}.",
        "request_id": "request-0001",
    }


def test_another_method_on_a_known_path_is_405() -> None:
    status, body = call("POST", "/api/dashboard", user_id="ada")

    assert (status, body["allow"]) == (405, ["GET", "OPTIONS"])

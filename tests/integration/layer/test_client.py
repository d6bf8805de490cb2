import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mercato import correlation, deadline
from mercato.client import PeerConflict, PeerNotFound, PeerRefused, PeerUnavailable, ServiceClient
from mercato.discovery import Registry
from mercato.errors import TransientError

Answer = tuple[int, str]


class Peer:
    """A real HTTP server in a thread. It answers with the next of its answers, the last one again and again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[Answer] = [(200, "{}")]
        self.seen: list[dict[str, Any]] = []
        self.hold = threading.Event()
        self.hold.set()

    def answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def peer() -> Iterator[Peer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.seen.append({"method": self.command, "path": self.path, "headers": headers, "body": body})
            found.hold.wait(10)
            status, text = found.answer()
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                if status in (301, 302):
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(text.encode())
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_GET = do_POST = handle_one  # noqa: N815

        def log_message(self, *_: object) -> None:
            """The test's output is not a log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Peer(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.hold.set()
    server.shutdown()
    thread.join()
    server.server_close()


class At(Registry):
    """A registry that knows one address."""

    def __init__(self, url: str) -> None:
        super().__init__("shop")
        self.url = url

    def find(self, service: str) -> str:
        return self.url


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(cloud: None, peer: Peer, waits: list[float]) -> ServiceClient:
    return ServiceClient("products", At(peer.url), sleep=waits.append)


def test_a_call_is_signed_and_carries_who_asks_and_why(client: ServiceClient, peer: Peer) -> None:
    peer.answers = [(200, '{"items": [1]}')]
    work = correlation.accept("request-0001")
    with correlation.bound(work):
        assert client.get("/api/products?limit=5", user_id="user-1") == {"items": [1]}
    (seen,) = peer.seen
    headers = seen["headers"]
    assert (seen["method"], seen["path"]) == ("GET", "/api/products?limit=5")
    assert headers["x-request-id"] == "request-0001"
    assert headers["traceparent"].split("-")[1] == work.traceparent.split("-")[1]
    assert headers["traceparent"] != work.traceparent
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=")
    assert "/us-east-1/lambda/aws4_request" in headers["authorization"]
    signed = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-security-token", "x-request-id", "x-user-id"} <= set(signed)
    assert headers["x-user-id"] == "user-1"


def test_without_a_user_no_user_is_named(client: ServiceClient, peer: Peer) -> None:
    client.get("/x")
    assert "x-user-id" not in peer.seen[0]["headers"]


def test_a_post_sends_its_body_as_json(client: ServiceClient, peer: Peer) -> None:
    peer.answers = [(201, '{"ok": true}')]
    assert client.post("/api/products/lookup", {"product_ids": ["é"]}) == {"ok": True}
    assert json.loads(peer.seen[0]["body"]) == {"product_ids": ["é"]}
    assert peer.seen[0]["headers"]["content-type"] == "application/json"


def test_an_empty_answer_is_none(client: ServiceClient, peer: Peer) -> None:
    peer.answers = [(204, "")]
    assert client.post("/x", {}) is None


@pytest.mark.parametrize(("status", "kind"), [(404, PeerNotFound), (409, PeerConflict)])
def test_what_the_peer_says_no_to_is_a_domain_error_in_its_words(
    client: ServiceClient, peer: Peer, status: int, kind: type[Exception]
) -> None:
    peer.answers = [(status, '{"detail": "No such tea."}')]
    with pytest.raises(kind, match=r"No such tea\."):
        client.get("/x")
    assert len(peer.seen) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_read_is_tried_three_times_with_growing_waits(
    client: ServiceClient, peer: Peer, waits: list[float], status: int
) -> None:
    peer.answers = [(status, '{"detail": "busy"}')]
    with pytest.raises(PeerUnavailable, match=f"products GET /x: {status} busy"):
        client.get("/x")
    assert len(peer.seen) == 3
    assert len(waits) == 2
    assert 0 <= waits[0] <= 0.2
    assert 0 <= waits[1] <= 0.4


def test_a_read_that_works_the_second_time_is_an_answer(client: ServiceClient, peer: Peer) -> None:
    peer.answers = [(503, "{}"), (200, '{"n": 1}')]
    assert client.get("/x") == {"n": 1}


def test_a_write_is_never_repeated_by_itself(client: ServiceClient, peer: Peer) -> None:
    peer.answers = [(503, "{}")]
    with pytest.raises(PeerUnavailable):
        client.post("/x", {})
    assert len(peer.seen) == 1


def test_a_write_that_does_no_harm_twice_is_repeated(client: ServiceClient, peer: Peer) -> None:
    peer.answers = [(503, "{}"), (200, "{}")]
    assert client.post("/x", {}, safe=True) == {}
    assert len(peer.seen) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 422])
def test_a_request_that_is_refused_as_such_is_not_repeated(client: ServiceClient, peer: Peer, status: int) -> None:
    peer.answers = [(status, '{"detail": "no"}')]
    with pytest.raises(PeerRefused):
        client.get("/x")
    assert len(peer.seen) == 1


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_is_not_followed(client: ServiceClient, peer: Peer, status: int) -> None:
    peer.answers = [(status, "{}")]
    with pytest.raises(PeerUnavailable):
        client.get("/x")
    assert {seen["path"] for seen in peer.seen} == {"/x"}


@pytest.mark.parametrize("text", ["<html>", "{", "{}{}"])
def test_an_answer_that_is_not_json_is_no_answer(client: ServiceClient, peer: Peer, text: str) -> None:
    peer.answers = [(200, text)]
    with pytest.raises(PeerUnavailable, match="not JSON"):
        client.get("/x")


def test_a_problem_that_is_no_object_is_read_all_the_same(client: ServiceClient, peer: Peer) -> None:
    peer.answers = [(404, '["gone"]')]
    with pytest.raises(PeerNotFound, match="products does not know /x"):
        client.get("/x")


def test_a_peer_that_nobody_answers_for_is_unavailable(cloud: None, waits: list[float]) -> None:
    with pytest.raises(PeerUnavailable):
        ServiceClient("products", At("http://127.0.0.1:1"), sleep=waits.append).get("/x")
    assert len(waits) == 2


@contextmanager
def remaining(millis: Callable[[], int]) -> Iterator[None]:
    class Context:
        get_remaining_time_in_millis = staticmethod(millis)

    with deadline.of_invocation(Context()):
        yield


def test_a_peer_that_hangs_is_given_up_before_the_invocation_ends(client: ServiceClient, peer: Peer) -> None:
    peer.hold.clear()
    with remaining(lambda: 600), pytest.raises(PeerUnavailable):
        client.post("/x", {})
    assert len(peer.seen) == 1


def test_every_peer_error_is_one_that_a_queue_retries_or_a_domain_word() -> None:
    assert issubclass(PeerUnavailable, TransientError)
    assert issubclass(PeerRefused, PeerUnavailable)
    assert not issubclass(PeerNotFound, TransientError)

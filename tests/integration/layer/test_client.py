"""A call to a peer: the request, the response, and which failures are retried."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from mercato.errors import TransientError
from mercato.http import PUBLIC, App
from mercato.invocation import deadline
from mercato.peers.client import (
    PeerConflict,
    PeerNotCalled,
    PeerNotFound,
    PeerRefused,
    PeerUnavailable,
    ServiceClient,
)
from mercato.peers.discovery import Registry
from mercato.telemetry import correlation
from tests.integration.layer.conftest import At, client_of
from tests.integration.layer.peers import Peer, answer, close, running_peer
from tests.kit import aws_events


def test_a_call_is_signed_and_carries_who_asks_and_why(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(200, '{"items": [1]}')]
    work = correlation.accept("request-0001")
    with correlation.bound(work):
        assert client.get("/api/products?limit=5", user_id="user-1") == {"items": [1]}
    (seen,) = peer.seen
    assert (seen.method, seen.path) == ("GET", "/api/products?limit=5")
    assert seen.headers["x-request-id"] == "request-0001"
    assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=")
    assert "/us-east-1/lambda/aws4_request" in seen.headers["authorization"]
    signed = seen.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "x-amz-security-token", "x-request-id", "x-user-id"} <= set(signed)
    assert seen.headers["x-user-id"] == "user-1"


def test_each_hop_and_each_retry_has_a_parent_id_of_its_own_in_the_same_trace(
    client: ServiceClient, peer: Peer
) -> None:
    peer.behaviours = [answer(503), answer()]
    work = correlation.accept("request-0001")
    with correlation.bound(work):
        client.get("/x")
    parents = [work.traceparent, *(seen.headers["traceparent"] for seen in peer.seen)]
    assert len({parent.split("-")[1] for parent in parents}) == 1
    assert len({parent.split("-")[2] for parent in parents}) == 3


def test_without_a_user_or_a_key_neither_is_named(client: ServiceClient, peer: Peer) -> None:
    client.post("/x", {})
    assert {"x-user-id", "idempotency-key"} & peer.seen[0].headers.keys() == set()


def test_a_post_sends_its_body_as_json(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(201, '{"ok": true}')]
    assert client.post("/api/products/lookup", {"product_ids": ["é"]}) == {"ok": True}
    assert json.loads(peer.seen[0].body) == {"product_ids": ["é"]}
    assert peer.seen[0].headers["content-type"] == "application/json"


def test_an_empty_answer_is_none(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(204, "")]
    assert client.post("/x", {}) is None


def test_the_connection_is_kept_between_calls(client: ServiceClient, peer: Peer) -> None:
    for _ in range(5):
        client.get("/x")
    assert (len(peer.seen), peer.connections) == (5, 1)


@pytest.mark.parametrize(("status", "kind"), [(404, PeerNotFound), (409, PeerConflict)])
def test_what_the_peer_says_no_to_is_a_domain_error_in_its_words(
    client: ServiceClient, peer: Peer, status: int, kind: type[Exception]
) -> None:
    peer.behaviours = [answer(status, '{"detail": "No such tea."}')]
    with pytest.raises(kind, match=r"No such tea\."):
        client.get("/x", fallback=lambda _: "never")
    assert len(peer.seen) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 408, 425, 429])
def test_a_read_is_tried_again_after_a_pause(
    client: ServiceClient, peer: Peer, waits: list[float], status: int
) -> None:
    peer.behaviours = [answer(status, '{"detail": "busy"}')]
    with pytest.raises(PeerUnavailable, match=f"products GET /x: {status} busy"):
        client.get("/x")
    assert (len(peer.seen), waits) == (2, [0.2])


def test_the_pauses_of_one_call_grow_and_it_ends_after_three_attempts(
    client: ServiceClient, peer: Peer, waits: list[float]
) -> None:
    for _ in range(10):
        client.get("/x")
    peer.behaviours, peer.seen = [answer(503)], []
    with pytest.raises(PeerUnavailable):
        client.get("/x")
    assert (len(peer.seen), waits) == (3, [0.2, 0.4])
    assert [seen.headers.get("x-mesh-retry") for seen in peer.seen] == [None, "true", "true"]


def test_the_jitter_is_full(cloud: None, peer: Peer, waits: list[float]) -> None:
    asked: list[tuple[float, float]] = []

    def lowest(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    peer.behaviours = [answer(503), answer()]
    client_of(At(peer.url), waits, uniform=lowest).get("/x")
    assert (asked, waits) == ([(0.0, 0.2)], [0.0])


def test_a_read_that_works_the_second_time_is_an_answer(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(503), answer(200, '{"n": 1}')]
    assert client.get("/x") == {"n": 1}


def test_a_write_is_never_repeated_by_itself(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(503)]
    with pytest.raises(PeerUnavailable):
        client.post("/x", {})
    assert len(peer.seen) == 1


def test_a_write_with_a_key_is_repeated_under_the_same_key(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [close, answer()]
    assert client.post("/x", {}, key="order-1") == {}
    assert [seen.headers["idempotency-key"] for seen in peer.seen] == ["order-1", "order-1"]


def test_a_write_that_does_no_harm_twice_is_repeated(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(503), answer()]
    assert client.post("/x", {}, safe=True) == {}
    assert len(peer.seen) == 2


def test_a_retry_goes_to_another_instance_where_there_is_one(cloud: None, peer: Peer, waits: list[float]) -> None:
    with running_peer() as sick:
        sick.behaviours = [answer(500)]
        peer.behaviours = [answer(200, '{"well": true}')]
        client = client_of(At(sick.url, peer.url), waits)
        assert client.get("/x") == {"well": True}
        assert (len(sick.seen), len(peer.seen)) == (1, 1)


@pytest.mark.parametrize("status", [400, 401, 403, 405, 413, 422])
def test_a_request_that_is_refused_as_such_is_not_repeated(client: ServiceClient, peer: Peer, status: int) -> None:
    peer.behaviours = [answer(status, '{"detail": "no"}')]
    with pytest.raises(PeerRefused):
        client.get("/x", fallback=lambda _: "our own mistake is not hidden")
    assert len(peer.seen) == 1


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_is_not_followed(client: ServiceClient, peer: Peer, status: int) -> None:
    peer.behaviours = [answer(status, "{}", Location="/elsewhere")]
    with pytest.raises(PeerUnavailable):
        client.get("/x")
    assert {seen.path for seen in peer.seen} == {"/x"}


def test_a_problem_that_is_no_object_is_read_all_the_same(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(404, '["gone"]')]
    with pytest.raises(PeerNotFound, match="products does not know /x"):
        client.get("/x")


def test_what_lambda_itself_says_is_in_the_error(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(403, '{"Message": "Forbidden"}')]
    with pytest.raises(PeerRefused, match="403 Forbidden"):
        client.get("/x")


# --- 429 and Retry-After ---------------------------------------------------------------------------------------------


def test_a_peer_that_asks_for_time_gets_it_and_jitter_on_top(
    client: ServiceClient, peer: Peer, waits: list[float]
) -> None:
    peer.behaviours = [answer(429, Retry_After="3"), answer()]
    assert client.get("/x") == {}
    assert waits == [3.2]


def test_a_retry_after_may_be_a_date(client: ServiceClient, peer: Peer, waits: list[float]) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=4), usegmt=True)
    peer.behaviours = [answer(503, Retry_After=moment), answer()]
    client.get("/x")
    assert 2 < waits[0] <= 4.2


@pytest.mark.parametrize("text", ["soon", "-3", "3.5", "", "Sun, 99 Nov 2026 12:00:00 GMT", "9" * 40])
def test_a_retry_after_that_says_nothing_is_not_waited_for(
    client: ServiceClient, peer: Peer, waits: list[float], text: str
) -> None:
    peer.behaviours = [answer(429, Retry_After=text), answer()]
    client.get("/x")
    assert waits == [0.2]


def test_a_retry_after_longer_than_anyone_waits_is_handed_on_at_once(
    client: ServiceClient, peer: Peer, waits: list[float]
) -> None:
    peer.behaviours = [answer(429, Retry_After="60")]
    with pytest.raises(PeerUnavailable) as caught:
        client.get("/x")
    assert (caught.value.retry_after, waits, len(peer.seen)) == (60.0, [], 1)


def test_a_pause_that_would_outlast_the_invocation_is_not_made(
    client: ServiceClient, peer: Peer, waits: list[float]
) -> None:
    peer.behaviours = [answer(429, Retry_After="2")]
    with deadline.at_most(2), pytest.raises(PeerUnavailable):
        client.get("/x")
    assert (waits, len(peer.seen)) == ([], 1)


def test_our_own_caller_is_told_how_long_to_wait(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(429, Retry_After="17")]
    app = App("shop")
    app.get("/api/things", role=PUBLIC)(lambda: client.get("/x"))
    said = app.handler(aws_events.rest_request("GET", "/api/things"), None)
    assert (said["statusCode"], said["headers"]["Retry-After"]) == (503, "17")


# --- the budget ------------------------------------------------------------------------------------------------------


def test_an_outage_costs_a_peer_no_more_than_a_tenth_of_its_load(
    client: ServiceClient, peer: Peer, waits: list[float]
) -> None:
    peer.behaviours = [answer(503)]
    for _ in range(200):
        with pytest.raises(PeerUnavailable):
            client.get("/x")
    assert (len(peer.seen), len(waits)) == (221, 21)


def test_good_times_save_up_no_more_than_ten_retries(client: ServiceClient, peer: Peer, waits: list[float]) -> None:
    for _ in range(300):
        client.get("/x")
    peer.behaviours = [answer(503)]
    for _ in range(9):
        with pytest.raises(PeerUnavailable):
            client.get("/x")
    assert len(waits) == 10


# --- no call at all --------------------------------------------------------------------------------------------------


def test_a_peer_that_the_registry_does_not_know_is_unavailable_and_not_retried(cloud: None, waits: list[float]) -> None:
    with pytest.raises(PeerNotCalled, match="cannot look up products in shop"):
        client_of(Registry("shop"), waits).get("/x")
    assert waits == []


def test_a_call_is_not_made_when_the_invocation_is_about_to_end(client: ServiceClient, peer: Peer) -> None:
    with deadline.at_most(0.2), pytest.raises(PeerNotCalled, match="no time is left"):
        client.get("/x")
    assert peer.seen == []


def test_a_fallback_answers_where_the_peer_does_not(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(503, '{"detail": "busy"}')]
    said: list[str] = []

    def default(error: PeerUnavailable) -> dict[str, int]:
        said.append(str(error))
        return {"count": 0}

    assert client.get("/x", fallback=default) == {"count": 0}
    assert client.post("/x", {}, fallback=default) == {"count": 0}
    assert said == ["products GET /x: 503 busy", "products POST /x: 503 busy"]


def test_every_peer_error_is_one_that_a_queue_retries_or_a_domain_word() -> None:
    assert issubclass(PeerUnavailable, TransientError)
    assert issubclass(PeerRefused, PeerUnavailable)
    assert issubclass(PeerNotCalled, PeerUnavailable)
    assert not issubclass(PeerNotFound, TransientError)


def test_a_whole_answer_is_handed_on_with_its_refusals(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(409, '{"type": "urn:mercato:problem:out-of-stock"}', Retry_After="5")]

    found = client.send("POST", "/api/orders", {"lines": []}, {"Idempotency-Key": "key-1"})

    assert (found.status, found.headers["retry-after"]) == (409, "5")
    assert json.loads(found.body) == {"type": "urn:mercato:problem:out-of-stock"}
    assert peer.seen[0].headers["idempotency-key"] == "key-1"


@pytest.mark.parametrize(("method", "headers"), [("GET", {}), ("POST", {"Idempotency-Key": "k"})])
def test_a_whole_answer_is_asked_for_again_where_that_is_safe(
    client: ServiceClient, peer: Peer, method: str, headers: dict[str, str]
) -> None:
    peer.behaviours = [answer(503), answer(200)]

    assert client.send(method, "/x", None if method == "GET" else {}, headers).status == 200


def test_a_whole_answer_to_a_post_without_a_key_is_asked_for_once(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [answer(503), answer(200)]

    with pytest.raises(PeerUnavailable):
        client.send("POST", "/x", {})
    assert len(peer.seen) == 1


def test_a_call_that_brings_a_token_is_not_signed(client: ServiceClient, peer: Peer) -> None:
    client.send("GET", "/api/orders", headers={"Authorization": "Bearer a.b.c"})

    assert peer.seen[0].headers["authorization"] == "Bearer a.b.c"
    assert "x-amz-date" not in peer.seen[0].headers


def test_a_text_goes_as_it_is_under_its_own_type(client: ServiceClient, peer: Peer) -> None:
    client.send("POST", "/x", "sku,name\nA,É\n", {"Content-Type": "text/csv"})

    assert peer.seen[0].body == "sku,name\nA,É\n".encode()
    assert peer.seen[0].headers["content-type"] == "text/csv"

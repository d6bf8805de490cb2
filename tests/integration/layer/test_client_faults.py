"""Every failure of a peer on a real socket ends in one kind of error, in time."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from mercato.invocation import deadline
from mercato.peers import transport
from mercato.peers.client import PeerUnavailable, ServiceClient
from tests.integration.layer.conftest import At, client_of
from tests.integration.layer.peers import Behaviour, Peer, answer, close, drip, hang, raw, reset

OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def remaining(millis: Callable[[], int]) -> Iterator[None]:
    class Context:
        get_remaining_time_in_millis = staticmethod(millis)

    with deadline.of_invocation(Context()):
        yield


SLOW: list[tuple[str, Behaviour]] = [
    ("says nothing", hang),
    ("drips its status line", drip(b"HTTP/1.1 200 ", b"O")),
    ("drips a header", drip(OK + b"X: ", b"x")),
    ("drips headers", drip(OK, b"X: y\r\n")),
    ("drips its body", drip(OK + b"Content-Length: 1000000\r\n\r\n", b" ")),
    ("drips chunks", drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")),
    ("drips 100 Continue", drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
]


@pytest.mark.parametrize("behaviour", [found for _, found in SLOW], ids=[name for name, _ in SLOW])
def test_a_slow_peer_is_given_up_in_the_time_that_the_invocation_has_left(
    client: ServiceClient, peer: Peer, behaviour: Behaviour
) -> None:
    peer.behaviours = [behaviour]
    started = time.monotonic()
    with remaining(lambda: 1900), pytest.raises(PeerUnavailable):
        client.get("/x")
    took = time.monotonic() - started
    assert 1.35 <= took < 4.5, "about 1.9 s less the half second that is kept for our own answer, and not the usual 5 s"
    assert len(peer.seen) <= 1, "it is not asked again; on a busy machine it may not even have read the request by then"


BROKEN: list[tuple[str, Behaviour]] = [
    ("closes without a word", close),
    ("resets the connection", reset),
    ("does not speak HTTP", raw(b"\x16\x03\x01\x00\xff garbage \x00\r\n\r\n")),
    ("speaks of HTTP 9", raw(b"HTTP/9.9 200 OK\r\n\r\n{}")),
    ("has a status that is no number", raw(b"HTTP/1.1 yes OK\r\n\r\n")),
    ("closes in the headers", raw(OK + b"Content-Le")),
    ("does not say how long its body is", raw(OK + b"\r\n{}")),
    ("drips a body without an end", drip(OK + b"\r\n", b" ")),
    ("closes in the body", raw(OK + b"Content-Length: 100\r\n\r\n{")),
    ("has a length that is no number", raw(OK + b"Content-Length: much\r\n\r\n<")),
    ("has two lengths", raw(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}")),
    ("breaks its chunks", raw(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}")),
    ("lies about gzip", raw(OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")),
    ("has a header without an end", raw(OK + b"X: " + b"x" * 70_000)),
    ("has a thousand headers", raw(OK + b"X: y\r\n" * 1000 + b"\r\n")),
    ("answers HTML", answer(200, "<html>")),
    ("answers half of JSON", answer(200, "{")),
    ("answers JSON twice", answer(200, "{}{}")),
    ("answers no UTF-8", raw(OK + b"Connection: close\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc")),
    ("answers JSON without a bottom", answer(200, "[" * 200_000)),
    ("answers an error page", answer(502, "<h1>Bad gateway</h1>")),
]


@pytest.mark.parametrize("behaviour", [found for _, found in BROKEN], ids=[name for name, _ in BROKEN])
def test_a_broken_peer_is_unavailable_and_a_read_is_tried_once_more(
    client: ServiceClient, peer: Peer, behaviour: Behaviour
) -> None:
    peer.behaviours = [behaviour, answer(200, '{"n": 1}')]
    assert client.get("/x") == {"n": 1}
    peer.behaviours = [behaviour]
    with pytest.raises(PeerUnavailable, match="products POST /x"):
        client.post("/x", {})
    assert [seen.method for seen in peer.seen] == ["GET", "GET", "POST"]


def test_a_connection_that_spoke_in_an_encoding_that_nobody_asked_for_is_not_used_again(
    client: ServiceClient, peer: Peer
) -> None:
    peer.behaviours = [answer(200, "{}", Content_Encoding="gzip"), answer()]
    with pytest.raises(PeerUnavailable, match="encoded as gzip"):
        client.post("/x", {})
    assert client.post("/x", {}) == {}
    assert (len(peer.seen), peer.connections) == (2, 2)


def test_an_answer_that_does_not_end_is_not_taken_into_memory(
    client: ServiceClient, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER", 1000)
    peer.behaviours = [answer(200, '"' + "x" * 998 + '"')]
    assert len(client.get("/x")) == 998
    peer.behaviours = [answer(200, '"' + "x" * 999 + '"')]
    with pytest.raises(PeerUnavailable, match="over 1000 bytes"):
        client.post("/x", {})


def test_a_burst_of_500_is_survived_for_as_long_as_the_budget_lasts(client: ServiceClient, peer: Peer) -> None:
    for _ in range(30):
        client.get("/x")
    for burst in (2, 1):
        peer.behaviours = [*[answer(500)] * burst, answer()]
        assert client.get("/x") == {}
    peer.behaviours, peer.seen = [*[answer(500)] * 2, answer()], []
    with pytest.raises(PeerUnavailable):
        client.get("/x")
    assert len(peer.seen) == 2, "one retry was left of four"


def test_a_connection_that_the_peer_closed_while_idle_is_replaced_unseen(client: ServiceClient, peer: Peer) -> None:
    peer.behaviours = [raw(OK + b"Content-Length: 2\r\n\r\n{}"), answer()]
    client.post("/x", {})
    assert peer.has_closed.wait(10)
    client.post("/x", {})
    assert (len(peer.seen), peer.connections) == (2, 2)


def test_where_nobody_listens_even_a_write_is_tried_again_since_nothing_was_sent(
    cloud: None, peer: Peer, waits: list[float]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nowhere = f"http://127.0.0.1:{listener.getsockname()[1]}"
    registry = At(nowhere, peer.url)
    assert client_of(registry, waits).post("/x", {}) == {}
    assert (registry.doubted, len(waits), len(peer.seen)) == (["products"], 1, 1)


def test_a_host_without_a_name_is_unavailable(cloud: None, waits: list[float]) -> None:
    with pytest.raises(PeerUnavailable):
        client_of(At("http://nobody.invalid"), waits).get("/x")


def test_a_peer_that_does_not_accept_is_given_up_after_the_connect_timeout(cloud: None, waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        started = time.monotonic()
        with deadline.at_most(2), pytest.raises(PeerUnavailable):
            client_of(At(f"http://127.0.0.1:{address[1]}"), waits).post("/x", {})
        assert time.monotonic() - started < 4
        for filler in fillers:
            filler.close()

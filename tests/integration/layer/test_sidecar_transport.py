"""Calls through the mesh's sidecar, played by a server on a Unix socket."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mercato.peers import peer as peers
from mercato.peers.client import PeerNotCalled, PeerRefused, PeerUnavailable, ServiceClient
from mercato.peers.sidecar import MeshTransport, Sidecar
from mercato.peers.transport import NoAnswer, NotSent
from mercato.store.dynamo import Table
from mercato.telemetry import correlation
from tests.integration.layer.conftest import client_of
from tests.integration.layer.peers import Peer, answer, close, drip, hang, reset, running_peer
from tests.integration.layer.test_client_faults import BROKEN, remaining


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "mesh.sock")


@pytest.fixture
def sidecar(path: str) -> Iterator[Peer]:
    with running_peer(path) as found:
        yield found


@pytest.fixture
def client(cloud: None, sidecar: Peer, path: str, waits: list[float]) -> ServiceClient:
    return client_of(Sidecar(path), waits)


def test_a_call_names_its_peer_and_is_not_signed(client: ServiceClient, sidecar: Peer) -> None:
    sidecar.behaviours = [answer(200, '{"n": 1}')]
    with correlation.bound(correlation.accept("request-0001")), correlation.acting("admin:root-1", "canary"):
        assert client.get("/api/products?limit=5", user_id="user-1") == {"n": 1}
    [seen] = sidecar.seen
    assert (seen.method, seen.path, seen.headers["host"]) == ("GET", "/api/products?limit=5", "products")
    assert (seen.headers["x-user-id"], seen.headers["x-request-id"]) == ("user-1", "request-0001")
    assert seen.headers["x-mesh-version"] == "canary"
    assert "authorization" not in seen.headers


def test_without_a_pin_no_version_is_named(client: ServiceClient, sidecar: Peer) -> None:
    client.get("/x")
    assert "x-mesh-version" not in sidecar.seen[0].headers


def test_the_sidecar_is_told_the_time_that_is_left(client: ServiceClient, sidecar: Peer) -> None:
    client.get("/x")
    with remaining(lambda: 2500):
        client.get("/x")
    told = [int(seen.headers["x-envoy-upstream-rq-timeout-ms"]) for seen in sidecar.seen]
    assert told[0] == 5000
    assert 1000 < told[1] <= 2000, "half a second is kept for the caller's own answer"


def test_a_body_arrives_as_it_was_sent(client: ServiceClient, sidecar: Peer) -> None:
    client.post("/x", {"é": 1}, key="key-1")
    [seen] = sidecar.seen
    assert (seen.method, seen.body, seen.headers["idempotency-key"]) == ("POST", b'{"\\u00e9": 1}', "key-1")


def test_all_peers_share_the_connections(cloud: None, sidecar: Peer, path: str, waits: list[float]) -> None:
    way = Sidecar(path)
    for _ in range(3):
        client_of(way, waits).get("/x")
    assert (len(sidecar.seen), sidecar.connections) == (3, 1)


def test_concurrent_calls_do_not_mix_their_answers(sidecar: Peer, path: str) -> None:
    sidecar.behaviours = [answer(200, "{}")]
    transport = MeshTransport(path)
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda n: transport.send("GET", f"http://products/{n}", headers={}, timeout=5), range(100))
        )
    assert [one.body for one in found] == [b"{}"] * 100
    assert sorted(int(seen.path[1:]) for seen in sidecar.seen) == list(range(100))


def test_without_a_sidecar_nothing_was_sent_so_that_any_call_is_tried_again(
    cloud: None, path: str, waits: list[float]
) -> None:
    with pytest.raises(NotSent, match="sidecar does not listen"):
        MeshTransport(path).send("GET", "http://products/x", headers={}, timeout=1)
    with pytest.raises(PeerUnavailable, match="sidecar does not listen"):
        client_of(Sidecar(path), waits).post("/x", {})
    assert len(waits) == 1


def test_a_socket_that_nobody_listens_at_is_the_same(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with pytest.raises(NotSent):
        MeshTransport(path).send("GET", "http://products/x", headers={}, timeout=1)


def test_a_restarted_sidecar_is_found_again(cloud: None, path: str, waits: list[float]) -> None:
    client = client_of(Sidecar(path), waits)
    for _ in range(2):
        with running_peer(path) as sidecar:
            client.get("/x")
            assert len(sidecar.seen) == 1
        Path(path).unlink()


@pytest.mark.parametrize("behaviour", [found for _, found in BROKEN], ids=[name for name, _ in BROKEN])
def test_a_broken_answer_is_none_and_only_a_read_is_repeated(
    client: ServiceClient, sidecar: Peer, behaviour: object
) -> None:
    sidecar.behaviours = [behaviour, answer(200, '{"n": 1}')]  # type: ignore[list-item]
    assert client.get("/x") == {"n": 1}
    sidecar.behaviours = [behaviour]  # type: ignore[list-item]
    with pytest.raises(PeerUnavailable):
        client.post("/x", {})
    assert [seen.method for seen in sidecar.seen] == ["GET", "GET", "POST"]


@pytest.mark.parametrize("behaviour", [hang, drip(b"HTTP/1.1 200 OK\r\nX: ", b"x")])
def test_a_slow_sidecar_is_given_up_in_time(sidecar: Peer, path: str, behaviour: object) -> None:
    sidecar.behaviours = [behaviour]  # type: ignore[list-item]
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        MeshTransport(path).send("GET", "http://products/x", headers={}, timeout=0.3)
    assert 0.25 <= time.monotonic() - began < 3


def test_a_refusal_of_the_sidecar_is_an_answer_that_no_retry_changes(client: ServiceClient, sidecar: Peer) -> None:
    sidecar.behaviours = [answer(403, '{"detail": "The mesh\'s policy does not list this call."}')]
    with pytest.raises(PeerRefused, match="does not list this call"):
        client.get("/x")
    assert len(sidecar.seen) == 1


@pytest.mark.parametrize("behaviour", [answer(503, "no healthy upstream"), close, reset])
def test_a_write_without_a_key_is_not_repeated(client: ServiceClient, sidecar: Peer, behaviour: object) -> None:
    sidecar.behaviours = [behaviour]  # type: ignore[list-item]
    with pytest.raises(PeerUnavailable):
        client.post("/x", {})
    assert len(sidecar.seen) == 1


def test_the_function_s_environment_chooses_the_way(
    table: Table, monkeypatch: pytest.MonkeyPatch, sidecar: Peer, path: str
) -> None:
    monkeypatch.setenv("NAMESPACE", "shop")
    monkeypatch.setenv("CIRCUITS_TABLE", "things")
    monkeypatch.setenv("MESH_SOCKET", path)
    peers.reset()
    try:
        assert peers.peer("products").get("/api/products") == {}
        assert [seen.headers["host"] for seen in sidecar.seen] == ["products"]
        with pytest.raises(PeerNotCalled, match="api"):
            peers.peer(peers.PUBLIC_API).get("/api/orders")  # looked up in a registry without it
        assert len(sidecar.seen) == 1, "the public API is behind no ingress of the mesh"
    finally:
        peers.reset()

"""The reads of a page that run at once, over real connections: trace, log lines, deadline, connections and counts."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import pytest

from mercato.breaker import Circuits
from mercato.breaker.memory import MemoryStore
from mercato.invocation import deadline
from mercato.peers.client import PeerUnavailable, ServiceClient
from mercato.peers.peer import POLICY
from mercato.peers.retries import RetryBudget
from mercato.telemetry import correlation, metrics
from pages.visitor import together
from tests.integration.layer.conftest import At
from tests.integration.layer.peers import Peer, answer, hang

READS = 8


@pytest.fixture
def client(cloud: None, peer: Peer) -> ServiceClient:
    """A client with the shop's policy, which never opens the circuit, and has no retries left."""
    patient = Circuits(MemoryStore()).breaker("peer-products", replace(POLICY, failures=10**6))
    return ServiceClient("products", At(peer.url), patient, sleep=lambda _: None, budget=RetryBudget(-100))


def test_each_call_is_a_span_of_the_page_s_trace_and_has_a_line_in_the_log(
    client: ServiceClient, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    peer.behaviours = [answer(body='{"is": "read"}')]
    with correlation.bound(correlation.accept("request-of-this-page")) as work, caplog.at_level(logging.INFO):
        found = together(*[lambda: client.get("/api/products")] * READS)

    assert found == [{"is": "read"}] * READS
    assert {one.headers["x-request-id"] for one in peer.seen} == {"request-of-this-page"}
    parents = [one.headers["traceparent"].split("-") for one in peer.seen]
    assert {trace for _, trace, _, _ in parents} == {work.trace_id}
    spans = {span for _, _, span, _ in parents}
    told = [record.__dict__["call_id"] for record in caplog.records if record.message == "peer called"]
    assert (len(told), set(told)) == (READS, spans)
    assert len(spans) == READS


def test_reads_share_the_connections_that_a_client_keeps(
    client: ServiceClient, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        together(*[lambda: client.get("/api/products")] * READS)

    assert peer.connections <= 4
    assert "pool is full" not in caplog.text


def test_reads_that_hang_end_by_the_invocation_s_deadline_and_each_is_counted(
    client: ServiceClient, peer: Peer
) -> None:
    peer.behaviours = [hang]
    lines: list[str] = []
    metrics.flush(lambda _: None)

    def read() -> str:
        with pytest.raises(PeerUnavailable):
            client.get("/api/products")
        return "away"

    began = time.monotonic()
    with deadline.at_most(1.0):
        assert together(*[read] * 4) == ["away"] * 4
    assert time.monotonic() - began < 4, "half a second on an idle machine, and not the usual 5 s"

    metrics.flush(lines.append)
    assert any('"CallsFailed": 4' in line for line in lines)

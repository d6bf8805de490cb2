"""Where calls go: weights, pins, mirrors, faults, time-outs, resends and ejection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from mercato.peers.transport import NoAnswer
from sidecar.settings import Endpoint
from tests.integration.mesh.conftest import POLICY, Caller, Mesh, Seen, made_mesh, wait_for

CALLS = 1000


@pytest.fixture
def orders(mesh: Mesh) -> Caller:
    mesh.give("orders")
    mesh.cloud.weigh("products", live=100)
    caller = mesh.start("orders")
    settled(mesh, caller)
    return caller


def settled(mesh: Mesh, caller: Caller) -> None:
    """Waits until Envoy has read its identity, and forgets the calls of it."""
    wait_for(lambda: caller.invoke().status == 200, "the sidecar has no identity")
    mesh.cloud.seen.clear()


def share(mesh: Mesh, caller: Caller, **weights: int) -> None:
    """As Cloud Map says 30 seconds later."""
    mesh.cloud.weigh("products", **weights)
    follow(mesh, caller)


def follow(mesh: Mesh, caller: Caller) -> None:
    """Reads the registry as the sidecar does when 30 seconds are over, and forgets the calls before it."""
    caller.refresher._due["weights"] = 0
    before = caller.counters()["http.out.rds.out.config_reload"]
    caller.refresher.refresh(3)
    wait_for(lambda: caller.counters()["http.out.rds.out.config_reload"] > before, "the routes were not read again")
    mesh.cloud.seen.clear()


@pytest.mark.parametrize(("live", "canary"), [(90, 10), (50, 50)])
def test_weights_of_the_registry_divide_the_calls(mesh: Mesh, orders: Caller, live: int, canary: int) -> None:
    """Within five standard deviations of a share of 10 %, three of one of 50 %."""
    share(mesh, orders, live=live, canary=canary)
    assert {orders.look_up().status for _ in range(CALLS)} == {200}
    found = mesh.cloud.versions()
    assert abs(found["canary"] / CALLS * 100 - canary) <= 4.7
    assert sum(found.values()) == CALLS


def test_a_weight_of_nothing_or_everything_is_exact(mesh: Mesh, orders: Caller) -> None:
    for _ in range(100):
        orders.look_up()
    assert mesh.cloud.versions() == {"live": 100}
    share(mesh, orders, live=0, canary=1)
    for _ in range(100):
        orders.look_up()
    assert mesh.cloud.versions() == {"canary": 100}


def test_a_registry_that_fails_or_is_empty_changes_nothing(mesh: Mesh, orders: Caller) -> None:
    share(mesh, orders, live=0, canary=1)
    del mesh.cloud.instances["products"]
    orders.refresher._due["weights"] = 0
    orders.refresher.refresh()
    assert "the mesh keeps its old weights" in orders.said
    for _ in range(20):
        orders.look_up()
    assert mesh.cloud.versions() == {"canary": 20}


def test_a_pinned_call_gets_its_version_alone(mesh: Mesh, orders: Caller) -> None:
    assert {orders.look_up(x_mesh_version="canary").status for _ in range(200)} == {200}
    assert mesh.cloud.versions() == {"canary": 200}
    mesh.cloud.answers = lambda one: 500 if one.version == "canary" else 200
    mesh.cloud.seen.clear()
    for _ in range(20):
        assert orders.look_up(x_mesh_version="canary").status >= 500
    assert "live" not in mesh.cloud.versions(), "another version is no answer to a pin"


def test_a_retried_call_gets_the_live_version(mesh: Mesh, orders: Caller) -> None:
    share(mesh, orders, live=0, canary=1)
    for _ in range(5):
        assert orders.look_up(x_mesh_retry="true").status == 200
    assert set(mesh.cloud.versions()) == {"live"}
    assert orders.look_up(x_mesh_retry="true", x_mesh_version="canary").status == 200
    assert mesh.cloud.versions()["canary"] == 1, "a pin holds for its retries"


def test_an_unknown_version_is_no_pin(mesh: Mesh, orders: Caller) -> None:
    assert orders.look_up(x_mesh_version="gamma").status == 200
    assert mesh.cloud.versions() == {"live": 1}


def test_faults_come_to_calls_with_their_header_alone(mesh: Mesh, orders: Caller) -> None:
    found = [orders.look_up(x_mesh_fault="broken").status for _ in range(CALLS)]
    assert abs(found.count(503) / CALLS * 100 - 20) <= 5
    assert len(mesh.cloud.seen) == found.count(200)
    began = time.monotonic()
    times = []
    for _ in range(60):
        began = time.monotonic()
        orders.look_up(x_mesh_fault="slow")
        times.append(time.monotonic() - began)
    assert 10 <= sum(one >= 0.2 for one in times) <= 50
    assert {orders.look_up().status for _ in range(100)} == {200}


def test_no_fault_comes_to_prod(mesh: Mesh) -> None:
    mesh.give("orders")
    orders = mesh.start("orders", environment="prod")
    settled(mesh, orders)
    assert {orders.look_up(x_mesh_fault="broken").status for _ in range(100)} == {200}


def test_a_sick_version_is_ejected_and_its_calls_go_to_the_live_one(mesh: Mesh, orders: Caller) -> None:
    share(mesh, orders, live=50, canary=50)
    mesh.cloud.answers = lambda one: 500 if one.version == "canary" else 200
    found = [orders.look_up().status for _ in range(300)]
    assert 5 <= found.count(500) <= 7, "five in a row, and what was on its way"
    assert set(found[-100:]) == {200}
    assert mesh.cloud.versions()["canary"] <= 7


def test_a_sick_live_version_is_never_ejected(mesh: Mesh, orders: Caller) -> None:
    mesh.cloud.answers = lambda _: 500
    for _ in range(50):
        orders.look_up()
    mesh.cloud.answers = lambda _: 200
    assert orders.look_up().status == 200


def test_the_caller_s_deadline_is_the_sidecar_s(mesh: Mesh, orders: Caller) -> None:
    """The sidecar gives up when the caller does, and not after the five seconds of the policy."""
    release = threading.Event()

    def wait(_: Seen) -> int:
        release.wait(10)
        return 200

    mesh.cloud.answers = wait
    try:
        began = time.monotonic()
        with contextlib.suppress(NoAnswer):  # which of the two clocks is first is chance
            assert orders.call("POST", "/api/products/lookup", timeout=0.4).status == 504
        assert time.monotonic() - began < 2
        wait_for(lambda: orders.counters().get("cluster.products.live.upstream_rq_active", 0) == 0, "it waits on", 2)
        assert len(mesh.cloud.seen) == 1, "a call that reached the peer is not sent again"
    finally:
        release.set()


def test_the_sidecar_keeps_the_deadline_that_it_is_told(mesh: Mesh, orders: Caller) -> None:
    """A client that would wait longer gets 504 at its deadline."""
    release = threading.Event()

    def wait(_: Seen) -> int:
        release.wait(10)
        return 200

    mesh.cloud.answers = wait
    connection = HTTPConnection("products", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(orders.settings.socket))
    try:
        began = time.monotonic()
        connection.request("POST", "/api/products/lookup", b"{}", {"X-Envoy-Upstream-Rq-Timeout-Ms": "300"})
        assert connection.getresponse().status == 504
        assert time.monotonic() - began < 2
    finally:
        release.set()
        connection.close()


def test_an_answer_of_5xx_is_not_repeated_by_the_sidecar(mesh: Mesh, orders: Caller) -> None:
    """Repeats of answers are the client's, so that nothing multiplies."""
    mesh.cloud.answers = lambda _: 503
    assert orders.look_up().status == 503
    assert len(mesh.cloud.seen) == 1


class Wire:
    """Carries connections to the ingress. `breaks` is how many of the next ones end before a byte is on them."""

    def __init__(self, ingress: int) -> None:
        self.breaks = 0
        self._ingress = ingress
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                caller = self._listener.accept()[0]
                if self.breaks:
                    self.breaks -= 1
                    caller.close()
                    continue
                ingress = socket.create_connection(("127.0.0.1", self._ingress))
                self._open += [caller, ingress]
                for ends in ((caller, ingress), (ingress, caller)):
                    threading.Thread(target=carry, args=ends, daemon=True).start()


def carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError), source, sink:
        while data := source.recv(65536):
            sink.sendall(data)


def test_a_resend_asks_for_the_same_path(mesh: Mesh) -> None:
    with contextlib.closing(Wire(mesh.ingress.port)) as wire:
        mesh.give("orders")
        orders = mesh.start("orders", ingress=Endpoint("mesh.shop.example", "127.0.0.1", wire.port, has_tls=True))
        settled(mesh, orders)
        sent_again = orders.counters().get("cluster.products.live.upstream_rq_retry", 0)
        wire.breaks = 1
        wire.cut()
        open_ones = "cluster.products.live.upstream_cx_active"
        wait_for(lambda: orders.counters().get(open_ones, 0) == 0, "the sidecar holds a cut connection")
        assert orders.look_up(X_Mesh_Path="/api/users/lookup").status == 200
        assert orders.counters()["cluster.products.live.upstream_rq_retry"] == sent_again + 1
    [seen] = mesh.cloud.seen
    assert (seen.version, seen.path) == ("live", "/api/products/lookup")


def test_calls_over_a_restart_of_the_ingress_fail_for_that_time_only(mesh: Mesh, orders: Caller) -> None:
    for _ in range(5):
        mesh.ingress.stop()
        assert orders.look_up().status == 503
        mesh.ingress.start()
        wait_for(lambda: orders.look_up().status == 200, "the ingress is back", 5)


def test_a_broken_file_is_kept_out(mesh: Mesh, orders: Caller) -> None:
    share(mesh, orders, live=0, canary=1)
    files = orders.settings.folder / "files"
    for content in ("{", '{"resources": [{"@type": "nonsense"}]}', (files / "routes.json").read_text()[:-200]):
        before = orders.counters()
        (files / ".broken").write_text(content)
        (files / ".broken").rename(files / "routes.json")
        name = "http.out.rds.out.update_rejected"
        failed = "http.out.rds.out.update_failure"

        def is_seen(before: dict[str, int] = before, name: str = name, failed: str = failed) -> bool:
            now = orders.counters()
            return any(now.get(one, 0) > before.get(one, 0) for one in (name, failed))

        wait_for(is_seen, "Envoy did not look at the file")
        assert {orders.look_up().status for _ in range(20)} == {200}
    assert mesh.cloud.versions() == {"canary": 60}


MIRRORING = POLICY.replace(
    "    faults:", "    mirror: {to: canary, percent: 30, only: [POST /api/products/lookup]}\n    faults:"
)


@pytest.fixture
def mirroring(credentials: None, tmp_path: Path) -> Iterator[Mesh]:
    with made_mesh(tmp_path / "mesh", MIRRORING) as found:
        yield found


def test_a_share_of_the_reads_is_mirrored_and_nobody_waits_for_the_copy(mirroring: Mesh) -> None:
    mirroring.give("orders")
    orders = mirroring.start("orders")
    settled(mirroring, orders)
    # An answer of 5xx would eject the version, which then gets no copies either.
    mirroring.cloud.answers = lambda one: 404 if one.version == "canary" else 200
    assert {orders.look_up().status for _ in range(CALLS)} == {200}
    wait_for(lambda: abs(mirroring.cloud.versions()["canary"] / CALLS * 100 - 30) <= 6, "copies are missing")
    assert mirroring.cloud.versions()["live"] == CALLS
    mirroring.cloud.seen.clear()
    for _ in range(50):
        orders.call("GET", "/api/products/p-1")
    assert mirroring.cloud.versions() == {"live": 50}, "what is not listed is not mirrored"

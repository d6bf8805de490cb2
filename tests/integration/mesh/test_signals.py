"""The signals of each edge: what the sidecar tells of calls that a real Envoy has made."""

from __future__ import annotations

import json
import statistics
import threading
from typing import Any

import pytest

from sidecar.signals import EVERY, Signals
from tests.integration.mesh.conftest import Caller, Mesh, Seen
from tests.integration.mesh.test_traffic import settled, share

Line = dict[str, Any]


class Clock:
    def __init__(self) -> None:
        self.now = 1_764_000_000.0

    def __call__(self) -> float:
        return self.now


class Told:
    """The signals of one caller, a minute after the other."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.clock = Clock()
        self.lines: list[Line] = []
        self.said: list[dict[str, Any]] = []
        self.signals = Signals(caller.settings, self._say, lambda line: self.lines.append(json.loads(line)), self.clock)
        self.after_a_minute()

    def _say(self, message: str, **about: Any) -> None:
        self.said.append({"message": message, **about})

    def after_a_minute(self) -> list[Line]:
        self.lines.clear()
        self.clock.now += EVERY
        self.signals.tell()
        return self.lines


@pytest.fixture
def orders(mesh: Mesh) -> Caller:
    mesh.give("orders")
    mesh.cloud.weigh("products", live=100)
    caller = mesh.start("orders", metrics="Mercato/shop")
    settled(mesh, caller)
    return caller


def test_an_edge_has_its_calls_errors_and_times(mesh: Mesh, orders: Caller) -> None:
    told = Told(orders)

    def answer_slowly(_: Seen) -> int:
        threading.Event().wait(0.05)
        return 200

    mesh.cloud.answers = answer_slowly
    for _ in range(9):
        orders.look_up()
    mesh.cloud.answers = lambda _: 502
    orders.look_up()
    [line] = told.after_a_minute()
    assert (line["caller"], line["peer"], line["version"]) == ("orders", "products", "live")
    assert (line["MeshCalls"], line["MeshErrors"], len(line["MeshLatency"])) == (10, 1, 10)
    assert statistics.median(line["MeshLatency"]) >= 49, "Envoy's spans are a tenth of their value, so 49 may be 50"
    about = line["_aws"]["CloudWatchMetrics"][0]
    assert (about["Namespace"], about["Dimensions"]) == ("Mercato/shop", [["caller", "peer", "version"]])
    assert [one["Name"] for one in about["Metrics"]] == ["MeshCalls", "MeshErrors", "MeshLatency"]
    assert line["_aws"]["Timestamp"] == told.clock.now * 1000


def test_a_minute_without_calls_tells_nothing_and_each_call_is_told_once(orders: Caller) -> None:
    told = Told(orders)
    assert told.after_a_minute() == []
    orders.look_up()
    told.clock.now += EVERY - 1
    told.signals.tell()
    assert told.lines == [], "the minute is not over"
    told.clock.now += 1
    told.signals.tell()
    assert [line["MeshCalls"] for line in told.lines] == [1]
    assert told.after_a_minute() == []
    orders.look_up()
    told.signals.tell(is_last=True)
    assert [line["MeshCalls"] for line in told.lines] == [1], "a sandbox that ends does not wait for the minute"


def test_many_calls_are_told_in_lines_of_a_hundred_values(orders: Caller) -> None:
    told = Told(orders)
    for _ in range(250):
        orders.look_up()
    lines = told.after_a_minute()
    assert [len(line["MeshLatency"]) for line in lines] == [100, 100, 50]
    assert [line.get("MeshCalls") for line in lines] == [250, None, None]


def test_a_version_s_share_is_an_edge_of_its_own_and_its_ejection_is_told(mesh: Mesh, orders: Caller) -> None:
    told = Told(orders)
    share(mesh, orders, live=50, canary=50)
    mesh.cloud.answers = lambda one: 500 if one.version == "canary" else 200
    errors = [orders.look_up().status for _ in range(100)].count(500)
    lines = told.after_a_minute()
    assert [line["version"] for line in lines] == ["canary", "live"]
    assert sum(line["MeshCalls"] for line in lines) == 100
    assert (lines[0]["MeshErrors"], lines[1].get("MeshErrors")) == (errors, None)
    assert {"message": "the mesh ejected a version", "peer": "products", "version": "canary", "times": 1} in told.said


def test_a_pinned_call_counts_for_its_version(orders: Caller) -> None:
    told = Told(orders)
    orders.look_up(x_mesh_version="canary")
    assert [(line["version"], line["MeshCalls"]) for line in told.after_a_minute()] == [("canary", 1)]


def test_an_ingress_that_is_away_is_an_error_of_the_edge(mesh: Mesh, orders: Caller) -> None:
    told = Told(orders)
    mesh.ingress.stop()
    assert orders.look_up().status == 503
    [line] = told.after_a_minute()
    assert (line["MeshCalls"], line["MeshErrors"]) == (1, 1)


def test_what_was_not_told_is_told_later(orders: Caller) -> None:
    told = Told(orders)
    orders.look_up()
    admin = orders.settings.admin_socket
    admin.rename(admin.with_suffix(".away"))
    assert told.after_a_minute() == []
    assert told.said[-1]["message"] == "the mesh's signals were not read"
    admin.with_suffix(".away").rename(admin)
    orders.look_up()
    assert [line["MeshCalls"] for line in told.after_a_minute()] == [2]

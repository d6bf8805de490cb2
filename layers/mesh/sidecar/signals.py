"""The golden signals of each edge, from Envoy's own counters, as lines in CloudWatch's embedded metric format.

An edge is a caller, a peer, and the version that the call was meant for: where a version is ejected, its calls are
answered by the live one and count here nevertheless. Envoy adds up for its whole life, so a line has the difference
to the reading before. A call that the policy refuses reaches no peer and counts nowhere.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sidecar.refresh import PATIENCE, SocketConnection
from sidecar.settings import Settings

EVERY = 60.0  # seconds between two lines of an edge
_LOOKS, _PAUSE = 20, 0.005
_CALLS, _ERRORS = "upstream_rq_completed", "upstream_rq_5xx"
_MOST_VALUES = 100  # that CloudWatch takes for a metric in one line
_EDGE = r"cluster\.([a-z-]+)\.([a-z-]+)(\+live)?"
_WANTED = rf"^{_EDGE}\.(upstream_rq_(completed|5xx|time)|outlier_detection\.ejections_enforced_total)$"
_NAME = re.compile(rf"{_EDGE}\.(.+)")

Json = dict[str, Any]
Edge = tuple[str, str]  # peer and version
# The beginning and the width of a span of milliseconds. Envoy's spans are at most a tenth of their value.
Span = tuple[float, float]


class NotTold(Exception):
    """Envoy did not tell its counters in time."""


@dataclass
class Reading:
    """What Envoy has counted since it began."""

    counters: Counter[tuple[Edge, str]] = field(default_factory=Counter)
    times: defaultdict[Edge, Counter[Span]] = field(default_factory=lambda: defaultdict(Counter))

    @classmethod
    def of(cls, stats: list[Json]) -> Reading:
        found = cls()
        for one in stats:
            for details in one.get("histograms", {}).get("details", []):
                for edge, _ in _edges_and_rest(details["name"]):
                    for total in details["totals"]:
                        found.times[edge][total["lower_bound"], total["width"]] += total["count"]
            if "value" in one:
                for counter in _edges_and_rest(one["name"]):
                    found.counters[counter] += one["value"]
        return found

    @property
    def calls(self) -> int:
        return sum(count for (_, name), count in self.counters.items() if name == _CALLS)

    @property
    def timed(self) -> int:
        return sum(spans.total() for spans in self.times.values())


class Signals:
    """Tells each edge's calls once a minute of activity. `now` is the wall clock, as in the refresher."""

    def __init__(
        self,
        settings: Settings,
        say: Callable[..., None],
        write: Callable[[str], object],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._say = say
        self._write = write
        self._now = now
        self._told = Reading()
        self._told_at = now()

    def tell(self, *, is_last: bool = False) -> None:
        """Writes the signals if the last ones are a minute old, or if the sandbox ends."""
        now = self._now()
        if not is_last and 0 <= now - self._told_at < EVERY:
            return
        self._told_at = now
        try:
            reading = self._read_with_times()
        except NotTold as error:
            self._say("the mesh's signals were not read", reason=str(error))
            return
        for edge, metrics in _metrics(self._told, reading):
            self._write(self._line(edge, metrics, now))
        for (edge, name), count in (reading.counters - self._told.counters).items():
            if name.startswith("outlier_detection"):
                self._say("the mesh ejected a version", peer=edge[0], version=edge[1], times=count)
        self._told = reading

    def _read_with_times(self) -> Reading:
        """Envoy adds up the times when it is asked, and has the sum some milliseconds later. Calls that reached no
        peer have no time, so that this waits for nothing where there are some.
        """
        reading = self._read()
        for _ in range(_LOOKS):
            if reading.timed - self._told.timed >= reading.calls - self._told.calls:
                break
            time.sleep(_PAUSE)
            reading = self._read()
        return reading

    def _read(self) -> Reading:
        connection = SocketConnection(self._settings.admin_socket, PATIENCE / 2)
        query = f"/stats?format=json&usedonly&histogram_buckets=detailed&filter={_quoted(_WANTED)}"
        try:
            connection.request("GET", query)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise NotTold(f"Envoy answers {answer.status}")
            return Reading.of(json.loads(content)["stats"])
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            raise NotTold(type(error).__name__) from error
        finally:
            connection.close()

    def _line(self, edge: Edge, metrics: Json, now: float) -> str:
        subject = {"caller": self._settings.identity, "peer": edge[0], "version": edge[1]}
        described = {
            "Namespace": self._settings.metrics,
            "Dimensions": [list(subject)],
            "Metrics": [
                {"Name": name, "Unit": "Milliseconds" if isinstance(value, list) else "Count"}
                for name, value in metrics.items()
            ],
        }
        about = {"Timestamp": int(now * 1000), "CloudWatchMetrics": [described]}
        return json.dumps({"_aws": about, **subject, **metrics}) + "\n"


def _metrics(before: Reading, after: Reading) -> Iterator[tuple[Edge, Json]]:
    """The metrics of each edge that was used in between, in lines of as many values as CloudWatch takes."""
    counters = after.counters - before.counters
    for edge in sorted({edge for edge, _ in counters} | set(after.times)):
        metrics = {}
        for metric, name in (("MeshCalls", _CALLS), ("MeshErrors", _ERRORS)):
            if count := counters[edge, name]:
                metrics[metric] = count
        for values in itertools.batched(_values(after.times[edge] - before.times[edge]), _MOST_VALUES, strict=False):
            yield edge, metrics | {"MeshLatency": list(values)}
            metrics = {}
        if metrics:
            yield edge, metrics


def _values(spans: Counter[Span]) -> Iterator[float]:
    """One value for each call. Those of a span are spread over it evenly."""
    for (begin, width), count in sorted(spans.items()):
        for number in range(count):
            yield round(begin + width * (number + 0.5) / count, 2)


def _edges_and_rest(name: str) -> Iterator[tuple[Edge, str]]:
    """The edge of a counter, and the rest of its name. None where the peer is AWS, whose clusters have no versions."""
    found = _NAME.fullmatch(name)
    if found is not None and found[2] != "internal":
        yield (found[1], found[2]), found[4]


def _quoted(pattern: str) -> str:
    return "".join(char if char.isalnum() or char in "_-." else f"%{ord(char):02X}" for char in pattern)

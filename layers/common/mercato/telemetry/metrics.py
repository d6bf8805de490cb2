"""Metrics in CloudWatch's embedded metric format: kept in memory, one line per subject at the end of the work."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable

from mercato.config import load
from mercato.dataclass import dataclass

_counting = threading.Lock()
_Key = tuple[tuple[tuple[str, str], ...], str]  # the dimensions, and the metric's name
_counts: Counter[_Key] = Counter()
_seconds: defaultdict[_Key, list[float]] = defaultdict(list)
_MOST_VALUES = 100  # that CloudWatch takes for a metric in one line


@dataclass(frozen=True)
class Settings:
    metrics_namespace: str = "Mercato"


def namespace() -> str:
    """One per stack, so that two stacks in one account do not mix their metrics."""
    return load(Settings).metrics_namespace


def count(metric: str, times: int = 1, **dimensions: str) -> None:
    """Counts `metric`, such as CallsRejected, for a subject named by its dimensions."""
    with _counting:
        _counts[tuple(sorted(dimensions.items())), metric] += times


def observe_seconds(metric: str, seconds: float, **dimensions: str) -> None:
    """Notes one value of `metric`, such as OrderDecisionSeconds, of which CloudWatch then has percentiles."""
    with _counting:
        _seconds[tuple(sorted(dimensions.items())), metric].append(round(seconds, 3))


def flush(write: Callable[[str], object] = sys.stdout.write, now: Callable[[], float] = time.time) -> None:
    """Writes what was counted and noted since the last call, if there is anything."""
    if not _counts and not _seconds:
        return
    with _counting:
        counts, seconds = dict(_counts), dict(_seconds)
        _counts.clear()
        _seconds.clear()
    lines: dict[tuple[tuple[str, str], ...], dict[str, int | list[float]]] = {}
    for (subject, metric), times in counts.items():
        lines.setdefault(subject, {})[metric] = times
    for (subject, metric), values in seconds.items():
        lines.setdefault(subject, {})[metric] = values[-_MOST_VALUES:]
    for subject, metrics in lines.items():
        described = {
            "Namespace": namespace(),
            "Dimensions": [[name for name, _ in subject]],
            "Metrics": [
                {"Name": metric, "Unit": "Seconds" if isinstance(value, list) else "Count"}
                for metric, value in metrics.items()
            ],
        }
        about = {"Timestamp": int(now() * 1000), "CloudWatchMetrics": [described]}
        write(json.dumps({"_aws": about} | dict(subject) | metrics) + "\n")

"""Metrics in CloudWatch's embedded metric format: counted in memory, one line per subject at the end of the work."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from mercato.config import load

_counting = threading.Lock()
_counts: Counter[tuple[tuple[tuple[str, str], ...], str]] = Counter()


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


def flush(write: Callable[[str], object] = sys.stdout.write, now: Callable[[], float] = time.time) -> None:
    """Writes the counts since the last call, if there are any."""
    if not _counts:
        return
    with _counting:
        found = dict(_counts)
        _counts.clear()
    by_subject: dict[tuple[tuple[str, str], ...], dict[str, int]] = {}
    for (subject, metric), times in found.items():
        by_subject.setdefault(subject, {})[metric] = times
    for subject, metrics in by_subject.items():
        described = {
            "Namespace": namespace(),
            "Dimensions": [[name for name, _ in subject]],
            "Metrics": [{"Name": metric, "Unit": "Count"} for metric in metrics],
        }
        about = {"Timestamp": int(now() * 1000), "CloudWatchMetrics": [described]}
        write(json.dumps({"_aws": about} | dict(subject) | metrics) + "\n")

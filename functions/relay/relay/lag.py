"""The publish lag: from the moment that an event says it happened until the bus has it, as a CloudWatch metric.

A log line in the embedded metric format: CloudWatch reads the metric out of the log, and no call is made.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime

from mercato.telemetry import metrics

METRIC = "PublishLag"


def report(happened: Sequence[datetime], bus: str, now: datetime) -> None:
    """`happened` are at most a hundred moments: what one line may hold."""
    if not happened:
        return
    line = {
        "_aws": {
            "Timestamp": int(now.timestamp() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": metrics.namespace(),
                    "Dimensions": [["bus"]],
                    "Metrics": [{"Name": METRIC, "Unit": "Milliseconds"}],
                }
            ],
        },
        "bus": bus,
        # The clocks of two machines differ a little: nothing is published before it happened.
        METRIC: [max(0, round((now - moment).total_seconds() * 1000)) for moment in happened],
    }
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")

"""The publish lag as a CloudWatch metric: the time from an event's own time until the bus has it.

Written as a log line in the embedded metric format, from which CloudWatch reads the metric without a call.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime

from mercato.telemetry import metrics

METRIC = "PublishLag"


def report(happened: Sequence[datetime], bus: str, now: datetime) -> None:
    """`happened` has at most a hundred times, the limit of one line."""
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
        # The clocks of two machines may differ a little, so a negative lag counts as 0.
        METRIC: [max(0, round((now - moment).total_seconds() * 1000)) for moment in happened],
    }
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")

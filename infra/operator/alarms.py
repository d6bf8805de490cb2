"""The alarms of a shop that ring."""

from __future__ import annotations

from typing import Any


def ringing_alarms(cloudwatch: Any, stack: str, topic: str) -> list[str]:
    """Returns the names of the shop's metric and composite alarms that ring, in order.

    CloudFormation's names begin with the stack's, as those of another shop may: `mercato-dev` begins with `mercato`. So
    the alarm's actions decide, since each shop has its own `topic`. The parts of an objective and the alarms of new
    versions have none: they are for a composite alarm and for CodeDeploy.
    """
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        StateValue="ALARM", AlarmNamePrefix=f"{stack}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    return sorted(
        alarm["AlarmName"]
        for page in pages
        for alarm in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ()))
        if topic in alarm["AlarmActions"]
    )

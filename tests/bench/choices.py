"""What parameters of the template, and AWS environments, add to the bill: counted in the templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.bench.bill import MILLION, TIME, Bill
from tests.bench.prices import CHOSEN, Price
from tests.kit.template import ROOT, load_template, rendered

ARM_SAVES = Decimal("0.2")  # of Lambda's time
METRICS_OF_A_METHOD = 5  # Count, 4XXError, 5XXError, Latency, IntegrationLatency
_SERVICES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "functions").glob("*/template.yaml"))


@dataclass(frozen=True)
class Choice:
    """`counted` says of what `dollars` a month are the price; `note` says what else is to be known."""

    what: str
    counted: str
    dollars: Decimal
    note: str = ""


def choices(bill: Bill) -> list[Choice]:
    """The choices, with what arm64 saves of the orders' bill."""
    time = sum((bill.dollars(line) for line in bill.lines if line.word == TIME), Decimal(0))
    return [
        _priced("Alarms on new versions, in dev and prod (`TrafficShift`)", {"alarm metrics": _of_new_versions()}),
        _priced("Objectives and the dashboard, in dev and prod", _watched()),
        _priced("`ApiWaf`", _firewall(), note=f"and ${CHOSEN['checked requests'].dollars} a million requests"),
        _priced(
            "`ApiMetrics=method`",
            {"metrics": METRICS_OF_A_METHOD * sum(map(len, _paths().values()))},
            note="at most: a method without a request has no metric",
        ),
        Choice("`Architecture=arm64`", "a fifth of Lambda's time", -time * ARM_SAVES, f"in {MILLION:,} orders"),
    ]


def metrics_of(alarms: Iterable[Mapping[str, Any]]) -> int:
    """The number of metrics that the alarms read, each of which is billed. `alarms` are CloudWatch's descriptions."""
    return sum(sum("MetricStat" in one for one in alarm.get("Metrics", ())) or 1 for alarm in alarms)


def _priced(what: str, counts: Mapping[str, int], note: str = "") -> Choice:
    prices: dict[str, Price] = {name: CHOSEN[name] for name in counts}
    counted = ", ".join(f"{count} {name if count > 1 else name.removesuffix('s')}" for name, count in counts.items())
    dollars = sum((count * prices[name].of_one for name, count in counts.items()), Decimal(0))
    return Choice(what, counted, dollars, note)


def _of_new_versions() -> int:
    """The metrics of the alarms that exist where CodeDeploy moves the aliases, and nowhere else."""
    with_it, without = (
        sum(metrics_of(_properties(rendered(path, CodeDeploy=is_on), "AWS::CloudWatch::Alarm")) for path in _SERVICES)
        for is_on in ("true", "false")
    )
    return with_it - without


def _watched() -> dict[str, int]:
    watch = rendered("infra/watch.yaml")
    return {
        "alarm metrics": metrics_of(_properties(watch, "AWS::CloudWatch::Alarm")),
        "composite alarms": len(_properties(watch, "AWS::CloudWatch::CompositeAlarm")),
        "dashboards": len(_properties(watch, "AWS::CloudWatch::Dashboard")),
    }


def _firewall() -> dict[str, int]:
    acls = _properties(rendered("infra/api-edge.yaml", Waf="block"), "AWS::WAFv2::WebACL")
    return {"web ACLs": len(acls), "rules": sum(len(acl["Rules"]) for acl in acls)}


def _paths() -> dict[str, Any]:
    found: dict[str, Any] = load_template()["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"]
    return found


def _properties(parts: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [part["Properties"] for part in parts.values() if part.get("Type") == kind]

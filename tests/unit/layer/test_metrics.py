from __future__ import annotations

import json

import pytest

from mercato.telemetry import metrics


@pytest.mark.parametrize(("setting", "namespace"), [("Mercato/shop-dev", "Mercato/shop-dev"), ("", "Mercato")])
def test_what_is_counted_is_written_once_in_the_stacks_own_namespace(
    monkeypatch: pytest.MonkeyPatch, setting: str, namespace: str
) -> None:
    if setting:
        monkeypatch.setenv("METRICS_NAMESPACE", setting)
    lines: list[str] = []
    metrics.flush(lines.append)
    lines.clear()

    metrics.count("Parcels", 2, service="shipping")
    metrics.count("Parcels", service="shipping")
    metrics.flush(lines.append, now=lambda: 1.5)
    metrics.flush(lines.append)

    (line,) = [json.loads(one) for one in lines]
    assert line["_aws"] == {
        "Timestamp": 1500,
        "CloudWatchMetrics": [
            {
                "Namespace": namespace,
                "Dimensions": [["service"]],
                "Metrics": [{"Name": "Parcels", "Unit": "Count"}],
            }
        ],
    }
    assert (line["Parcels"], line["service"]) == (3, "shipping")


def test_values_are_written_one_by_one_and_zero_is_a_count() -> None:
    lines: list[str] = []
    metrics.flush(lines.append)
    lines.clear()

    metrics.count("OrdersDecidedLate", 0)
    for number in range(120):
        metrics.observe_seconds("OrderDecisionSeconds", number + 0.12345)
    metrics.flush(lines.append, now=lambda: 1.5)
    metrics.flush(lines.append)

    (line,) = [json.loads(one) for one in lines]
    assert line["OrdersDecidedLate"] == 0
    assert line["OrderDecisionSeconds"] == [number + 0.123 for number in range(20, 120)]
    assert line["_aws"]["CloudWatchMetrics"][0]["Metrics"] == [
        {"Name": "OrdersDecidedLate", "Unit": "Count"},
        {"Name": "OrderDecisionSeconds", "Unit": "Seconds"},
    ]

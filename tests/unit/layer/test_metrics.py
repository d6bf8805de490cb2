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

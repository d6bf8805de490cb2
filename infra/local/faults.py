"""The fault proxy: microburst between the functions and the local cloud, which injects faults into AWS calls.

Of every ten faults, five are throttles with the service's own error code, three are connections that are reset before
the call is executed, and two are responses that are lost after the call was executed. Lost responses reveal operations
that are not idempotent. Slow calls are additional.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from infra.local.child import Child
from infra.local.cloud import Cloud
from infra.local.processes import free_port
from infra.paths import HOME

_MODULE = "infra.local.fault_proxy"
# Service → the error code and status of its throttling.
_THROTTLES = {
    "dynamodb": ("ThrottlingException", 400),
    # microburst would add a namespace to SQS's own error code that AWS does not send and boto does not recognize.
    "sqs": ("ServiceUnavailable", 503),
    "events": ("ThrottlingException", 400),
    "stepfunctions": ("ThrottlingException", 400),
    "ssm": ("ThrottlingException", 400),
    "secretsmanager": ("ThrottlingException", 400),
    "servicediscovery": ("RequestLimitExceeded", 400),
    "ses": ("TooManyRequestsException", 429),
    "lambda": ("TooManyRequestsException", 429),  # the calls to peers
}
_SHARES = {"throttle": 0.5, "reset": 0.3, "lost": 0.2}
_SLOW = {"min": 200, "max": 1500}  # ms


@dataclass(frozen=True)
class Counts:
    """The proxy's counters: all calls, the faults by kind, and both by service as (calls, faults)."""

    calls: int
    faults: Mapping[str, int]
    by_service: Mapping[str, tuple[int, int]]

    @property
    def injected(self) -> int:
        return sum(self.faults.values())


class FaultProxy:
    """One microburst process. It forwards all calls without faults until `inject`."""

    def __init__(self, cloud: Cloud, name: str = "faults") -> None:
        self._cloud = cloud
        files = HOME / f"{name}-{cloud.port}"
        self.child = Child("the fault proxy", _MODULE, files.with_suffix(".pid"), files.with_suffix(".log"))
        self.endpoint = ""

    def start(self) -> None:
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self.child.start(str(port), self._cloud.endpoint, env=self._cloud.environment, answers=self._answers)

    def stop(self) -> None:
        self.child.stop()

    def inject(self, rate: float, slow: float = 0.0) -> None:
        """Injects a fault into the share `rate` of all calls and delays the share `slow` of the others. 0 stops it."""
        self._ask("POST", "rules", rules(rate, slow))

    def cut(self) -> None:
        """Resets every connection until `inject`, as if the service behind the proxy were down."""
        self._ask("POST", "rules", [{"service": "*", "reset": True}])

    def counts(self) -> Counts:
        found = self._ask("GET", "stats")
        kinds: Counter[str] = Counter()
        for rule in found["by_rule"]:
            kinds[_kind(rule["describe"])] += rule["fired"]
        services = {one["service"]: (one["requests"], one["faulted"]) for one in found["by_service"]}
        return Counts(found["requests"]["total"], kinds, services)

    def _answers(self) -> bool:
        return bool(self._ask("GET", "health"))

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{self.endpoint}/_microburst/{path}", json=body, timeout=5)
        answer.raise_for_status()
        return answer.json()


def rules(rate: float, slow: float = 0.0) -> list[dict[str, Any]]:
    """Returns microburst's rules. Each sees only calls that passed the earlier ones, so its probability is higher."""
    for share in (rate, slow):
        if not 0 <= share < 1:
            raise ValueError(f"a rate of faults is from 0 to below 1, not {share}")
    waiting = [{"service": "*", "probability": slow, "latency": _SLOW}] if slow else []
    return [*_failing(rate), *waiting] if rate else waiting


def _failing(rate: float) -> list[dict[str, Any]]:
    lost, reset, throttle = (rate * _SHARES[kind] for kind in ("lost", "reset", "throttle"))
    return [
        {"service": "*", "probability": lost, "response": {"abort_bytes": 0}},
        {"service": "*", "probability": reset / (1 - lost), "reset": True},
        *(
            {
                "service": service,
                "probability": throttle / (1 - lost - reset),
                "error": {"code": code, "status": status},
            }
            for service, (code, status) in _THROTTLES.items()
        ),
    ]


def _kind(action: str) -> str:
    if action.startswith("error:"):
        return "throttle"
    if action.startswith("latency:"):
        return "slow"
    return "reset" if action == "reset" else "lost"

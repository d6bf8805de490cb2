"""Counts the failures of this version of the function that Lambda does not see, since the function handles them.

To Lambda, an answer of 500 and a message that is moved to the dead letters are successes. The alarms by which
CodeDeploy takes a new version back add this metric to Lambda's own errors (docs/decisions/0190). A version that does
not fail writes nothing, so the metric costs nothing.
"""

from __future__ import annotations

from mercato.config import load
from mercato.dataclass import dataclass
from mercato.telemetry import metrics


@dataclass(frozen=True)
class Settings:
    """Lambda sets both for every function."""

    aws_lambda_function_name: str = ""
    aws_lambda_function_version: str = ""


def count() -> None:
    """Counts one failure by the dimensions `function` and `version`, and writes it."""
    here = load(Settings)
    metrics.count("Failures", function=here.aws_lambda_function_name, version=here.aws_lambda_function_version)
    metrics.flush()

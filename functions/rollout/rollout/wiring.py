"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from typing import Any

from mercato import aws

# With one retry of a call that is throttled, the three clients end within the function's 120 seconds.
_ANSWER_WITHIN = (2.0, 25.0)  # seconds: the cold start of a version, and its own time-out of 20


class Ports:
    @functools.cached_property
    def codedeploy(self) -> Any:
        return aws.client("codedeploy")

    @functools.cached_property
    def functions(self) -> Any:
        return aws.client("lambda", attempts=2, patience=_ANSWER_WITHIN)


@functools.cache
def ports() -> Ports:
    return Ports()

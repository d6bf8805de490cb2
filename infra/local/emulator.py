"""The process of the local cloud, `python -m infra.local.emulator`: MiniStack with three things of ours.

It notes the permissions that are used. A throttled call of a function has the name that Step Functions gives it on AWS,
by which the saga is patient with it. And its functions' Runtime API answers at once: that server writes headers and
body apart, and with Nagle's algorithm the body of each event waits 40 ms for a delayed acknowledgement of the headers.
"""

from __future__ import annotations

import os
import socketserver
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.services import lambda_svc

from infra.local.iam.recording import noting


def named(throttled: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Without it the state machine hears of `Lambda.Unknown`."""

    def answer(*about: Any, **more: Any) -> dict[str, Any]:
        found = throttled(*about, **more)
        return found | {"body": found["body"] | {"errorType": "Lambda.TooManyRequestsException"}}

    return answer


if __name__ == "__main__":
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    iam_evaluator.evaluate = noting(iam_evaluator.evaluate, Path(os.environ["MERCATO_IAM_USED"]))
    lambda_svc._throttle_response = named(lambda_svc._throttle_response)
    app.main()

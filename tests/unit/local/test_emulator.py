"""What the local cloud says otherwise than MiniStack."""

from __future__ import annotations

from ministack.services import lambda_svc

from infra.local.emulator import named


def test_a_throttled_call_has_the_name_that_step_functions_gives_it_on_aws() -> None:
    throttled = lambda_svc._throttle_response("ConcurrentInvocationLimitExceeded", "Rate Exceeded")

    answer = named(lambda_svc._throttle_response)("ConcurrentInvocationLimitExceeded", "Rate Exceeded")

    assert answer["body"] == throttled["body"] | {"errorType": "Lambda.TooManyRequestsException"}
    assert {key: answer[key] for key in ("throttle", "error")} == {"throttle": True, "error": True}

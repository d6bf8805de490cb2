from __future__ import annotations

import logging

import pytest

from mercato.errors import TransientError
from mercato.peers import span as outgoing
from mercato.telemetry import correlation

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def calls(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.message == "peer called"]


def test_each_attempt_is_a_span_of_its_own_and_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    work = correlation.accept("request-0001", TRACEPARENT, tracestate="vendor=1")
    with caplog.at_level(logging.INFO), correlation.bound(work):
        for _ in range(2):
            with outgoing.call("products", "GET", "/api/products") as call:
                call.status = 200
                sent = call.headers

    assert (sent["X-Request-Id"], sent["Tracestate"]) == ("request-0001", "vendor=1")
    version, trace, span, flags = sent["Traceparent"].split("-")
    assert (version, trace, flags) == ("00", work.trace_id, "01")
    first, second = calls(caplog)
    assert vars(second)["call_id"] == span
    assert len({vars(first)["call_id"], span, work.span_id, work.parent_id}) == 4
    assert (vars(second)["peer"], vars(second)["status"]) == ("products", 200)


def test_a_call_that_fails_is_told_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        with outgoing.call("products", "GET", "/x"):
            raise TransientError("the peer hangs")

    with caplog.at_level(logging.INFO), pytest.raises(TransientError):
        fail()

    (record,) = calls(caplog)
    assert (vars(record)["status"], vars(record)["reason"]) == (None, "the peer hangs")


def test_without_a_tracestate_none_is_sent() -> None:
    with correlation.bound(correlation.accept("request-0001")), outgoing.call("products", "GET", "/x") as call:
        assert call.headers.keys() == {"X-Request-Id", "Traceparent"}

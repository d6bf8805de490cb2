import uuid

import pytest

from mercato.telemetry import correlation
from mercato.telemetry.correlation import accept, bound, current, next_hop

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize("request_id", ["request-0001", "A1.b_c-d8", "x" * 64, "01234567"])
def test_a_valid_id_is_taken_over(request_id: str) -> None:
    assert accept(request_id).correlation_id == request_id


@pytest.mark.parametrize(
    "request_id",
    [None, "", "short12", "x" * 65, "-starts-badly", "with space", "über-lang", "a" * 8 + "\n", "a" * 8 + "{"],
)
def test_what_is_missing_or_invalid_is_made_anew(request_id: str | None) -> None:
    made = accept(request_id).correlation_id
    assert made != request_id
    assert uuid.UUID(made).version == 4


def test_each_hop_keeps_the_trace_and_gets_its_own_parent() -> None:
    version, trace, parent, flags = next_hop(GOOD).split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert parent != PARENT
    assert len(parent) == 16


def test_a_later_version_is_continued_as_version_00() -> None:
    assert next_hop(f"01-{TRACE}-{PARENT}-00-more").startswith(f"00-{TRACE}-")


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        GOOD + "\n",
    ],
)
def test_an_invalid_traceparent_starts_a_new_trace(traceparent: str) -> None:
    made = next_hop(traceparent)
    assert TRACE not in made
    assert next_hop(made).split("-")[1] == made.split("-")[1]


def test_the_correlation_is_bound_to_the_work_and_cleared_after_it() -> None:
    outer, inner = accept("request-0001"), accept("request-0002", causation_id="event-1")
    with bound(outer):
        with bound(inner):
            assert current() is inner
        assert current() is outer
    assert current() != current(), "outside any work each is a new one"


def test_it_is_cleared_even_when_the_work_fails() -> None:
    def fail() -> None:
        with bound(accept("request-0001")):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert current().correlation_id != "request-0001"


def test_what_an_event_causes_names_it() -> None:
    with bound(accept("request-0001")) as work:
        caused = correlation.caused_by("event-1")
    assert (caused.correlation_id, caused.traceparent) == ("request-0001", work.traceparent)
    assert caused.causation_id == "event-1"


def test_a_hop_knows_its_own_span_and_the_callers() -> None:
    work = accept("request-0001", GOOD)
    assert (work.trace_id, work.parent_id) == (TRACE, PARENT)
    assert work.traceparent == f"00-{TRACE}-{work.span_id}-01"
    assert work.span_id != PARENT


def test_where_nothing_valid_came_in_there_is_no_parent() -> None:
    work = accept("request-0001", f"00-{TRACE}-{'0' * 16}-01", tracestate="vendor=1")
    assert work.parent_id is None
    assert work.tracestate == "", "the state of a trace that ends here"
    assert work.trace_id != TRACE


def test_a_chain_of_hops_can_be_walked_back() -> None:
    first = accept("request-0001")
    second = accept("request-0001", first.traceparent)
    third = accept("request-0001", second.traceparent, "event-1")
    assert (first.parent_id, second.parent_id, third.parent_id) == (None, first.span_id, second.span_id)
    assert first.trace_id == second.trace_id == third.trace_id
    assert len({first.span_id, second.span_id, third.span_id}) == 3


def test_a_log_line_says_which_span_of_which_trace_it_belongs_to() -> None:
    work = accept("request-0001", GOOD, "event-1")
    fields = work.as_dict()
    assert isinstance(fields.pop("elapsed_ms"), int)
    assert fields == {
        "correlation_id": "request-0001",
        "trace_id": TRACE,
        "span_id": work.span_id,
        "parent_id": PARENT,
        "causation_id": "event-1",
    }


def test_a_line_without_a_parent_or_a_cause_names_none() -> None:
    assert accept("request-0001").as_dict().keys() == {"correlation_id", "trace_id", "span_id", "elapsed_ms"}

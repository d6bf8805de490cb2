import uuid

import pytest

from mercato import correlation
from mercato.correlation import accept, bound, current, next_hop

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
    with bound(accept("request-0001")):
        caused = correlation.caused_by("event-1")
    assert caused.as_dict() == {
        "correlation_id": "request-0001",
        "traceparent": caused.traceparent,
        "causation_id": "event-1",
    }

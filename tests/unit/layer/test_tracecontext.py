"""The cases of W3C Trace Context (https://www.w3.org/TR/trace-context/ and its test suite)."""

import pytest

from mercato.telemetry import correlation
from mercato.telemetry.trace_context import Parent, read_traceparent, read_tracestate, write_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
LONG = ",".join(f"{key}={'v' * 100}" for key in "abcd")


@pytest.mark.parametrize(
    ("text", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f" \t00-{TRACE}-{SPAN}-01\t ", True),
        (f"01-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
        (f"cc-{TRACE}-{SPAN}-01-", True),
    ],
)
def test_a_valid_traceparent_is_read(text: str, sampled: bool) -> None:
    found = read_traceparent(text)
    assert found is not None
    assert (found.trace_id, found.span_id, found.sampled) == (TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        f"{TRACE}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f".0-{TRACE}-{SPAN}-01",
        f"0A-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-extra",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01.",
        f"cc-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE[:-1]}.-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}0-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN[:-1]}.-01",
        f"00-{TRACE}-{SPAN[:-1]}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-001",
        f"00-{TRACE}-{SPAN}-.1",
        f"00-{TRACE}-{SPAN}-0A",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",  # two headers, joined on the way
    ],
)
def test_what_is_not_valid_is_as_good_as_not_sent(text: str | None) -> None:
    assert read_traceparent(text) is None


def test_the_random_flag_of_level_2_is_passed_on() -> None:
    parent = read_traceparent(f"00-{TRACE}-{SPAN}-02")
    assert parent == Parent(TRACE, SPAN, sampled=False, random=True)
    assert write_traceparent(TRACE, SPAN, sampled=False, random=True) == f"00-{TRACE}-{SPAN}-02"
    assert correlation.next_hop(f"00-{TRACE}-{SPAN}-03").endswith("-03")


def test_only_the_flags_that_version_00_knows_go_out() -> None:
    assert write_traceparent(TRACE, SPAN, sampled=True) == f"00-{TRACE}-{SPAN}-01"
    assert write_traceparent(TRACE, SPAN, sampled=False) == f"00-{TRACE}-{SPAN}-00"


@pytest.mark.parametrize(
    ("text", "passed_on"),
    [
        ("foo=1", "foo=1"),
        ("foo=1,bar=2", "foo=1,bar=2"),
        (" foo=1 \t,\t bar=2", "foo=1,bar=2"),
        ("foo=1,,bar=2,", "foo=1,bar=2"),
        ("fw529a3039@dt=FfUAAAAA; a", "fw529a3039@dt=FfUAAAAA; a"),
        ("0foo/*-_=a~!", "0foo/*-_=a~!"),
        ("foo@=1", "foo@=1"),
        ("foo@@bar=1", "foo@@bar=1"),
        (f"t@{'v' * 250}=1", f"t@{'v' * 250}=1"),
        ("foo=1,foo=1", "foo=1"),
        ("foo=new,bar=2,foo=old", "foo=new,bar=2"),
        (",".join(f"k{n}={'v' * 200}" for n in range(3)), ""),
        (f"long={'v' * 200},{LONG},e=1", f"{LONG},e=1"),
        (f"{LONG},e={'v' * 100}", LONG),
        (",".join(f"k{n}={'v' * 100}" for n in range(6)), ",".join(f"k{n}={'v' * 100}" for n in range(4))),
        (",".join(f"k{n}=1" for n in range(32)), ",".join(f"k{n}=1" for n in range(32))),
    ],
)
def test_the_state_is_passed_on(text: str, passed_on: str) -> None:
    assert read_tracestate(text) == passed_on


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "foo",
        "foo=",
        "=1",
        "foo =1",
        "FOO=1",
        "@foo=1",
        "foo=bar=baz",
        "foo=é",
        "foo=1;bar=2\n",
        ",".join(f"k{n}=1" for n in range(33)),
        "foo=" + "v" * 257,
    ],
)
def test_a_state_that_is_not_valid_is_dropped_whole(text: str | None) -> None:
    assert read_tracestate(text) == ""

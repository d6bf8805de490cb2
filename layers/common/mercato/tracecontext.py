"""W3C Trace Context: reading and writing `traceparent` and `tracestate`.

https://www.w3.org/TR/trace-context/: what cannot be read is as good as not sent, and a new trace begins.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

# Version ff is forbidden, ids of only zeros are invalid. A later version may have more behind a dash; 00 may not.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<parent>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_SAMPLED = 0x01  # the only flag that version 00 knows; the others must go out as zero

_KEY = r"(?:[a-z0-9][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rf"{_KEY}={_VALUE}")
_MAX_MEMBERS = 32
_MAX_TRACESTATE = 512  # as many characters as must be passed on at the least


@dataclass(frozen=True)
class Parent:
    """Who called: the trace, and the caller's own span in it."""

    trace_id: str
    span_id: str
    sampled: bool


def read_traceparent(text: str | None) -> Parent | None:
    """None where nothing valid was sent."""
    match = _TRACEPARENT.fullmatch((text or "").strip(" \t"))
    if not match or (match["version"] == "00" and match["more"]):
        return None
    return Parent(match["trace"], match["parent"], bool(int(match["flags"], 16) & _SAMPLED))


def write_traceparent(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """Version 00, whatever version came in: it is the one we know."""
    return f"00-{trace_id}-{span_id}-{_SAMPLED if sampled else 0:02x}"


def read_tracestate(text: str | None) -> str:
    """As it is to be passed on; empty where it is invalid, or longer than we are bound to carry."""
    members = [member.strip(" \t") for member in (text or "").split(",")]
    members = [member for member in members if member]
    keys = [member.partition("=")[0] for member in members]
    valid = all(_MEMBER.fullmatch(member) for member in members)
    state = ",".join(members)
    fits = len(members) <= _MAX_MEMBERS and len(state) <= _MAX_TRACESTATE
    return state if valid and fits and len(set(keys)) == len(keys) else ""


def new_trace_id() -> str:
    return secrets.token_hex(16)


def new_span_id() -> str:
    return secrets.token_hex(8)

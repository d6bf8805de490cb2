"""W3C Trace Context: reading and writing `traceparent` and `tracestate`.

https://www.w3.org/TR/trace-context-2/: an unreadable header counts as missing, and a new trace begins.
"""

from __future__ import annotations

import re
import secrets

from mercato.dataclass import dataclass

# Version ff is forbidden, ids of only zeros are invalid. A later version may have more behind a dash; 00 may not.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<parent>[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_SAMPLED, _RANDOM = 0x01, 0x02  # the flags of level 2; the others must go out as zero

_KEY = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rf"{_KEY}={_VALUE}")
_MAX_MEMBERS = 32
_MAX_TRACESTATE = 512  # characters that must be passed on at least
_LONG_MEMBER = 128  # longer members are dropped first if the state is too long


@dataclass(frozen=True)
class Parent:
    """The caller: the trace, and the caller's span in it."""

    trace_id: str
    span_id: str
    sampled: bool
    random: bool = False


def read_traceparent(text: str | None) -> Parent | None:
    """None without a valid header."""
    match = _TRACEPARENT.fullmatch((text or "").strip(" \t"))
    if not match or (match["version"] == "00" and match["more"]):
        return None
    flags = int(match["flags"], 16)
    return Parent(match["trace"], match["parent"], bool(flags & _SAMPLED), bool(flags & _RANDOM))


def write_traceparent(trace_id: str, span_id: str, *, sampled: bool, random: bool = False) -> str:
    """Always version 00, whatever version was received. `random` is passed on unchanged."""
    return f"00-{trace_id}-{span_id}-{(_SAMPLED if sampled else 0) | (_RANDOM if random else 0):02x}"


def read_tracestate(text: str | None) -> str:
    """The state to pass on; empty if it is invalid. `text` is all lines of the header, joined by commas.

    Of members with the same key the first, which is the newest, is kept. If the state is too long, long members are
    dropped first, and then those at the end.
    """
    members = [member.strip(" \t") for member in (text or "").split(",")]
    members = [member for member in members if member]
    if len(members) > _MAX_MEMBERS or not all(_MEMBER.fullmatch(member) for member in members):
        return ""
    newest: dict[str, str] = {}
    for member in members:
        newest.setdefault(member.partition("=")[0], member)
    members = list(newest.values())
    if len(",".join(members)) > _MAX_TRACESTATE:
        members = [member for member in members if len(member) <= _LONG_MEMBER]
    while len(",".join(members)) > _MAX_TRACESTATE:
        members.pop()
    return ",".join(members)


def new_trace_id() -> str:
    return secrets.token_hex(16)


def new_span_id() -> str:
    return secrets.token_hex(8)

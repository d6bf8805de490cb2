"""The promises of docs/security.md about every response, as one table of checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

# Responses that are the same for every client, so that a cache may store them.
CACHEABLE = {"GET /api/openapi.json", "GET /api/docs", "GET /api/.well-known/jwks.json"}


@dataclass(frozen=True)
class Answer:
    """A response. `by_gateway`: API Gateway or the local reverse proxy created it. `route` is empty if none matched."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    route: str = ""
    method: str = "GET"
    by_gateway: bool = False

    def __getitem__(self, header: str) -> str:
        """Returns the header's value, or an empty string if the response lacks the header."""
        return {name.lower(): value for name, value in self.headers.items()}.get(header.lower(), "")

    @property
    def is_cached(self) -> bool:
        return self["Cache-Control"].startswith("public")


def _is_framed_by_nothing(answer: Answer) -> bool:
    policy = answer["Content-Security-Policy"]
    if answer.by_gateway:  # its template cannot hold the quotes of 'none'
        return policy == "sandbox" and answer["X-Frame-Options"] == "DENY"
    return "default-src 'none'" in policy and "frame-ancestors 'none'" in policy


def _is_kept_by_none(answer: Answer) -> bool:
    if answer.is_cached:
        return answer.route in CACHEABLE and answer.status in (200, 304) and bool(answer["ETag"])
    return answer["Cache-Control"] == "no-store"


def _has_its_kind_of_body(answer: Answer) -> bool:
    if answer.status in (204, 304):
        return not answer.body and not answer["Content-Type"]
    if answer.method == "HEAD":
        return not answer.body
    if answer.status < 400:
        return bool(answer["Content-Type"])
    problem = json.loads(answer.body)
    return (
        answer["Content-Type"] == "application/problem+json"
        and problem["type"].startswith("urn:mercato:problem:")
        and problem["status"] == answer.status
        and problem["request_id"] == answer["X-Request-Id"]
    )


def _says_when_to_come_again(answer: Answer) -> bool:
    if answer.status == 429 and b"problem:rate-limited" in answer.body:
        return all(answer[name] for name in ("Retry-After", "RateLimit", "RateLimit-Policy"))
    return answer.status not in (429, 503) or bool(answer["Retry-After"])


PROMISES: dict[str, Callable[[Answer], bool]] = {
    "it loads nothing, and no page frames it": _is_framed_by_nothing,
    "a cache keeps it only where it is the same for every client": _is_kept_by_none,
    "no browser guesses its type": lambda it: it["X-Content-Type-Options"] == "nosniff",
    "browsers come by TLS": lambda it: it["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains",
    "its address is told to no other site": lambda it: it["Referrer-Policy"] == "no-referrer",
    "it has a request id": lambda it: bool(it["X-Request-Id"]),
    "it sets no cookie, and no credentials cross origins": lambda it: (
        not it["Set-Cookie"] and not it["Access-Control-Allow-Credentials"]
    ),
    "a cached answer has nothing of one client": lambda it: (
        not (it.is_cached and (it["RateLimit"] or it["RateLimit-Policy"]))
    ),
    "its body is of the type that it names, and an error is a problem document": _has_its_kind_of_body,
    "a refusal for now says when to come again": _says_when_to_come_again,
    "405 names the methods": lambda it: it.status != 405 or bool(it["Allow"]),
    "401 names the scheme": lambda it: it.status != 401 or it["WWW-Authenticate"] == "Bearer",
}


def broken(answer: Answer) -> Iterator[str]:
    """Yields the promises that the response breaks."""
    for promise, is_kept in PROMISES.items():
        if not is_kept(answer):
            yield f"{answer.method} {answer.route or '(no route)'} {answer.status}: not true that {promise}"

"""Brings the parcels of the stand-in: a scan at each step, which every webhook is told of, as EasyPost does."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

import httpx

from infra.local.easypost.api import FakeEasyPost, Wish, signature, wish_of

log = logging.getLogger(__name__)

_ARRIVES = ("pre_transit", "in_transit", "out_for_delivery", "delivered")
_WAYS = {
    Wish.LOST: ("pre_transit", "in_transit", "failure"),
    Wish.RETURNED: ("pre_transit", "in_transit", "return_to_sender"),
    Wish.STAYS: ("pre_transit",),
}
_TRIES = 20
_ANSWER_WITHIN = 20.0  # seconds

Post = Callable[[str, bytes, str], bool]


@dataclass
class _Report:
    url: str
    body: bytes
    signature: str
    tries: int = 0


@dataclass
class Courier:
    """`post` sends a body and its signature to a URL, and tells whether a 2xx came back."""

    easypost: FakeEasyPost
    post: Post
    _stops: dict[str, int] = field(default_factory=dict)  # how many of its stops each parcel has passed
    _unsent: list[_Report] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def run(self, step_seconds: float, stopped: Event) -> None:
        while not stopped.wait(step_seconds):
            self.step()

    def step(self) -> None:
        """Moves each parcel one stop further, and sends the reports that are due. A report that is not answered with
        2xx is sent again at the next steps, before the newer ones.
        """
        for parcel_id in self.easypost.labels():
            self._move(parcel_id)
        due, self._unsent = self._unsent, []
        for report in due:
            report.tries += 1
            if self.post(report.url, report.body, report.signature):
                continue
            if report.tries < _TRIES:
                self._unsent.append(report)
            else:
                log.warning("no webhook takes the report, so it is dropped: %s", report.body.decode())

    def _move(self, parcel_id: str) -> None:
        wish = wish_of(self.easypost.shipments[parcel_id])
        way, passed = _WAYS.get(wish, _ARRIVES) if wish else _ARRIVES, self._stops.get(parcel_id, 0)
        if passed == len(way) or not self.easypost.scan(parcel_id, way[passed]):
            return
        self._stops[parcel_id] = passed + 1
        reports = [self.easypost.event(parcel_id, number=next(self._numbers))]
        if wish is Wish.TOLD_TWICE:
            stale = self.easypost.event(parcel_id, way[max(passed - 1, 0)], number=next(self._numbers))
            reports = [reports[0], stale, reports[0]]
        for hook in self.easypost.webhooks:
            secret = hook["webhook_secret"]
            self._unsent += [_Report(hook["url"], body, signature(body, secret)) for body in reports]


def post(url: str, body: bytes, signed: str) -> bool:
    headers = {"Content-Type": "application/json", "X-Hmac-Signature": signed}
    try:
        answer = httpx.post(url, content=body, headers=headers, timeout=_ANSWER_WITHIN)
    except httpx.HTTPError as error:
        log.warning("%s gives no answer: %s", url, error)
        return False
    if not answer.is_success:
        log.warning("%s answers %s: %s", url, answer.status_code, answer.text[:500])
    return answer.is_success

"""The reads of one page that run at once: their order, their context, their errors, and one renewal of the session."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from mercato.breaker import shared
from mercato.invocation import deadline
from mercato.peers import peer
from mercato.peers.transport import Answer
from mercato.telemetry import correlation
from pages import NoSuchPage, Refused, Reply, Unavailable, visitor
from pages.visitor import LogInFirst, Part, parts, together
from tests.unit.pages.conftest import Ask, asker
from tests.unit.pages.shop_api import ShopApi, answer_of_the_contract

PATIENCE = 10.0  # seconds, for what does not happen in a test that fails
OVERVIEW = 10  # reads of the console's first page


def raising(error: Exception) -> Callable[[], Any]:
    def read() -> Any:
        raise error

    return read


def test_reads_run_at_once_and_their_results_have_the_order_of_the_reads() -> None:
    later = threading.Event()

    def first() -> str:
        assert later.wait(PATIENCE)
        return "first"

    def second() -> str:
        later.set()
        return "second"

    assert together(first, second) == ["first", "second"]


def test_more_reads_than_threads_keep_their_order() -> None:
    assert together(*(lambda number=number: number for number in range(30))) == list(range(30))


def test_each_read_has_the_ids_and_the_deadline_of_its_request() -> None:
    def read() -> tuple[str, str, float]:
        work = correlation.current()
        return work.correlation_id, work.trace_id, deadline.left()

    with correlation.bound(correlation.accept("request-of-this-page")) as work, deadline.at_most(7):
        found = together(*[read] * OVERVIEW)

    assert {(request, trace) for request, trace, _ in found} == {("request-of-this-page", work.trace_id)}
    assert all(0 < left <= 7 for _, _, left in found)


def test_what_a_read_binds_is_seen_by_no_other() -> None:
    meet = threading.Barrier(2)

    def read(name: str) -> str:
        with correlation.acting(f"customer:{name}") as work:
            meet.wait(PATIENCE)
            return work.actor

    assert together(lambda: read("a"), lambda: read("b")) == ["customer:a", "customer:b"]
    assert correlation.current().actor == ""


def test_a_part_that_is_away_or_refused_is_missing_and_the_rest_comes() -> None:
    refused = Refused(Reply(403, {"detail": "Not for you."}, {}))
    found = parts(raising(Unavailable("shipping", None)), lambda: 1, raising(refused), lambda: 2)
    away = "The shop's part for shipping does not answer just now."
    assert found == [Part(missing=away), Part(1), Part(missing="Not for you."), Part(2)]


def test_the_first_error_by_the_order_of_the_reads_ends_the_page_and_no_thread_is_left() -> None:
    before, later = set(threading.enumerate()), threading.Event()

    def first() -> None:
        assert later.wait(PATIENCE)
        raise LogInFirst("Please log in.")

    def second() -> None:
        try:
            raise NoSuchPage("There is no such page.")
        finally:
            later.set()

    with pytest.raises(LogInFirst):
        together(first, second)

    assert set(threading.enumerate()) <= before


def test_a_read_that_goes_on_after_the_error_of_another_has_ended_before_the_page_is_told() -> None:
    is_under_way, ended = threading.Event(), []

    def fail() -> None:
        assert is_under_way.wait(PATIENCE)
        raise NoSuchPage("There is no such page.")

    def go_on() -> None:
        is_under_way.set()
        threading.Event().wait(0.1)  # longer than the error takes
        ended.append(True)

    with pytest.raises(NoSuchPage):
        together(fail, go_on)

    assert ended == [True]


@dataclass
class Session:
    """An API that takes the newest access token. A refresh token that is used twice ends the session.

    The first four calls with an old token are refused at once: each of them waits for the others.
    """

    newest: str = "first"
    renewals: list[str] = field(default_factory=list)
    is_over: bool = False
    refusal: int = 0
    _together: threading.Barrier = field(default_factory=lambda: threading.Barrier(4))
    _again: threading.Event = field(default_factory=threading.Event)

    def peer(self, name: str) -> Session:
        return self

    def send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        bare = path.partition("?")[0]
        if bare == "/api/users/token/refresh":
            return self._renew(body["refresh_token"])
        if self.is_over or headers.get("Authorization") != f"Bearer {self.newest}":
            if not self.renewals:
                self._together.wait(PATIENCE)
            return _said(401, {"type": "urn:mercato:problem:unauthenticated", "detail": "No."})
        return _said(*answer_of_the_contract(method, bare))

    def _renew(self, token: str) -> Answer:
        self.renewals.append(token)
        if len(self.renewals) > 1:
            self._again.set()
        self._again.wait(0.2)  # for a second renewal, which must not come
        if self.refusal:
            return _said(self.refusal, {"type": "urn:mercato:problem:refused", "detail": "Too often, or over."})
        if token != "refresh-1":
            self.is_over = True
            return _said(401, {"type": "urn:mercato:problem:token-reused", "detail": "No."})
        self.newest = "second"
        return _said(200, {"access_token": "second", "refresh_token": "refresh-2"})


def _said(status: int, body: Any) -> Answer:
    return Answer(status, {}, json.dumps(body).encode())


@pytest.fixture
def session(api: ShopApi, monkeypatch: pytest.MonkeyPatch) -> Session:
    found = Session()
    monkeypatch.setattr(visitor, "peer", found.peer)
    return found


@pytest.fixture
def desk_of(session: Session) -> Ask:
    import console.site

    return asker(console.site.handler, "__Host-console-a")


REFRESH = "__Host-console-r=refresh-1"


@pytest.mark.parametrize("held", [["__Host-console-a=old", REFRESH], [REFRESH]])
def test_an_expired_token_is_renewed_once_for_all_reads_of_a_page(
    desk_of: Ask, session: Session, held: list[str]
) -> None:
    page = desk_of("GET", "/console", cookies=held)

    assert session.renewals == ["refresh-1"]
    assert (page.status, session.is_over) == (200, False)
    assert "not available" not in page.text
    assert [one.partition(";")[0] for one in page.cookies] == ["__Host-console-a=second", "__Host-console-r=refresh-2"]


def test_a_session_that_is_over_is_told_once_and_leads_to_the_log_in(desk_of: Ask, session: Session) -> None:
    session.refusal = 401

    page = desk_of("GET", "/console", cookies=["__Host-console-a=old", REFRESH])

    assert session.renewals == ["refresh-1"]
    assert (page.status, page.location.partition("?")[0]) == (303, "/console/login")
    assert all("Max-Age=0" in one for one in page.cookies)


def test_a_renewal_that_comes_too_often_leaves_the_session(desk_of: Ask, session: Session) -> None:
    session.refusal = 429

    page = desk_of("GET", "/console", cookies=["__Host-console-a=old", REFRESH])

    assert (page.status, page.cookies) == (200, [])
    assert "Too often, or over." in page.text


def test_threads_that_call_a_peer_first_share_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its circuit must not get two breakers."""
    monkeypatch.setenv("NAMESPACE", "shop")
    monkeypatch.setenv("CIRCUITS_TABLE", "circuits")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for number in range(40):
                meet = threading.Barrier(8)

                def find(number: int = number, meet: threading.Barrier = meet) -> Any:
                    meet.wait(PATIENCE)
                    return peer.peer(f"service-{number}")

                assert len({id(one.result()) for one in [pool.submit(find) for _ in range(8)]}) == 1
    finally:
        sys.setswitchinterval(interval)
        peer.reset()
        shared.reset()

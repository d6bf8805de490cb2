from __future__ import annotations

from typing import Any

import pytest

from carts.store import Carts
from mercato.store.dynamo import Table, Write


def merge(service: Any, guest: str, user: str = "ada") -> tuple[int, Any]:
    status, answer = service.call("POST", "/merge", {"guest_cart_id": guest}, user=user)
    return status, answer


def test_the_guests_lines_join_the_customers(service: Any) -> None:
    service.put("lantern", 2)
    guest = service.open_guest_cart(lantern=3, mug=4)

    status, cart = merge(service, guest)

    assert status == 200
    assert service.call("GET", "/mine") == (200, cart)
    assert service.lines() == {"lantern": (5, 1250), "mug": (4, 475)}


def test_merging_twice_counts_once(service: Any) -> None:
    guest = service.open_guest_cart(lantern=3)

    first, second = merge(service, guest), merge(service, guest)

    assert first == second
    assert service.lines() == {"lantern": (3, 1250)}


def test_merging_at_the_same_time_counts_once(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service.put("lantern", 1)
    guest = service.open_guest_cart(lantern=3, mug=2)
    move = Carts.move_lines
    calls: list[bool] = []

    def interrupted(carts: Carts, *arguments: Any) -> bool:
        if len(calls) == 0:
            calls.append(True)
            assert merge(service, guest)[0] == 200
        calls.append(move(carts, *arguments))
        return calls[-1]

    monkeypatch.setattr(Carts, "move_lines", interrupted)

    assert merge(service, guest)[0] == 200
    assert calls == [True, True, False]
    assert service.lines() == {"lantern": (4, 1250), "mug": (2, 475)}


def test_a_merged_cart_is_closed_to_everybody(service: Any) -> None:
    guest = service.open_guest_cart(lantern=3)
    merge(service, guest)

    assert merge(service, guest, user="eve")[0] == 404
    assert service.call("GET", f"/guests/{guest}", user=None)[0] == 404
    assert service.call("PUT", f"/guests/{guest}/items/mug", {"quantity": 1}, user=None)[0] == 404
    assert service.lines(user="eve") == {}


def test_a_line_that_is_put_while_the_cart_is_merged_is_refused_rather_than_lost(service: Any) -> None:
    guest = service.open_guest_cart(lantern=3)
    service.peer.after_answer = lambda: merge(service, guest)

    assert service.call("PUT", f"/guests/{guest}/items/mug", {"quantity": 1}, user=None)[0] == 404
    assert service.lines() == {"lantern": (3, 1250)}
    assert [item["sk"] for item in service.table.query(f"CART#{guest}").items] == ["CART"]


def test_a_quantity_stays_within_the_limit(service: Any) -> None:
    service.put("lantern", 9_000)
    merge(service, service.open_guest_cart(lantern=9_000))

    assert service.lines() == {"lantern": (10_000, 1250)}


def test_the_newer_price_counts(service: Any) -> None:
    service.put("lantern", 1)
    service.sells("lantern", 1400, version=2)
    merge(service, service.open_guest_cart(lantern=1))

    assert service.lines() == {"lantern": (2, 1400)}


def test_a_merge_that_died_in_the_middle_is_completed_by_the_next(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carts.usecases.MOVED_AT_ONCE", 1)
    guest = service.open_guest_cart(lantern=1, mug=2, quilt=3)
    transact = Table.transact
    done: list[int] = []

    def dying(table: Table, writes: list[Write], **more: Any) -> None:
        if done:
            raise MemoryError
        done.append(len(writes))
        transact(table, writes, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "transact", dying)
        assert merge(service, guest)[0] == 500
    assert service.lines() == {"lantern": (1, 1250)}

    assert merge(service, guest)[0] == 200
    assert service.lines() == {"lantern": (1, 1250), "mug": (2, 475), "quilt": (3, 8000)}


def test_a_line_that_changes_meanwhile_is_merged_as_it_is_now(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service.put("lantern", 1)
    guest = service.open_guest_cart(lantern=3)
    move = Carts.move_lines
    calls: list[bool] = []

    def interrupted(carts: Carts, *arguments: Any) -> bool:
        if not calls:
            service.put("lantern", 5)
        calls.append(move(carts, *arguments))
        return calls[-1]

    monkeypatch.setattr(Carts, "move_lines", interrupted)

    assert merge(service, guest)[0] == 200
    assert calls == [False, True]
    assert service.lines() == {"lantern": (8, 1250)}


def test_a_cart_that_never_rests_is_tried_again_later(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = service.open_guest_cart(lantern=3)
    with monkeypatch.context() as patch:
        patch.setattr(Carts, "move_lines", lambda *_: False)
        assert merge(service, guest)[0] == 503

    assert merge(service, guest)[0] == 200
    assert service.lines() == {"lantern": (3, 1250)}


@pytest.mark.parametrize(("guest", "status"), [("guest-nothing", 404), ("mine", 404), ("", 422)])
def test_what_is_no_guests_cart_is_not_merged(service: Any, guest: str, status: int) -> None:
    service.put("lantern", 1)

    assert merge(service, guest)[0] == status
    assert service.lines() == {"lantern": (1, 1250)}


def test_a_customers_cart_is_not_merged_into_anothers(service: Any) -> None:
    cart_id = service.put("lantern", 1)["cart_id"]

    assert merge(service, cart_id, user="eve")[0] == 404
    assert service.lines(user="eve") == {}

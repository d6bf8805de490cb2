"""The routes of inventory."""

from __future__ import annotations

from typing import Any

import pytest

from inventory import api, wiring
from mercato.store.dynamo import KeyRange, put
from tests.kit import aws_events

ONE = {"delta": 5, "reason": "delivery"}


def test_a_product_shows_what_is_there_and_what_of_it_is_free(shop: Any) -> None:
    shop.stocked(a=20)
    shop.reserve("o-1", a=3)
    shown = {"product_id": "a", "on_hand": 20, "reserved": 3, "available": 17}
    assert shop.call("GET", "/inventory/a", role="customer", user="u-1") == (200, shown)


def test_a_peer_may_look(shop: Any) -> None:
    shop.stocked(a=20)
    assert api.handler(aws_events.url_request("GET", "/api/inventory/a", peer="orders"), None)["statusCode"] == 200


@pytest.mark.parametrize(("role", "status"), [(None, 401), ("customer", 403)])
def test_only_admins_adjust(shop: Any, role: str | None, status: int) -> None:
    shop.stocked(a=1)
    for path, body in (("/inventory/a/adjustments", ONE), ("/inventory/adjustments", {"adjustments": []})):
        assert shop.call("POST", path, body, role=role, key="k-x")[0] == status
    assert shop.counts("a") == (1, 0, 1)


@pytest.mark.parametrize(
    ("product_id", "problem"),
    [("nowhere", "unknown-product"), ("x" * 200, "unknown-product"), ("x" * 5000, "not-found")],
)
def test_an_unknown_product_is_not_found(shop: Any, product_id: str, problem: str) -> None:
    assert shop.call("GET", f"/inventory/{product_id}")[0] == 404
    status, told = shop.call("POST", f"/inventory/{product_id}/adjustments", ONE, key="k-1")
    assert (status, told["type"]) == (404, f"urn:mercato:problem:{problem}")


def test_an_adjustment_is_in_the_ledger_with_who_and_why(shop: Any) -> None:
    shop.stocked(a=0)
    answer = shop.call("POST", "/inventory/a/adjustments", {"delta": 12, "reason": "found behind the shelf"}, key="k-9")
    assert answer == (201, {"product_id": "a", "on_hand": 12, "available": 12})
    (entry,) = shop.table.query_all("STOCK#a", KeyRange(prefix="LEDGER#"))
    assert (entry["delta"], entry["actor"], entry["reason"]) == (12, "u-admin", "found behind the shelf")


def test_the_same_key_adjusts_once_and_gets_the_first_answer(shop: Any) -> None:
    shop.stocked(a=0)
    first = shop.call("POST", "/inventory/a/adjustments", ONE, key="k-9")
    shop.adjust("a", 100)
    assert shop.call("POST", "/inventory/a/adjustments", ONE, key="k-9") == first
    assert first == (201, {"product_id": "a", "on_hand": 5, "available": 5})
    assert shop.counts("a") == (105, 0, 105)


def test_the_same_removal_again_is_answered_even_when_nothing_is_left(shop: Any) -> None:
    shop.stocked(a=5)
    body = {"delta": -5, "reason": "broken"}
    answers = [shop.call("POST", "/inventory/a/adjustments", body, key="k-9") for _ in range(2)]
    assert answers == [(201, {"product_id": "a", "on_hand": 0, "available": 0})] * 2


def test_the_same_key_with_another_body_is_refused(shop: Any) -> None:
    shop.stocked(a=0)
    shop.call("POST", "/inventory/a/adjustments", ONE, key="k-9")
    status, problem = shop.call("POST", "/inventory/a/adjustments", ONE | {"delta": 6}, key="k-9")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:idempotency-key-reused")
    assert shop.counts("a") == (5, 0, 5)


def test_the_keys_of_two_admins_are_two_keys(shop: Any) -> None:
    shop.stocked(a=0)
    for user in ("u-1", "u-2"):
        assert shop.call("POST", "/inventory/a/adjustments", ONE, key="k-9", user=user)[0] == 201
    assert shop.counts("a") == (10, 0, 10)


def test_reserved_goods_cannot_be_taken_away(shop: Any) -> None:
    shop.stocked(a=20)
    shop.reserve("o-1", a=15)
    status, problem = shop.call("POST", "/inventory/a/adjustments", {"delta": -6, "reason": "broken"}, key="k-9")
    assert (status, problem["type"], problem["available"]) == (409, "urn:mercato:problem:below-zero", 5)
    assert shop.counts("a") == (20, 15, 5)
    assert shop.call("POST", "/inventory/a/adjustments", {"delta": -5, "reason": "broken"}, key="k-9")[0] == 201


def test_a_bulk_adjustment_is_all_or_nothing(shop: Any) -> None:
    shop.stocked(a=1, b=1)
    parts = [{"product_id": "a", "delta": 5, "reason": "x"}, {"product_id": "b", "delta": -2, "reason": "x"}]
    assert shop.call("POST", "/inventory/adjustments", {"adjustments": parts}, key="k-9")[0] == 409
    parts[1]["product_id"] = "nowhere"
    assert shop.call("POST", "/inventory/adjustments", {"adjustments": parts}, key="k-9")[0] == 404
    assert shop.counts("a") == (1, 0, 1)
    parts[1] = {"product_id": "b", "delta": 2, "reason": "x"}
    assert shop.call("POST", "/inventory/adjustments", {"adjustments": parts}, key="k-9") == (
        201,
        {
            "adjustments": [
                {"product_id": "a", "on_hand": 6, "available": 6},
                {"product_id": "b", "on_hand": 3, "available": 3},
            ]
        },
    )


def test_an_order_in_between_is_seen_by_the_adjustment(shop: Any, faults: Any) -> None:
    shop.stocked(a=20)
    faults.count, faults.die_at, faults.meanwhile = 0, 0, lambda: shop.reserve("o-1", a=3)
    answer = shop.call("POST", "/inventory/a/adjustments", {"delta": -2, "reason": "broken"}, key="k-9")
    assert answer == (201, {"product_id": "a", "on_hand": 18, "available": 15})
    assert shop.counts("a") == (18, 3, 15)


@pytest.mark.parametrize("after_effect", [False, True])
def test_an_adjustment_whose_answer_was_lost_is_made_once(shop: Any, faults: Any, after_effect: bool) -> None:
    shop.stocked(a=20)
    faults.count, faults.die_at, faults.after_effect = 0, 0, after_effect
    body = {"delta": -20, "reason": "broken"}
    assert shop.call("POST", "/inventory/a/adjustments", body, key="k-9")[0] == 503
    assert shop.call("POST", "/inventory/a/adjustments", body, key="k-9")[0] == 201
    assert shop.counts("a") == (0, 0, 0)


def test_the_same_adjustment_twice_at_once_is_made_once(shop: Any, faults: Any) -> None:
    shop.stocked(a=5)
    body, answers = {"delta": -5, "reason": "broken"}, []

    def again() -> None:
        answers.append(shop.call("POST", "/inventory/a/adjustments", body, key="k-9"))

    faults.count, faults.die_at, faults.meanwhile = 0, 0, again
    again()
    (status, problem), ours = answers
    assert (status, problem["type"]) == (409, "urn:mercato:problem:request-in-flight")
    assert ours == (201, {"product_id": "a", "on_hand": 0, "available": 0})
    again()
    assert answers[-1] == ours
    assert shop.counts("a") == (0, 0, 0)


def many(count: int) -> dict[str, Any]:
    return {"adjustments": [{"product_id": f"p{n}", "delta": 1, "reason": "x"} for n in range(count)]}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/inventory/a/adjustments", "{", 400),
        ("/inventory/a/adjustments", {"delta": 0, "reason": "x"}, 422),
        ("/inventory/a/adjustments", {"delta": 1.5, "reason": "x"}, 422),
        ("/inventory/a/adjustments", {"delta": "1", "reason": "x"}, 422),
        ("/inventory/a/adjustments", {"delta": 10**30, "reason": "x"}, 422),
        ("/inventory/a/adjustments", {"delta": 1, "reason": ""}, 422),
        ("/inventory/a/adjustments", {"delta": 1, "reason": "x", "on_hand": 9}, 422),
        ("/inventory/adjustments", many(0), 422),
        ("/inventory/adjustments", many(41), 422),
        ("/inventory/adjustments", {"adjustments": many(1)["adjustments"] * 2}, 422),
    ],
)
def test_what_makes_no_sense_is_refused(shop: Any, path: str, body: Any, status: int) -> None:
    shop.stocked(a=1)
    assert shop.call("POST", path, body, key="k-9")[0] == status
    assert shop.counts("a") == (1, 0, 1)


def test_an_adjustment_needs_a_key(shop: Any) -> None:
    shop.stocked(a=1)
    assert shop.call("POST", "/inventory/a/adjustments", ONE)[0] == 400
    assert shop.counts("a") == (1, 0, 1)


def test_a_tampered_ledger_is_found_out(shop: Any) -> None:
    shop.stocked(a=20)
    (entry,) = shop.table.query_all("STOCK#a", KeyRange(prefix="LEDGER#"))

    shop.table.write(put(entry | {"delta": 19}))
    audit = wiring.ports().store.audit("a")
    assert audit is not None
    assert (audit.on_hand, audit.ledger_sum, audit.balanced) == (20, 19, False)

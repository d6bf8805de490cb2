from __future__ import annotations

from datetime import timedelta
from typing import Any

from carts.usecases import cart_of
from mercato.clock import epoch


def test_a_new_price_reaches_every_cart_that_holds_the_product(service: Any) -> None:
    for user in ("ada", "bob"):
        service.put("lantern", 2, user=user)
        service.put("mug", 1, user=user)
    guest = service.open_guest_cart(lantern=1)

    service.price_changes("lantern", 1400, version=2)

    assert service.lines(user="ada") == service.lines(user="bob") == {"lantern": (2, 1400), "mug": (1, 475)}
    assert service.call("GET", f"/guests/{guest}", user=None)[1]["total"]["amount"] == 1400


def test_a_late_or_repeated_price_moves_nothing_back(service: Any) -> None:
    service.put("lantern", 2)
    service.price_changes("lantern", 1400, version=3)

    service.price_changes("lantern", 1300, version=2)
    service.price_changes("lantern", 1400, version=3)

    assert service.lines() == {"lantern": (2, 1400)}


def test_a_price_brings_no_removed_line_back(service: Any) -> None:
    service.put("lantern", 2)
    service.call("DELETE", "/mine/items/lantern")

    service.price_changes("lantern", 1400, version=2)

    assert service.lines() == {}


def test_a_price_that_changes_while_a_line_is_put_in_is_taken(service: Any) -> None:
    service.peer.after_answer = lambda: service.price_changes("lantern", 1400, version=2)

    cart = service.put("lantern", 2)

    assert cart["total"] == {"amount": 2800, "currency": "GBP"}
    assert service.lines() == {"lantern": (2, 1400)}


def test_a_product_that_is_discontinued_while_it_is_put_in_is_refused(service: Any) -> None:
    service.peer.after_answer = lambda: service.discontinues("lantern", version=2)

    status, problem = service.call("PUT", "/mine/items/lantern", {"quantity": 1})

    assert (status, problem["type"]) == (422, "urn:mercato:problem:product-discontinued")
    assert service.lines() == {}


def test_a_discontinued_product_leaves_every_cart(service: Any) -> None:
    for user in ("ada", "bob"):
        service.put("lantern", 2, user=user)
    service.put("mug", 1)

    service.discontinues("lantern", version=2)
    service.discontinues("lantern", version=2)

    assert service.lines() == {"mug": (1, 475)}
    assert service.lines(user="bob") == {}


def test_what_was_ordered_leaves_the_cart_and_the_rest_stays(service: Any) -> None:
    service.put("lantern", 2)
    service.put("mug", 1)
    service.put("lantern", 1, user="bob")
    service.wait(minutes=1)

    service.is_ordered("lantern", "quilt", at=service.now)

    assert service.lines() == {"mug": (1, 475)}
    assert service.lines(user="bob") == {"lantern": (1, 1250)}


def test_what_is_put_in_after_the_order_stays_however_late_the_order_is_heard_of(service: Any) -> None:
    service.put("lantern", 2)
    ordered_at = service.now + timedelta(seconds=1)
    service.is_ordered("lantern", at=ordered_at)
    service.wait(minutes=1)
    service.put("lantern", 3)

    service.is_ordered("lantern", at=ordered_at)

    assert service.lines() == {"lantern": (3, 1250)}


def test_a_new_price_does_not_save_a_line_from_the_order(service: Any) -> None:
    service.put("lantern", 2)
    ordered_at = service.now + timedelta(seconds=1)
    service.wait(minutes=1)
    service.price_changes("lantern", 1400, version=2)

    service.is_ordered("lantern", at=ordered_at)

    assert service.lines() == {}


def test_an_order_that_names_its_cart_takes_the_lines_of_that_version_and_no_clock_counts(service: Any) -> None:
    seen = service.put("lantern", 2)
    service.put("mug", 1)
    service.put("lantern", 3)
    named = {"id": seen["cart_id"], "version": seen["version"]}

    service.is_ordered("lantern", "mug", at=service.now + timedelta(hours=1), cart=named)
    assert service.lines() == {"lantern": (3, 1250), "mug": (1, 475)}

    service.is_ordered(
        "lantern", "mug", at=service.now - timedelta(hours=1), cart=named | {"version": seen["version"] + 1}
    )
    assert service.lines() == {"lantern": (3, 1250)}


def test_the_version_of_another_customers_cart_takes_nothing_more(service: Any) -> None:
    service.put("lantern", 2)
    service.is_ordered("lantern", at=service.now - timedelta(hours=1), cart={"id": cart_of("bob"), "version": 2**40})

    assert service.lines() == {"lantern": (2, 1250)}


def test_a_new_price_is_one_write_however_many_carts_hold_the_product(service: Any, dynamo_calls: list[str]) -> None:
    for number in range(60):
        service.put("lantern", 1, user=f"user-{number}")
    dynamo_calls.clear()

    service.price_changes("lantern", 1400, version=2)

    assert dynamo_calls == ["TransactWriteItems"]
    assert all(service.lines(user=f"user-{number}") == {"lantern": (1, 1400)} for number in range(60))
    dynamo_calls.clear()

    service.discontinues("lantern", version=3)

    assert dynamo_calls == ["TransactWriteItems"]
    assert not any(service.lines(user=f"user-{number}") for number in range(60))


def test_a_product_that_is_sold_again_brings_no_line_of_before_back(service: Any) -> None:
    service.put("lantern", 2)
    service.put("lantern", 1, user="bob")
    service.discontinues("lantern", version=2)
    service.sells("lantern", 1300, version=3)
    service.put("lantern", 4)

    service.price_changes("lantern", 1400, version=4)

    assert service.lines() == {"lantern": (4, 1400)}
    assert service.lines(user="bob") == {}


def test_an_order_of_somebody_without_a_cart_makes_none(service: Any) -> None:
    service.is_ordered("lantern", at=service.now, user="bob")

    assert service.table.query(f"CART#{cart_of('bob')}").items == []
    assert service.dead_letters() == []


def test_an_event_that_cannot_be_read_goes_to_the_dead_letters(service: Any) -> None:
    service.put("lantern", 2)

    service.deliver("product.price_changed", "lantern", {"product_id": "lantern", "new_price": 14})

    assert service.dead_letters() == ["malformed"]
    assert service.lines() == {"lantern": (2, 1250)}


def test_the_cart_of_a_closed_account_is_erased_and_no_other(service: Any) -> None:
    service.put("lantern", 2, user="ada")
    service.put("mug", 1, user="ada")
    service.put("mug", 1, user="bob")

    service.deliver("user.closed", "ada", {"user_id": "ada"})
    service.deliver("user.closed", "ada", {"user_id": "ada"})

    (head,) = service.table.query_all(f"CART#{cart_of('ada')}")
    assert head.keys() == {"pk", "sk", "version", "closed_at", "ttl"}
    assert head["ttl"] == epoch(service.now + timedelta(hours=1))
    assert service.lines(user="bob") == {"mug": (1, 475)}

from __future__ import annotations

from typing import Any

DONE: dict[str, Any] = {"batchItemFailures": []}


def availability(service: Any, product: Any) -> str:
    return str(service.call("GET", f"/{product['product_id']}")[1]["availability"])


def low(service: Any, product: Any, level: str, sequence: int) -> Any:
    data = {"product_id": product["product_id"], "available": 1, "level": level}
    return service.deliver("inventory.low_stock", product["product_id"], data, sequence)


def restocked(service: Any, product: Any, sequence: int) -> Any:
    data = {"product_id": product["product_id"], "available": 100}
    return service.deliver("inventory.restocked", product["product_id"], data, sequence)


def test_availability_follows_the_stock(service: Any) -> None:
    product = service.add()

    assert restocked(service, product, 1) == DONE
    assert availability(service, product) == "in_stock"
    assert low(service, product, "low", 2) == DONE
    assert availability(service, product) == "low"
    assert low(service, product, "out", 3) == DONE
    assert availability(service, product) == "out"


def test_a_peer_is_told_how_many_there_are_while_they_are_few_and_of_which_event_that_is(service: Any) -> None:
    product = service.add()

    def told() -> tuple[int | None, int]:
        (found,) = service.call_as_peer("POST", "/lookup", {"product_ids": [product["product_id"]]})[1]["products"]
        return found["available"], found["stock_sequence"]

    assert told() == (0, 0)
    low(service, product, "low", 4)
    assert told() == (1, 4)
    restocked(service, product, 6)
    assert told() == (None, 6)
    low(service, product, "low", 5)
    assert told() == (None, 6)


def test_a_late_event_moves_nothing_back(service: Any) -> None:
    product = service.add()
    restocked(service, product, 12)

    assert low(service, product, "out", 9) == DONE
    assert low(service, product, "out", 12) == DONE

    assert availability(service, product) == "in_stock"
    assert service.dead_letters() == []


def test_availability_is_shown_in_lists_and_survives_a_change_of_the_product(service: Any) -> None:
    product = service.add()
    restocked(service, product, 1)

    status, changed = service.call("PATCH", f"/{product['product_id']}", {"version": 1, "name": "New name"})

    assert (status, changed["version"], changed["availability"]) == (200, 2, "in_stock")
    assert service.call("GET", "")[1]["items"][0]["availability"] == "in_stock"


def test_the_stock_does_not_bring_back_a_discontinued_product(service: Any) -> None:
    product = service.add()
    service.call("DELETE", f"/{product['product_id']}")

    assert restocked(service, product, 1) == DONE
    assert service.skus() == []


def test_an_unknown_product_goes_to_the_dead_letters_and_makes_no_item(service: Any) -> None:
    assert restocked(service, {"product_id": "nothing"}, 1) == DONE

    assert service.dead_letters() == ["product-not-found"]
    assert service.items() == []


def test_an_event_that_cannot_be_read_goes_to_the_dead_letters(service: Any) -> None:
    product = service.add()

    assert low(service, product, "plenty", 1) == DONE

    assert service.dead_letters() == ["malformed"]
    assert availability(service, product) == "out"

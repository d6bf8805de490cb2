from __future__ import annotations

from typing import Any

import pytest

from mercato.store import dynamo
from products.domain import Product
from products.store import Products
from tests.kit.overtaking import overtake

PRICED = {"sku": "A1", "name": "Vase", "price": {"amount": 5, "currency": "GBP"}}


def test_a_new_product_is_shown_out_of_stock_at_version_one(service: Any) -> None:
    made = service.add(description="Cotton and wood", category="Garden")

    assert made == {
        "product_id": made["product_id"],
        "sku": "85123A",
        "name": "White hanging heart",
        "description": "Cotton and wood",
        "category": "Garden",
        "price": {"amount": 255, "currency": "GBP"},
        "availability": "out",
        "status": "active",
        "version": 1,
        "weight_grams": 0,
        "tax_class": "standard",
        "images": [],
    }
    assert service.call("GET", f"/{made['product_id']}", role=None) == (200, made | {"related": []})


def test_a_new_product_is_announced_once(service: Any) -> None:
    made = service.add()

    data = {key: made[key] for key in ("product_id", "sku", "name", "price", "weight_grams", "tax_class")}
    assert service.events(made["product_id"]) == [(1, "product.created", data)]


def test_a_sku_is_taken_in_any_case_and_the_second_product_leaves_no_trace(service: Any) -> None:
    service.add(sku="85123A", category="Garden")
    before = service.items()

    status, problem = service.call(
        "POST",
        "",
        {"sku": "85123a", "name": "Another", "category": "Garden", "price": {"amount": 1, "currency": "GBP"}},
    )

    assert (status, problem["type"]) == (409, "urn:mercato:problem:sku-taken")
    assert service.items() == before


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ("{", 400, "malformed"),
        ({"name": "No sku", "price": {"amount": 1, "currency": "GBP"}}, 422, "invalid-request"),
        ({"sku": " ", "name": "Blank", "price": {"amount": 1, "currency": "GBP"}}, 422, "invalid-request"),
        ({"sku": "=A1", "name": "Formula", "price": {"amount": 1, "currency": "GBP"}}, 422, "invalid-request"),
        ({"sku": "A1", "name": "  ", "price": {"amount": 1, "currency": "GBP"}}, 422, "invalid-request"),
        ({"sku": "A1", "name": "two\nlines", "price": {"amount": 1, "currency": "GBP"}}, 422, "invalid-request"),
        ({"sku": "A1", "name": "x" * 201, "price": {"amount": 1, "currency": "GBP"}}, 422, "invalid-request"),
        ({"sku": "A1", "name": "Float", "price": {"amount": 2.55, "currency": "GBP"}}, 422, "invalid-request"),
        ({"sku": "A1", "name": "Free", "price": {"amount": 0, "currency": "GBP"}}, 422, "invalid-price"),
        ({"sku": "A1", "name": "Negative", "price": {"amount": -5, "currency": "GBP"}}, 422, "invalid-price"),
        ({"sku": "A1", "name": "Euro", "price": {"amount": 5, "currency": "EUR"}}, 422, "invalid-price"),
        ({"sku": "A1", "name": "More", "price": {"amount": 5, "currency": "GBP"}, "stock": 1}, 422, "invalid-request"),
        (PRICED | {"weight_grams": -1}, 422, "invalid-request"),
        (PRICED | {"weight_grams": 1_000_001}, 422, "invalid-request"),
        (PRICED | {"weight_grams": 0.5}, 422, "invalid-request"),
        (PRICED | {"weight_grams": None}, 422, "invalid-request"),
        (PRICED | {"tax_class": "Reduced"}, 422, "invalid-request"),
        (PRICED | {"tax_class": ""}, 422, "invalid-request"),
        (PRICED | {"tax_class": "x" * 41}, 422, "invalid-request"),
    ],
)
def test_what_is_no_product_is_refused_and_nothing_is_written(service: Any, body: Any, status: int, slug: str) -> None:
    found, problem = service.call("POST", "", body)

    assert (found, problem["type"]) == (status, f"urn:mercato:problem:{slug}")
    assert service.items() == []


@pytest.mark.parametrize(("role", "status"), [(None, 401), ("customer", 403)])
def test_only_an_admin_changes_the_catalogue(service: Any, role: str | None, status: int) -> None:
    made = service.add()
    path = f"/{made['product_id']}"

    body = {"sku": "X", "name": "X", "price": {"amount": 1, "currency": "GBP"}}
    assert service.call("POST", "", body, role=role)[0] == status
    assert service.call("PATCH", path, {"version": 1, "name": "Mine"}, role=role)[0] == status
    assert service.call("DELETE", path, role=role)[0] == status
    assert service.call("POST", "/imports", "sku,name,price,currency\n", role=role)[0] == status
    assert service.call("POST", "/lookup", {"product_ids": []}, role=role)[0] == status
    assert service.call("GET", path, role=None) == (200, made | {"related": []})


def test_an_unknown_product_is_404(service: Any) -> None:
    for method, body in (("GET", None), ("PATCH", {"version": 1}), ("DELETE", None)):
        status, problem = service.call(method, "/nothing", body)
        assert (status, problem["type"]) == (404, "urn:mercato:problem:product-not-found")


def test_an_absurdly_long_id_is_404(service: Any) -> None:
    assert service.call("GET", "/" + "x" * 3000)[0] == 404


def test_a_price_change_is_announced_with_both_prices(service: Any) -> None:
    made = service.add()

    status, changed = service.call(
        "PATCH", f"/{made['product_id']}", {"version": 1, "price": {"amount": 295, "currency": "GBP"}}
    )

    assert (status, changed) == (200, made | {"price": {"amount": 295, "currency": "GBP"}, "version": 2})
    assert service.events(made["product_id"])[1:] == [
        (
            2,
            "product.price_changed",
            {
                "product_id": made["product_id"],
                "old_price": {"amount": 255, "currency": "GBP"},
                "new_price": {"amount": 295, "currency": "GBP"},
            },
        )
    ]


def test_another_change_is_announced_as_an_update_and_no_price_change(service: Any) -> None:
    made = service.add(category="Garden")

    status, changed = service.call("PATCH", f"/{made['product_id']}", {"version": 1, "category": None})

    assert (status, changed["category"], changed["version"]) == (200, None, 2)
    told = {"product_id": made["product_id"], "name": "White hanging heart"}
    kept = {"weight_grams": 0, "tax_class": "standard"}
    assert service.events(made["product_id"])[1:] == [(2, "product.updated", told | kept)]


def test_a_change_that_changes_nothing_is_neither_written_nor_announced(service: Any) -> None:
    made = service.add()

    assert service.call("PATCH", f"/{made['product_id']}", {"version": 1, "name": made["name"]}) == (200, made)
    assert len(service.events(made["product_id"])) == 1


def test_a_change_of_a_stale_version_is_refused(service: Any) -> None:
    made = service.add()
    path = f"/{made['product_id']}"
    service.call("PATCH", path, {"version": 1, "name": "First"})

    status, problem = service.call("PATCH", path, {"version": 1, "name": "Second"})

    assert (status, problem["type"], problem["version"]) == (409, "urn:mercato:problem:stale-version", 2)
    assert service.call("GET", path)[1]["name"] == "First"


def test_a_weight_and_a_tax_class_are_kept_announced_and_looked_up(service: Any) -> None:
    made = service.add(weight_grams=250, tax_class="reduced")
    path = f"/{made['product_id']}"

    status, changed = service.call("PATCH", path, {"version": 1, "weight_grams": 300})

    told = {"product_id": made["product_id"], "name": made["name"], "weight_grams": 300, "tax_class": "reduced"}
    assert (status, changed) == (200, made | {"weight_grams": 300, "version": 2})
    assert service.events(made["product_id"])[1:] == [(2, "product.updated", told)]
    assert service.call("PATCH", path, {"version": 2, "weight_grams": 300, "tax_class": "reduced"})[1]["version"] == 2
    [found] = service.call_as_peer("POST", "/lookup", {"product_ids": [made["product_id"]]})[1]["products"]
    assert (found["weight_grams"], found["tax_class"]) == (300, "reduced")


def test_a_product_from_before_there_were_weights_has_none_and_can_be_changed(service: Any) -> None:
    made = service.add()
    key = f"PRODUCT#{made['product_id']}", "PRODUCT"
    service.table.write(dynamo.update(*key, "REMOVE weight_grams, tax_class", "attribute_exists(pk)"))

    assert service.call("GET", f"/{made['product_id']}")[1] == made | {"related": []}
    status, changed = service.call("PATCH", f"/{made['product_id']}", {"version": 1, "name": "Heart"})
    assert (status, changed) == (200, made | {"name": "Heart", "version": 2})
    status, changed = service.call("PATCH", f"/{made['product_id']}", {"version": 2, "tax_class": "zero"})
    assert (status, changed["tax_class"], changed["weight_grams"]) == (200, "zero", 0)
    assert service.call("GET", f"/{made['product_id']}")[1] == changed | {"related": []}


def test_of_two_changes_at_once_one_wins(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = service.add()
    path = f"/{made['product_id']}"
    get = Products.get
    faster: list[tuple[int, Any]] = []

    def interrupted(products: Products, product_id: str) -> Product:
        found = get(products, product_id)
        if not faster:
            faster.append((0, None))
            faster[0] = service.call("PATCH", path, {"version": 1, "name": "Faster"})
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Products, "get", interrupted)
        status, problem = service.call("PATCH", path, {"version": 1, "name": "Slower"})

    assert faster[0][0] == 200
    assert (status, problem["type"], problem["version"]) == (409, "urn:mercato:problem:stale-version", 2)
    assert service.call("GET", path)[1]["name"] == "Faster"
    assert [event[1] for event in service.events(made["product_id"])] == ["product.created", "product.updated"]
    assert service.skus(q="slower") == []


def test_a_change_that_is_sent_twice_is_one_change(service: Any) -> None:
    made = service.add()
    path, change = (
        f"/{made['product_id']}",
        {"version": 1, "name": "Heart", "price": {"amount": 300, "currency": "GBP"}},
    )

    first = service.call("PATCH", path, change)

    assert (first[0], first[1]["version"]) == (200, 2)
    told = service.events(made["product_id"])
    assert service.call("PATCH", path, change) == first
    assert service.events(made["product_id"]) == told
    service.call("PATCH", path, {"version": 2, "name": "Red heart"})
    assert service.call("PATCH", path, change)[0] == 409, "what another has changed since is not overwritten"
    assert service.call("GET", path)[1]["name"] == "Red heart"


def test_a_change_that_is_sent_twice_at_once_is_one_change(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = service.add()
    path, change = f"/{made['product_id']}", {"version": 1, "name": "Heart"}
    first = overtake(monkeypatch, Products, "get", lambda: service.call("PATCH", path, change))

    second = service.call("PATCH", path, change)

    assert (first[0][0], first) == (200, [second])
    assert [event[1] for event in service.events(made["product_id"])] == ["product.created", "product.updated"]


def test_a_late_change_of_a_discontinued_product_is_refused(service: Any) -> None:
    made = service.add()
    path = f"/{made['product_id']}"
    service.call("DELETE", path)
    status, problem = service.call("PATCH", path, {"version": 1, "name": made["name"]})
    assert (status, problem["type"]) == (409, "urn:mercato:problem:stale-version")


def test_a_discontinued_product_is_found_by_its_id_alone(service: Any) -> None:
    made = service.add(category="Garden")
    path = f"/{made['product_id']}"

    assert service.call("DELETE", path) == (204, None)

    assert service.call("GET", path, role=None) == (
        200,
        made | {"status": "discontinued", "version": 2, "related": []},
    )
    assert service.skus() == service.skus(category="garden") == service.skus(q="heart") == []
    assert service.keys("WORD#") == set()
    assert service.call("GET", "", query=None)[1]["facets"] == {"category": []}
    assert service.events(made["product_id"])[1:] == [(2, "product.discontinued", {"product_id": made["product_id"]})]


def test_discontinuing_twice_is_announced_once(service: Any) -> None:
    made = service.add()
    path = f"/{made['product_id']}"
    service.call("DELETE", path)

    assert service.call("DELETE", path) == (204, None)
    assert [event[0] for event in service.events(made["product_id"])] == [1, 2]


def test_a_discontinued_product_is_not_changed_and_its_sku_is_free(service: Any) -> None:
    made = service.add()
    service.call("DELETE", f"/{made['product_id']}")
    assert service.call("DELETE", f"/{made['product_id']}")[0] == 204

    status, problem = service.call("PATCH", f"/{made['product_id']}", {"version": 2, "name": "Back"})
    new = {"sku": made["sku"], "name": "New", "price": {"amount": 1, "currency": "GBP"}}
    again, other = service.call("POST", "", new)
    third, taken = service.call("POST", "", new)

    assert (status, problem["type"]) == (409, "urn:mercato:problem:product-discontinued")
    assert (again, other["sku"], other["product_id"] != made["product_id"]) == (201, made["sku"], True)
    assert service.call("DELETE", f"/{made['product_id']}")[0] == 204  # does not free the other product's sku
    assert (third, taken["type"]) == (409, "urn:mercato:problem:sku-taken")
    assert service.call("POST", "", new)[1]["type"] == "urn:mercato:problem:sku-taken"


def test_a_peer_looks_up_what_exists(service: Any) -> None:
    one, two = service.add(sku="A1"), service.add(sku="A2")
    service.call("DELETE", f"/{two['product_id']}")

    ids = [one["product_id"], two["product_id"], "nothing", one["product_id"]]
    status, found = service.call_as_peer("POST", "/lookup", {"product_ids": ids})

    untold = {"available": 0, "stock_sequence": 0, "images": [], "weight_grams": 0, "tax_class": "standard"}
    gone = {"status": "discontinued", "version": 2}
    expected = [
        {key: one[key] for key in ("product_id", "sku", "name", "price", "status", "version", "category")} | untold,
        {key: two[key] for key in ("product_id", "sku", "name", "price", "category")} | gone | untold,
    ]
    assert status == 200
    assert sorted(found["products"], key=lambda product: product["sku"]) == expected


def test_a_lookup_takes_500_ids_and_no_more(service: Any) -> None:
    assert service.call_as_peer("POST", "/lookup", {"product_ids": [f"p{n}" for n in range(500)]})[0] == 200
    assert service.call_as_peer("POST", "/lookup", {"product_ids": [f"p{n}" for n in range(501)]})[0] == 422


def test_a_lookup_is_not_for_the_public(service: Any) -> None:
    assert service.call("POST", "/lookup", {"product_ids": []}, role=None)[0] == 401

from __future__ import annotations

from typing import Any

import pytest

from mercato.store.cursor import encode_cursor
from mercato.store.dynamo import Table


@pytest.fixture
def shelf(service: Any) -> Any:
    """Five products, made in this order."""
    service.add(sku="L1", name="White metal lantern", price=339, category="Lights")
    service.add(sku="H1", name="White hanging heart T-light holder", price=255, category="Lights")
    service.add(sku="H2", name="Red heart cushion", price=595, category="Home & Garden")
    service.add(sku="C1", name="Crème brûlée dish", price=255, category="Kitchen")
    service.add(sku="C2", name="Children's apron", price=1250)
    return service


def test_the_catalogue_is_sorted_by_name_price_or_age(shelf: Any) -> None:
    assert shelf.skus() == shelf.skus(sort="name") == ["C2", "C1", "H2", "H1", "L1"]
    assert shelf.skus(sort="newest") == ["C2", "C1", "H2", "H1", "L1"]
    assert shelf.skus(sort="price")[2:] == ["L1", "H2", "C2"]
    assert sorted(shelf.skus(sort="price")[:2]) == ["C1", "H1"]
    assert shelf.skus(sort="-price") == shelf.skus(sort="price")[::-1]


def test_filters_hold_with_every_sort(shelf: Any) -> None:
    for sort in ("name", "price", "-price", "newest"):
        assert sorted(shelf.skus(sort=sort, category="lights")) == ["H1", "L1"]
        assert sorted(shelf.skus(sort=sort, min_price="255", max_price="339")) == ["C1", "H1", "L1"]
        assert shelf.skus(sort=sort, category="Lights", max_price="255") == ["H1"]
        assert shelf.skus(sort=sort, category="Nothing") == []


def test_the_first_page_counts_the_categories(shelf: Any) -> None:
    _, page = shelf.call("GET", "", query={"limit": "1"}, role=None)

    assert page["facets"] == {
        "category": [
            {"value": "Home & Garden", "count": 1},
            {"value": "Kitchen", "count": 1},
            {"value": "Lights", "count": 2},
        ]
    }
    _, second = shelf.call("GET", "", query={"limit": "1", "cursor": page["next_cursor"]}, role=None)
    _, search = shelf.call("GET", "", query={"q": "heart"}, role=None)
    assert second["facets"] is search["facets"] is None


def test_a_product_comes_with_others_of_its_category_where_they_are_asked_for(shelf: Any) -> None:
    lantern = shelf.call("GET", "", query={"q": "lantern"})[1]["items"][0]
    path = f"/{lantern['product_id']}"

    _, found = shelf.call("GET", path, query={"related": "4"})
    _, alone = shelf.call("GET", path)
    refused, problem = shelf.call("GET", path, query={"related": "21"})

    assert [one["sku"] for one in found["related"]] == ["H1"]
    assert alone["related"] == []
    assert (refused, problem["type"]) == (422, "urn:mercato:problem:invalid-request")


def test_no_more_others_come_than_were_asked_for(shelf: Any, service: Any) -> None:
    service.add(sku="L2", name="A lamp", price=900, category="Lights")
    last = service.add(sku="L3", name="Zinc lamp", price=950, category="Lights")

    _, found = shelf.call("GET", f"/{last['product_id']}", query={"related": "2"})

    assert [one["sku"] for one in found["related"]] == ["L2", "H1"]


def test_counts_and_lists_follow_a_product_into_another_category(shelf: Any) -> None:
    _, page = shelf.call("GET", "", query={"category": "Kitchen"})
    product = page["items"][0]
    shelf.call("PATCH", f"/{product['product_id']}", {"version": 1, "category": "Lights"})

    assert shelf.skus(category="Kitchen") == []
    assert shelf.skus(category="Lights") == ["C1", "H1", "L1"]
    assert shelf.call("GET", "")[1]["facets"]["category"] == [
        {"value": "Home & Garden", "count": 1},
        {"value": "Lights", "count": 3},
    ]


@pytest.mark.parametrize("sort", ["name", "price", "-price", "newest"])
@pytest.mark.parametrize("filters", [{}, {"category": "Kitchen"}, {"min_price": "100", "max_price": "100"}])
def test_pages_hold_each_product_once_and_in_order(service: Any, sort: str, filters: dict[str, str]) -> None:
    for number in range(7):
        service.add(sku=f"S{number}", name="The same name", price=100, category="Kitchen")

    whole = service.skus(sort=sort, **filters)
    paged, pages = service.all_skus(sort=sort, limit="2", **filters)

    assert sorted(whole) == [f"S{number}" for number in range(7)]
    assert (paged, pages) == (whole, 4)


def test_a_full_last_page_leads_to_no_empty_one(service: Any) -> None:
    for number in range(4):
        service.add(sku=f"S{number}", price=100 + number)

    assert service.all_skus(sort="price", limit="2") == (["S0", "S1", "S2", "S3"], 2)


def test_a_search_needs_all_words_and_the_last_may_be_a_beginning(shelf: Any) -> None:
    assert sorted(shelf.skus(q="heart")) == ["H1", "H2"]
    assert shelf.skus(q="WHITE heart") == shelf.skus(q="heart white") == ["H1"]
    assert shelf.skus(q="white lan") == ["L1"]
    assert shelf.skus(q="whi heart") == []
    assert shelf.skus(q="lan ") == []
    assert shelf.skus(q="creme brulee") == ["C1"]
    assert shelf.skus(q="childrens") == shelf.skus(q="children’s") == ["C2"]
    assert shelf.skus(q="h2") == ["H2"]
    assert shelf.skus(q="t-light") == ["H1"]


@pytest.mark.parametrize("q", ["?!", "nothing", "zz top", "white white nothing"])
def test_a_search_without_a_match_is_empty(shelf: Any, q: str) -> None:
    assert shelf.skus(q=q) == shelf.skus(q=q, sort="price") == []


def test_a_blank_search_is_the_whole_list(shelf: Any) -> None:
    assert len(shelf.skus(q="")) == len(shelf.skus(q="  ")) == 5


def test_a_search_is_sorted_and_filtered_on_demand(shelf: Any) -> None:
    assert shelf.skus(q="heart", sort="name") == ["H2", "H1"]
    assert shelf.skus(q="heart", sort="price") == ["H1", "H2"]
    assert shelf.skus(q="heart", sort="-price") == ["H2", "H1"]
    assert shelf.skus(q="heart", sort="newest") == ["H2", "H1"]
    for sort in ({}, {"sort": "price"}):
        assert shelf.skus(q="heart", category="Lights", **sort) == ["H1"]
        assert shelf.skus(q="heart", min_price="256", **sort) == ["H2"]


@pytest.mark.parametrize("sort", [{}, {"sort": "name"}, {"sort": "-price"}, {"sort": "newest"}])
def test_a_product_that_matches_by_several_words_is_found_once(service: Any, sort: dict[str, str]) -> None:
    for number in range(5):
        service.add(sku=f"S{number}", name=f"Heart of hearts, hearty {number}")

    found, pages = service.all_skus(q="heart", limit="2", **sort)

    assert (sorted(found), pages) == (["S0", "S1", "S2", "S3", "S4"], 3)


def test_a_renamed_product_is_found_by_its_new_name_only(shelf: Any) -> None:
    product = shelf.call("GET", "", query={"q": "lantern"})[1]["items"][0]
    shelf.call("PATCH", f"/{product['product_id']}", {"version": 1, "name": "Silver lamp"})

    assert shelf.skus(q="lantern") == shelf.skus(q="metal") == []
    assert shelf.skus(q="silver lamp") == shelf.skus(q="l1") == ["L1"]


def test_a_search_that_matches_too_much_to_sort_says_so(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("products.catalogue.MOST_SORTED", 2)
    for number in range(3):
        service.add(sku=f"S{number}", name="Heart")

    status, problem = service.call("GET", "", query={"q": "heart", "sort": "price"})

    assert (status, problem["type"]) == (422, "urn:mercato:problem:too-many-matches")
    assert sorted(service.skus(q="heart")) == ["S0", "S1", "S2"]


def test_a_page_reads_a_bounded_number_and_leads_on(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("products.catalogue.MOST_READ", 2)
    for number in range(5):
        service.add(sku=f"S{number}", name=f"Name {number}", price=100 + number)

    _, page = service.call("GET", "", query={"min_price": "104"})

    assert page["items"] == []
    assert service.all_skus(min_price="104") == (["S4"], 3)


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "age"},
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "many"},
        {"min_price": "2.55"},
        {"min_price": "-1"},
        {"colour": "red"},
        {"q": "x" * 201},
    ],
)
def test_a_query_that_makes_no_sense_is_refused(service: Any, query: dict[str, str]) -> None:
    status, problem = service.call("GET", "", query=query)

    assert (status, problem["type"]) == (422, "urn:mercato:problem:invalid-request")


def test_products_are_found_by_their_ids_in_the_order_asked_also_those_no_longer_sold(shelf: Any) -> None:
    by_sku = {one["sku"]: one["product_id"] for one in shelf.call("GET", "", query={"limit": "100"})[1]["items"]}
    gone, first = by_sku["L1"], by_sku["H1"]
    assert shelf.call("DELETE", f"/{gone}")[0] == 204

    _, page = shelf.call("GET", "", query={"ids": f"{gone},unknown,{first},{gone}"})

    assert [(one["sku"], one["status"]) for one in page["items"]] == [("L1", "discontinued"), ("H1", "active")]
    assert page["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ({"ids": "a", "category": "Lights"}, "invalid-filters"),
        ({"ids": "a", "q": "mug"}, "invalid-filters"),
        ({"ids": ",".join(map(str, range(101)))}, "too-many-products"),
        ({"ids": "x" * 201}, "too-many-products"),
    ],
)
def test_ids_stand_alone_and_are_a_hundred_at_most(service: Any, query: dict[str, str], slug: str) -> None:
    status, problem = service.call("GET", "", query=query)

    assert (status, problem["type"]) == (422, f"urn:mercato:problem:{slug}")


def test_a_price_range_upside_down_is_refused(service: Any) -> None:
    status, problem = service.call("GET", "", query={"min_price": "5", "max_price": "4"})

    assert (status, problem["type"]) == (422, "urn:mercato:problem:invalid-price-range")


@pytest.mark.parametrize(
    "cursor",
    [
        "bm90IGpzb24",
        encode_cursor({"pk": "PRODUCT#1", "sk": "PRODUCT"}),
        encode_cursor({"pk": "P", "sk": "S", "gsi1pk": "CATALOGUE"}),
        encode_cursor({"pk": "P", "sk": "S", "gsi1pk": "CATALOGUE", "gsi1sk": ""}),
        encode_cursor({"pk": "P", "sk": "S", "gsi1pk": "CATALOGUE", "gsi1sk": "\ud800"}),
        encode_cursor({"pk": "P", "sk": "S", "gsi1pk": "CATEGORY#secret", "gsi1sk": "a"}),
        encode_cursor({"pk": "P", "sk": "S", "gsi1pk": "CATALOGUE", "gsi1sk": "a", "more": "b"}),
    ],
)
def test_a_cursor_of_no_list_of_ours_is_refused(shelf: Any, cursor: str) -> None:
    status, problem = shelf.call("GET", "", query={"cursor": cursor})

    assert (status, problem["type"]) == (400, "urn:mercato:problem:invalid-cursor")


def test_a_cursor_opens_no_other_list(shelf: Any) -> None:
    by_price = shelf.call("GET", "", query={"sort": "price", "limit": "1"})[1]["next_cursor"]
    search = shelf.call("GET", "", query={"q": "heart", "limit": "1"})[1]["next_cursor"]

    for query in (
        {"sort": "name", "cursor": by_price},
        {"category": "Lights", "sort": "price", "cursor": by_price},
        {"sort": "price", "min_price": "300", "cursor": by_price},
        {"q": "white", "cursor": search},
        {"q": "he", "sort": "name", "cursor": search},
        {"cursor": search},
    ):
        assert shelf.call("GET", "", query=query)[0] == 400, query


def counts_in(service: Any) -> dict[str, int]:
    return {item["sk"]: item["products"] for item in service.table.query_all("FACETS")}


def test_a_category_that_no_product_has_leaves_no_count_behind(service: Any) -> None:
    lamp, mug = service.add("L1", category="Kind 0"), service.add("M1", category="Kitchen")
    for number in range(1, 30):
        status, lamp = service.call(
            "PATCH", f"/{lamp['product_id']}", {"version": number, "category": f"Kind {number}"}
        )
        assert status == 200, lamp
    assert sorted(counts_in(service).values()) == [1, 1]
    assert service.call("DELETE", f"/{mug['product_id']}")[0] == 204
    assert service.call("GET", "")[1]["facets"]["category"] == [{"value": "Kind 29", "count": 1}]
    assert len(counts_in(service)) == 1


def test_a_product_that_gets_the_category_while_its_counts_are_dropped_is_counted(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lamp = service.add("L1", category="Lights")
    read = Table.get_many
    came: list[Any] = []

    def meanwhile(table: Table, keys: Any) -> Any:
        wanted = list(keys)
        found = read(table, wanted)
        if wanted[0][0] == "FACETS" and not came:
            came.append(service.add("L2", category="Lights"))
        return found

    monkeypatch.setattr(Table, "get_many", meanwhile)
    assert service.call("PATCH", f"/{lamp['product_id']}", {"version": 1, "category": "Kitchen"})[0] == 200
    assert service.call("GET", "")[1]["facets"]["category"] == [
        {"value": "Kitchen", "count": 1},
        {"value": "Lights", "count": 1},
    ]


@pytest.mark.parametrize("sort", [{}, {"sort": "name"}])
def test_a_search_holds_for_every_script(service: Any, sort: dict[str, str]) -> None:
    names = {
        "A1": "दान पात्र",
        "A2": "दिन",
        "J1": "青い茶碗セット",
        "J2": "観光バスの本",
        "J3": "ハスの花",
        "H1": "เสื้อสีแดง",
        "K1": "KIRMIZI kazak",
        "C1": "C# in depth",
        "C2": "C++ primer",
        "W1": "Widget™ №5",
        "W2": "Resistor 10㏀",
    }
    for sku, name in names.items():
        service.add(sku=sku, name=name)
    searches = {
        "दान": ["A1"],
        "दिन": ["A2"],
        "茶碗": ["J1"],
        "茶": ["J1"],
        "バス": ["J2"],
        "ハス": ["J3"],
        "สีแดง": ["H1"],
        "kırmızı": ["K1"],
        "c#": ["C1"],
        "C++": ["C2"],
        "widget no 5": ["W1"],
        "10kω": ["W2"],
    }

    assert {q: service.skus(q=q, **sort) for q in searches} == searches


@pytest.mark.parametrize("sort", [{}, {"sort": "name"}, {"sort": "-price"}])
def test_a_compound_is_found_however_it_is_written_and_once(service: Any, sort: dict[str, str]) -> None:
    for number, name in enumerate(["T-Shirt", "Tshirt", "T shirt", "Shirt", "T-shirts, T-shirt"]):
        service.add(sku=f"S{number}", name=name, price=100 + number)

    for limit in ("1", "2", "20"):
        assert sorted(service.all_skus(q="t-shirt", limit=limit, **sort)[0]) == ["S0", "S1", "S2", "S4"]
    assert sorted(service.skus(q="tshirt", **sort)) == ["S0", "S1", "S4"]
    assert sorted(service.skus(q="t shirt ", **sort)) == ["S0", "S2", "S4"]


@pytest.mark.parametrize("sort", [{}, {"sort": "name"}])
def test_a_part_that_stands_in_a_name_several_times_finds_it_once(service: Any, sort: dict[str, str]) -> None:
    for number in range(3):
        service.add(sku=f"S{number}", name="東京東京都の東の京東京")

    assert sorted(service.all_skus(q="東", limit="1", **sort)[0]) == ["S0", "S1", "S2"]
    assert sorted(service.all_skus(q="東京", limit="2", **sort)[0]) == ["S0", "S1", "S2"]


def test_a_product_has_a_bounded_number_of_entries_and_beyond_them_is_found_with_another_word(service: Any) -> None:
    service.add(sku="L1", name="Ornament " + "".join(map(chr, range(0x4E00, 0x4E00 + 180))))
    last = chr(0x4E00 + 179)

    assert len(service.keys("WORD#")) == 40
    assert service.skus(q=chr(0x4E00 + 30)) == ["L1"]
    assert service.skus(q=last) == []
    assert service.skus(q=f"ornament {last}") == ["L1"]


def test_categories_that_differ_by_a_letter_s_mark_are_two(service: Any) -> None:
    service.add(sku="B1", category="バス")
    service.add(sku="H1", category="ハス")

    assert service.skus(category="バス") == ["B1"]
    assert service.call("GET", "")[1]["facets"]["category"] == [
        {"value": "ハス", "count": 1},
        {"value": "バス", "count": 1},
    ]


@pytest.mark.parametrize("query", [{"q": "𠮷"}, {"q": "𠮷", "sort": "name"}, {"sort": "name"}])
def test_pages_lead_on_where_the_names_are_long_in_bytes(service: Any, query: dict[str, str]) -> None:
    for number in range(3):
        service.add(sku=f"S{number}", name="𠮷" * 190)

    found, pages = service.all_skus(limit="1", **query)

    assert (sorted(found), pages) == (["S0", "S1", "S2"], 3)

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mercato.clock import utc_now
from mercato.errors import TransientError
from mercato.store.dynamo import ConditionFailed, KeyRange, Table, Write
from products import api, wiring
from products.store import Products

HEADER = "sku,name,price,currency,description,category"

OF_REQUESTS = ("IMPORT", "IDEMPOTENCY#")


def post(service: Any, *lines: str, header: str = HEADER) -> Any:
    status, report = service.call("POST", "/imports", "\n".join((header, *lines)))
    assert status == 201, report
    return report


def counts(report: Any) -> tuple[int, int, int, int]:
    return report["created"], report["updated"], report["unchanged"], len(report["refused"])


def test_good_rows_become_products_and_bad_ones_are_named(service: Any) -> None:
    report = post(
        service,
        "85123A,WHITE HANGING HEART,2.55,GBP,,Lights",
        '22245,"HOOK, 1 HANGER ,MAGIC GARDEN",0.85,GBP,"two',
        'lines",Garden',
        "22734,amazon,0.0,GBP,,",
        "",
        "21275,,1.25,GBP,,",
        "22139,AMAZON,0.001,GBP,,",
        "85123a,SAME AGAIN,2.55,GBP,,",
        "1,TOO,FEW",
        ",NO SKU,1.00,GBP,,",
        "2,EURO,1.00,EUR,,",
        "3,WORDS,one pound,GBP,,",
        "4,NEGATIVE,-1.50,GBP,,",
        "5,HUGE,99999999999999,GBP,,",
    )

    ids = {item["sku"]: item["product_id"] for item in service.call("GET", "")[1]["items"]}
    assert report == {
        "import_id": report["import_id"],
        "created": 2,
        "updated": 0,
        "unchanged": 0,
        "products": [{"sku": sku, "product_id": ids[sku]} for sku in ("85123A", "22245")],
        "refused": [
            {
                "line": 5,
                "sku": "22734",
                "reason": "A price must be above zero, not 0.00 GBP.",
                "column": "price",
                "value": "0.0",
            },
            {"line": 7, "sku": "21275", "reason": "name may not be empty", "column": "name", "value": ""},
            {
                "line": 8,
                "sku": "22139",
                "reason": "0.001 has more than the 2 decimals of GBP",
                "column": "price",
                "value": "0.001",
            },
            {"line": 9, "sku": "85123a", "reason": "this sku is on line 2 already", "column": "sku", "value": "85123a"},
            {"line": 10, "sku": "", "reason": "3 fields, where the header has 6", "column": "", "value": ""},
            {"line": 11, "sku": "", "reason": "sku may not be empty", "column": "sku", "value": ""},
            {
                "line": 12,
                "sku": "2",
                "reason": "This shop sells in GBP, not in EUR.",
                "column": "currency",
                "value": "EUR",
            },
            {
                "line": 13,
                "sku": "3",
                "reason": "'one pound' is not an amount, such as 2.55",
                "column": "price",
                "value": "one pound",
            },
            {
                "line": 14,
                "sku": "4",
                "reason": "A price must be above zero, not -1.50 GBP.",
                "column": "price",
                "value": "-1.50",
            },
            {
                "line": 15,
                "sku": "5",
                "reason": "99999999999999 GBP is too large",
                "column": "price",
                "value": "99999999999999",
            },
        ],
    }
    assert service.skus(sort="price") == ["22245", "85123A"]
    assert service.call("GET", "", query={"q": "heart"})[1]["items"][0]["price"] == {"amount": 255, "currency": "GBP"}


def test_imports_are_listed_the_newest_first_with_who_and_how_many(service: Any) -> None:
    first = post(service, "A1,One,2.5,GBP,,", "A2,Two,0,GBP,,")
    second = post(service, "A1,Another,2.5,GBP,,", "A3,Three,3,GBP,,")
    status, page = service.call("GET", "/imports", query={"limit": "1"})
    assert status == 200
    (newest,) = page["items"]
    about = {"import_id": second["import_id"], "actor": "user-1", "state": "done"}
    assert newest | about | {"created": 1, "updated": 1, "unchanged": 0, "refused": 0} == newest
    _, page = service.call("GET", "/imports", query={"cursor": page["next_cursor"]})
    assert [(one["import_id"], one["created"], one["refused"]) for one in page["items"]] == [(first["import_id"], 1, 1)]
    assert page["next_cursor"] is None
    assert service.call("GET", "/imports", role="customer")[0] == 403


def test_a_file_that_cannot_be_read_is_no_import(service: Any) -> None:
    assert service.call("POST", "/imports", "one,two\n1,2")[0] == 422
    assert service.call("GET", "/imports")[1]["items"] == []


def test_an_import_that_died_is_listed_as_interrupted(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise TransientError("died before the report")

    with monkeypatch.context() as patched:
        patched.setattr(Products, "save_report", die)
        assert service.call("POST", "/imports", f"{HEADER}\nA1,One,2.5,GBP,,", key="k-1")[0] == 503
    assert [one["state"] for one in service.call("GET", "/imports")[1]["items"]] == ["running"]
    monkeypatch.setattr(api, "utc_now", lambda: utc_now() + timedelta(minutes=2))
    assert [one["state"] for one in service.call("GET", "/imports")[1]["items"]] == ["interrupted"]
    status, report = service.call("POST", "/imports", f"{HEADER}\nA1,One,2.5,GBP,,", key="k-1")
    assert (status, counts(report)) == (201, (0, 0, 1, 0))


def test_refused_rows_are_kept_as_they_were_read(service: Any) -> None:
    lines = ("A1;One;2,5;GBP", "A2;'=Two;0;GBP", "A3;too few", 'A4;"broken')
    report = post(service, *lines, header="sku;name;price;currency")
    rows = {
        "separator": ";",
        "columns": ["sku", "name", "price", "currency"],
        "rows": [
            {"line": 3, "fields": ["A2", "=Two", "0", "GBP"]},
            {"line": 4, "fields": ["A3", "too few"]},
            {"line": 5, "fields": []},
        ],
    }
    assert service.call("GET", f"/imports/{report['import_id']}/rows") == (200, rows)
    assert service.call("GET", "/imports/nothing/rows")[0] == 404
    assert service.call("GET", f"/imports/{report['import_id']}/rows", role="customer")[0] == 403


def test_a_name_that_was_made_safe_for_spreadsheets_is_the_name_again(service: Any) -> None:
    assert counts(post(service, "A1,'=One,2.5,GBP,,", "A2,'Tis,2.5,GBP,,")) == (2, 0, 0, 0)
    assert sorted(one["name"] for one in service.call("GET", "")[1]["items"]) == ["'Tis", "=One"]


def test_a_whole_file_of_refused_rows_is_kept_on_several_items(service: Any) -> None:
    lines = [f"A{number},One,0,GBP,{'x' * 210}," for number in range(1000)]
    report = post(service, *lines)
    assert len(report["refused"]) == 1000
    status, found = service.call("GET", f"/imports/{report['import_id']}/rows")
    assert (status, [row["fields"][0] for row in found["rows"]]) == (200, [f"A{number}" for number in range(1000)])
    items = list(service.table.query_all(f"IMPORT#{report['import_id']}", KeyRange(prefix="ROWS#")))
    assert [len(item["rows"]) < 400_000 for item in items] == [True, True]


def test_staff_looks_products_up_by_their_ids(service: Any) -> None:
    one, two = service.add(), service.add("2", "Two")
    service.call("DELETE", f"/{two['product_id']}")
    asked = {"product_ids": f"{one['product_id']},{two['product_id']},unknown"}
    status, found = service.call("GET", "/lookup", query=asked)
    assert status == 200
    assert {summary["name"] for summary in found["products"]} == {"White hanging heart", "Two"}
    assert service.call("GET", "/lookup", query=asked, role="customer")[0] == 403
    many = {"product_ids": ",".join(str(number) for number in range(101))}
    assert service.call("GET", "/lookup", query=many)[1]["type"] == "urn:mercato:problem:too-many-products"


def test_the_report_can_be_read_later(service: Any) -> None:
    report = post(service, "A1,One,2.5,GBP,,", "A2,Two,0,GBP,,")

    assert service.call("GET", f"/imports/{report['import_id']}") == (200, report)
    assert service.call("GET", "/imports/nothing")[0] == 404
    assert service.call("GET", f"/imports/{report['import_id']}", role="customer")[0] == 403


def test_the_same_import_again_changes_nothing(service: Any) -> None:
    lines = ("A1,One,2.5,GBP,First,Garden", "A2,Two,3,GBP,,")
    post(service, *lines)
    before = {str(item) for item in service.items() if not item["pk"]["S"].startswith(OF_REQUESTS)}

    report = post(service, *lines)

    assert counts(report) == (0, 0, 2, 0)
    assert {str(item) for item in service.items() if not item["pk"]["S"].startswith(OF_REQUESTS)} == before


def test_known_skus_are_updated_where_they_differ(service: Any) -> None:
    one = service.add(sku="A1", name="One", price=250, description="Kept", category="Kept")
    two = service.add(sku="A2", name="Two", price=300)

    report = post(service, "a1,One,2.75,GBP", "A2,Two,3.00,GBP", header="sku,name,price,currency")

    assert counts(report) == (0, 1, 1, 0)
    assert report["products"] == [{"sku": made["sku"], "product_id": made["product_id"]} for made in (one, two)]
    changed = service.call("GET", f"/{one['product_id']}")[1]
    assert changed == one | {"price": {"amount": 275, "currency": "GBP"}, "version": 2, "related": []}
    assert [event[1] for event in service.events(one["product_id"])] == ["product.created", "product.price_changed"]


def test_the_sku_of_a_discontinued_product_is_free_for_another_and_the_old_one_stays_gone(service: Any) -> None:
    one = service.add(sku="A1")
    service.call("DELETE", f"/{one['product_id']}")

    report = post(service, "A1,New under an old number,2.75,GBP,,")

    assert (report["created"], report["refused"]) == (1, [])
    (made,) = report["products"]
    assert made["product_id"] != one["product_id"]
    assert service.skus() == ["A1"]
    assert service.call("GET", f"/{one['product_id']}")[1]["status"] == "discontinued"


def test_three_hundred_rows_take_thirty_four_transactions(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    transactions: list[list[Write]] = []
    monkeypatch.setattr(Table, "transact", lambda table, writes, **more: transactions.append(writes))

    report = post(service, *(f"S{n},RED RETROSPOT GIFT BAG NUMBER {n},1.{n % 100:02d},GBP,,Bags" for n in range(300)))

    assert counts(report) == (300, 0, 0, 0)
    *transactions, about = transactions
    assert len(about) == 2  # the report, and its place in the list
    assert len(transactions) == 34
    assert {len(writes) for writes in transactions} == {100, 34}
    for writes in transactions:
        keys = [str(write.parameters.get("Key") or key_of(write.parameters["Item"])) for write in writes]
        assert len(set(keys)) == len(keys)


def key_of(item: dict[str, Any]) -> dict[str, Any]:
    return {"pk": item["pk"], "sk": item["sk"]}


def test_products_of_one_transaction_are_counted_together(service: Any) -> None:
    post(service, *(f"S{n},Bag {n},1.00,GBP,,{'Bags' if n % 3 else 'Boxes'}" for n in range(12)))

    assert service.call("GET", "")[1]["facets"]["category"] == [
        {"value": "Bags", "count": 8},
        {"value": "Boxes", "count": 4},
    ]
    assert len(service.keys("SKU#")) == len(service.keys("OUTBOX#")) == 12


def test_a_product_made_by_somebody_else_meanwhile_spoils_no_other_row(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.add(sku="A2", name="Theirs")
    monkeypatch.setattr(wiring.ports().products, "get_by_skus", lambda skus: {})

    report = post(service, "A1,One,1,GBP,,", "A2,Ours,2,GBP,,", "A3,Three,3,GBP,,")

    assert counts(report) == (2, 0, 0, 1)
    assert report["refused"] == [
        {"line": 3, "sku": "A2", "reason": "changed by another request during the import; import it again"}
        | {"column": "", "value": ""}
    ]
    assert service.skus(q="theirs") == ["A2"]
    assert service.skus(q="ours") == []


def test_an_import_that_died_in_the_middle_is_completed_by_the_next(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"S{n},RED RETROSPOT GIFT BAG NUMBER {n},1.00,GBP,," for n in range(30)]
    transact = Table.transact
    done: list[int] = []

    def dying(table: Table, writes: list[Write], **more: Any) -> None:
        if done:
            raise MemoryError
        done.append(len(writes))
        transact(table, writes, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "transact", dying)
        assert service.call("POST", "/imports", "\n".join((HEADER, *lines)))[0] == 500
    written = len(service.keys("SKU#"))

    report = post(service, *lines)

    assert 0 < written < 30
    assert counts(report) == (30 - written, 0, written, 0)
    assert len(service.keys("SKU#")) == len(service.keys("OUTBOX#")) == 30


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ("", 422, "wrong-columns"),
        ("sku,name,price\nA,B,1", 422, "wrong-columns"),
        ("sku,name,price,currency,colour\n", 422, "wrong-columns"),
        ("sku,name,price,currency,sku\n", 422, "wrong-columns"),
        ('{"sku": "A"}', 422, "wrong-columns"),
        (HEADER + "\n" + "A,B,1,GBP,,\n" * 1001, 422, "import-too-long"),
        (HEADER + "\n" + "x" * 256 * 1024, 413, "too-large"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused_whole(service: Any, body: str, status: int, slug: str) -> None:
    found, problem = service.call("POST", "/imports", body)

    assert (found, problem["type"]) == (status, f"urn:mercato:problem:{slug}")
    assert service.items() == []


def test_a_lost_condition_is_no_error_of_the_server(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(table: Table, writes: list[Write], **more: Any) -> None:
        raise ConditionFailed(0, None)

    monkeypatch.setattr(Table, "transact", lose)

    assert counts(post(service, "A1,One,1,GBP,,")) == (0, 0, 0, 1)


def test_a_category_that_grows_when_it_is_folded_is_listed_and_counted(service: Any) -> None:
    category = "\ufdfa" * 40

    report = post(service, f"A1,One,1,GBP,,{category}", "A2,Two,2,GBP,,Garden")

    assert counts(report) == (2, 0, 0, 0)
    assert service.skus(category=category) == ["A1"]
    assert {"value": category, "count": 1} in service.call("GET", "")[1]["facets"]["category"]


def test_no_key_of_a_product_is_longer_than_dynamodb_takes(service: Any) -> None:
    post(service, f"A1,{chr(0xFDFA) * 200},1,GBP,,{chr(0xFDFA) * 200}")

    assert service.skus() == ["A1"]
    for item in service.items():
        for name, value in item.items():
            if name.endswith(("pk", "sk")):
                assert len(value["S"].encode()) <= (2048 if name.endswith("pk") else 1024), name

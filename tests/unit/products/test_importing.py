from __future__ import annotations

from datetime import datetime

import pytest

from mercato.money import Money
from products.domain import Draft, create
from products.importing import Refusal, UnreadableCsv, WrongColumns, plan, read_rows


def read(text: str) -> tuple[list[tuple[int, str]], list[Refusal]]:
    found = read_rows(text.encode(), "GBP")
    rows, refused = found.valid, found.refused
    return [(row.line, row.draft.sku) for row in rows], refused


def test_columns_come_in_any_order_case_and_line_ending() -> None:
    assert read("\ufeffPrice, SKU ,name,currency\r\n2.55,a1,One,GBP\r\n") == ([(2, "A1")], [])


def test_a_refused_row_names_the_line_on_which_it_begins() -> None:
    rows, refused = read(
        'sku,name,price,currency,description\nA,One,1,GBP,"a\nb\nc"\n\nB,Two,free,GBP,\nC,Three,3,GBP,\n'
    )

    assert rows == [(2, "A"), (7, "C")]
    assert refused == [Refusal(6, "B", "'free' is not an amount, such as 2.55", "price", "free")]


def test_a_broken_quote_refuses_its_row_and_no_other() -> None:
    rows, refused = read('sku,name,price,currency\nA,"One" two,1,GBP\nB,Two,2,GBP\n')

    assert rows == [(3, "B")]
    assert [(row.line, row.sku) for row in refused] == [(2, "")]
    assert refused[0].reason.startswith("not CSV: ")


def test_a_quote_that_never_ends_refuses_what_it_swallows() -> None:
    rows, refused = read('sku,name,price,currency\nA,One,1,GBP\nB,"Two,2,GBP\nC,Three,3,GBP\n')

    assert rows == [(2, "A")]
    assert [row.line for row in refused] == [3]


def test_a_refused_sku_is_free_for_a_later_row() -> None:
    rows, refused = read("sku,name,price,currency\nA,One,0,GBP\nA,One,1,GBP\n")

    assert rows == [(3, "A")]
    assert [row.line for row in refused] == [2]


@pytest.mark.parametrize("price", ["1e3", "1,50", "+1", "0x1", "NaN", "٣", "", "£2", " ", ".", "2.551", "1,234.50"])
def test_a_price_that_is_no_plain_decimal_is_refused(price: str) -> None:
    rows, refused = read(f'sku,name,price,currency\nA,One,"{price}",GBP\n')

    assert (rows, len(refused)) == ([], 1)


@pytest.mark.parametrize(
    ("price", "amount"),
    [
        ("2.55", 255),
        ("2.1", 210),
        ("18", 1800),
        ("569.77", 56977),
        ("0.07", 7),
        ("34.000000", 3400),
        ("2.550", 255),
        (".99", 99),
        ("18.", 1800),
    ],
)
def test_a_price_is_exact(price: str, amount: int) -> None:
    rows = read_rows(f"sku,name,price,currency\nA,One,{price},GBP\n".encode(), "GBP").valid

    assert [row.draft.price.amount for row in rows] == [amount]


def test_bytes_that_are_no_text_are_refused_whole() -> None:
    with pytest.raises(UnreadableCsv):
        read_rows(b"sku,name,price,currency\nA,\xa340 voucher,40,GBP\n", "GBP")


def test_an_empty_file_is_refused_whole() -> None:
    with pytest.raises(WrongColumns):
        read_rows(b"\n\n", "GBP")


@pytest.mark.parametrize(
    "body",
    [
        b"sku;name;price;currency\r\nA;Lampe;2,55;GBP\r\n",
        b"sku\tname\tprice\tcurrency\nA\tLampe\t2.55\tGBP\n",
        b"sep=;\r\nsku;name;price;currency\r\nA;Lampe;2,55;GBP\r\n",
        b"sku,name,price,currency\rA,Lampe,2.55,GBP\r",
        b"\xef\xbb\xbfsku,name,price,currency\r\nA,Lampe,2.55,GBP\r\n",
        "\ufeffsku,name,price,currency\r\nA,Lampe,2.55,GBP\r\n".encode("utf-16-le"),
        "\ufeffsku\tname\tprice\tcurrency\r\nA\tLampe\t2,55\tGBP\r\n".encode("utf-16-be"),
    ],
)
def test_a_file_is_read_as_offices_write_it(body: bytes) -> None:
    found = read_rows(body, "GBP")
    rows, refused = found.valid, found.refused

    assert refused == []
    assert [(row.draft.sku, row.draft.name, row.draft.price.amount) for row in rows] == [("A", "Lampe", 255)]


def test_a_line_that_names_the_separator_counts_as_a_line() -> None:
    rows, refused = read("sep=;\nsku;name;price;currency\nA;One;1;GBP\nB;Two;free;GBP\n")

    assert (rows, [row.line for row in refused]) == ([(3, "A")], [4])


def test_a_declared_charset_is_the_one_that_is_read() -> None:
    body = b"sku,name,price,currency\r\nA,K\xe4se am St\xfcck \x96 2,2.55,GBP\r\n"

    rows = read_rows(body, "GBP", "windows-1252").valid

    assert [row.draft.name for row in rows] == ["Käse am Stück \u2013 2"]


def test_a_separator_that_is_not_taken_is_named() -> None:
    for text in ("sep=|\nsku|name|price|currency\n", "sku|name|price|currency\n"):
        with pytest.raises(WrongColumns, match="commas, semicolons or tabs"):
            read(text)


@pytest.mark.parametrize("price", ["1,500", "1.500", "1.234,50", "2,555", "1,50,00", ","])
def test_a_price_that_may_be_thousands_is_refused_by_name(price: str) -> None:
    rows, refused = read(f"sku;name;price;currency\nA;One;{price};GBP\n")

    assert (rows, len(refused)) == ([], 1)


@pytest.mark.parametrize(
    ("price", "amount"), [("18,50", 1850), ("18,5", 1850), (",99", 99), ("18,", 1800), ("18.50", 1850)]
)
def test_a_decimal_comma_is_taken_where_commas_separate_nothing(price: str, amount: int) -> None:
    found = read_rows(f"sku;name;price;currency\nA;One;{price};GBP\n".encode(), "GBP")
    rows, refused = found.valid, found.refused

    assert ([row.draft.price.amount for row in rows], refused) == ([amount], [])


def test_what_exports_of_other_shops_have_is_taken() -> None:
    sku, category, description = "A&B #3 (red)", "Home > Kitchen > " * 8 + "Cups", "<p>Brass</p>" * 400
    rows, refused = read(f"sku,name,price,currency,category,description\n{sku},One,1,GBP,{category},{description}\n")

    assert (rows, refused) == ([(2, "A&B #3 (RED)")], [])


def test_a_refused_sku_is_told_in_words() -> None:
    _, refused = read("sku,name,price,currency\n=A1,One,1,GBP\n")

    assert [row.reason for row in refused] == [
        "sku must begin with a letter, a digit or (, and may have visible ASCII characters and spaces only"
    ]


def test_a_weight_and_a_tax_class_are_optional_columns() -> None:
    header = "sku,name,price,currency,weight_grams,tax_class\n"
    found = read_rows((header + "A,One,1,GBP,250,reduced\nB,Two,1,GBP,,\n").encode(), "GBP")

    assert found.refused == []
    assert [(row.draft.weight_grams, row.draft.tax_class) for row in found.valid] == [(250, "reduced"), (0, "standard")]


@pytest.mark.parametrize(
    ("fields", "column", "reason"),
    [
        ("0.25,standard", "weight_grams", "must be a whole number of grams, such as 250"),
        ("-5,standard", "weight_grams", "must be a whole number of grams, such as 250"),
        ("1 kg,standard", "weight_grams", "must be a whole number of grams, such as 250"),
        ("1000001,standard", "weight_grams", "weight_grams must be 1000000 or less"),
        (
            "1,20 %",
            "tax_class",
            "tax_class must begin with a small letter, and may have small letters, digits, - and _ only",
        ),
    ],
)
def test_a_weight_or_a_tax_class_that_is_none_is_refused_by_its_column(fields: str, column: str, reason: str) -> None:
    _, refused = read(f"sku,name,price,currency,weight_grams,tax_class\nA,One,1,GBP,{fields}\n")

    assert [(row.column, row.reason) for row in refused] == [(column, reason)]


def test_an_empty_weight_or_tax_class_does_not_change_the_product_s(noon: datetime) -> None:
    draft = Draft(sku="A", name="One", price=Money(amount=100, currency="GBP"), weight_grams=250, tax_class="reduced")
    product = create(draft, "GBP", "p1", noon)

    def planned(row: str) -> list[tuple[int, str]]:
        text = f"sku,name,price,currency,weight_grams,tax_class\nA,One,1,GBP,{row}\n"
        rows = read_rows(text.encode(), "GBP").valid
        changes = plan(rows, {"A": product}, "GBP", lambda: "new", noon).changes
        return [(changed.after.weight_grams, changed.after.tax_class) for _, changed in changes]

    assert planned(",") == []
    assert planned("0,") == [(0, "reduced")]
    assert planned(",zero") == [(250, "zero")]

from __future__ import annotations

import pytest

from products.importing import Refusal, UnreadableCsv, WrongColumns, read_rows


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

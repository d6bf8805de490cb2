from __future__ import annotations

import pytest

from products.importing import Refusal, UnreadableCsv, WrongColumns, read_rows


def read(text: str) -> tuple[list[tuple[int, str]], list[Refusal]]:
    rows, refused = read_rows(text.encode(), "GBP")
    return [(row.line, row.draft.sku) for row in rows], refused


def test_columns_come_in_any_order_case_and_line_ending() -> None:
    assert read("\ufeffPrice, SKU ,name,currency\r\n2.55,a1,One,GBP\r\n") == ([(2, "A1")], [])


def test_a_refused_row_names_the_line_on_which_it_begins() -> None:
    rows, refused = read(
        'sku,name,price,currency,description\nA,One,1,GBP,"a\nb\nc"\n\nB,Two,free,GBP,\nC,Three,3,GBP,\n'
    )

    assert rows == [(2, "A"), (7, "C")]
    assert refused == [Refusal(6, "B", "'free' is not an amount, such as 2.55")]


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


@pytest.mark.parametrize("price", ["2.550", "1e3", "1,50", "+1", "0x1", "NaN", "٣", "", "£2", " ", "1.", ".5"])
def test_a_price_that_is_no_plain_decimal_is_refused(price: str) -> None:
    rows, refused = read(f'sku,name,price,currency\nA,One,"{price}",GBP\n')

    assert (rows, len(refused)) == ([], 1)


@pytest.mark.parametrize(
    ("price", "amount"), [("2.55", 255), ("2.1", 210), ("18", 1800), ("569.77", 56977), ("0.07", 7)]
)
def test_a_price_is_exact(price: str, amount: int) -> None:
    rows, _ = read_rows(f"sku,name,price,currency\nA,One,{price},GBP\n".encode(), "GBP")

    assert [row.draft.price.amount for row in rows] == [amount]


def test_bytes_that_are_no_text_are_refused_whole() -> None:
    with pytest.raises(UnreadableCsv):
        read_rows(b"sku,name,price,currency\nA,\xa340 voucher,40,GBP\n", "GBP")


def test_an_empty_file_is_refused_whole() -> None:
    with pytest.raises(WrongColumns):
        read_rows(b"\n\n", "GBP")

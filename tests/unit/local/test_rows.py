from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.replay.report import assumptions
from infra.replay.rows import COLUMNS, Line, NotAnInvoiceFile, Reading, Refusal, read_file, read_invoices

GOOD = {
    "InvoiceNo": "536365",
    "StockCode": "85123A",
    "Description": "WHITE HANGING HEART T-LIGHT HOLDER",
    "Quantity": "6",
    "InvoiceDate": "2010-12-01 08:26:00",
    "UnitPrice": "2.55",
    "CustomerID": "17850.0",
    "Country": "United Kingdom",
}


def read(*rows: dict[str, str]) -> Reading:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    writer.writerows(GOOD | row for row in rows)
    out.seek(0)
    return read_invoices(out)


def test_a_good_row_is_a_line_in_pence() -> None:
    (invoice,) = read({}).invoices
    assert (invoice.number, invoice.customer, invoice.country) == ("536365", "17850", "GB")
    assert invoice.lines == [Line(2, "85123A", "WHITE HANGING HEART T-LIGHT HOLDER", 6, 255)]
    assert invoice.total == 1530


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"InvoiceNo": "C536379", "Quantity": "-1"}, "cancellation"),
        ({"InvoiceNo": "c536379", "Quantity": "1"}, "cancellation"),
        ({"InvoiceNo": "A563185", "UnitPrice": "11062.06"}, "not-a-sale"),
        ({"InvoiceNo": " "}, "no-invoice-number"),
        ({"Quantity": "-2"}, "negative-quantity"),
        ({"Quantity": "-2", "UnitPrice": "0.0"}, "negative-quantity"),
        ({"Quantity": "0"}, "zero-quantity"),
        ({"Quantity": "six"}, "unreadable-quantity"),
        ({"Quantity": "1.5"}, "unreadable-quantity"),
        ({"Quantity": "100001"}, "quantity-too-large"),
        ({"UnitPrice": "0.0"}, "zero-price"),
        ({"UnitPrice": "-3.00"}, "negative-price"),
        ({"UnitPrice": "0.001"}, "price-below-a-penny"),
        ({"UnitPrice": "2.555"}, "price-not-in-pence"),
        ({"UnitPrice": "free"}, "unreadable-price"),
        ({"UnitPrice": "NaN"}, "unreadable-price"),
        ({"UnitPrice": "Infinity"}, "unreadable-price"),
        ({"UnitPrice": ""}, "unreadable-price"),
        ({"UnitPrice": "99999999999"}, "price-too-large"),
        ({"StockCode": "  "}, "no-stock-code"),
        ({"StockCode": "a\u0000b"}, "unreadable-stock-code"),
        ({"StockCode": "X" * 41}, "unreadable-stock-code"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_reason(row: dict[str, str], reason: str) -> None:
    reading = read({}, row, {"InvoiceNo": "536366"})
    number, code = (GOOD | row)["InvoiceNo"].strip().upper(), (GOOD | row)["StockCode"].strip()
    (refusal,) = reading.refused
    assert (refusal.line, refusal.invoice, refusal.stock_code, refusal.reason) == (3, number, code, reason)
    assert [invoice.number for invoice in reading.invoices] == ["536365", "536366"]
    assert reading.rows == 3


@pytest.mark.parametrize("customer", ["", " ", "0", "0.0"])
def test_an_invoice_that_names_no_customer_is_a_walk_ins(customer: str) -> None:
    (invoice,) = read({"CustomerID": customer}).invoices
    assert invoice.customer == ""


@pytest.mark.parametrize("description", ["", "   ", "?", "??", "20713", "\x07"])
def test_a_description_that_says_nothing_gives_way_to_the_stock_code(description: str) -> None:
    (invoice,) = read({"Description": description, "StockCode": "gift_0001_40"}).invoices
    assert invoice.lines[0].name == "GIFT_0001_40"


def test_a_description_loses_its_odd_spaces_and_keeps_its_letters() -> None:
    (invoice,) = read({"Description": "  Dotcomgiftshop  Gift\tVoucher £40.00 "}).invoices
    assert invoice.lines[0].name == "Dotcomgiftshop Gift Voucher £40.00"


@pytest.mark.parametrize("code", ["POST", "DOT", "M", "BANK CHARGES", "C2"])
def test_codes_that_are_no_goods_are_products_like_others(code: str) -> None:
    (invoice,) = read({"StockCode": code}).invoices
    assert invoice.lines[0].code == code


def test_the_rows_of_an_invoice_are_one_order_also_where_they_lie_apart() -> None:
    reading = read({}, {"InvoiceNo": "536366"}, {"StockCode": "71053"})
    assert [(invoice.number, [line.code for line in invoice.lines]) for invoice in reading.invoices] == [
        ("536365", ["85123A", "71053"]),
        ("536366", ["85123A"]),
    ]


def test_the_same_article_at_the_same_price_is_one_line() -> None:
    (invoice,) = read({}, {"StockCode": "85123a", "Quantity": "4"}, {"UnitPrice": "2.95"}).invoices
    assert [(line.code, line.quantity, line.price) for line in invoice.lines] == [
        ("85123A", 10, 255),
        ("85123A", 6, 295),
    ]


def test_quantities_that_add_up_to_more_than_an_order_takes_are_refused() -> None:
    reading = read({"Quantity": "100000"}, {"Quantity": "1"})
    assert [refusal.reason for refusal in reading.refused] == ["quantity-too-large"]
    assert reading.invoices[0].lines[0].quantity == 100_000


def test_what_goes_past_five_hundred_lines_is_refused() -> None:
    reading = read(*({"StockCode": str(code)} for code in range(502)))
    assert len(reading.invoices[0].lines) == 500
    assert [(refusal.line, refusal.reason) for refusal in reading.refused] == [
        (502, "invoice-too-long"),
        (503, "invoice-too-long"),
    ]


def test_an_invoice_without_a_good_row_is_no_sale() -> None:
    assert read({"Quantity": "-1"}).invoices == []


def test_a_row_with_too_few_or_too_many_columns_is_refused() -> None:
    header = ",".join(COLUMNS)
    text = f"{header}\n536365,A,name,1\n536366,A,name,1,2010-12-01 08:26:00,1.00,1,France,more\n"
    reading = read_invoices(io.StringIO(text))
    assert [(refusal.line, refusal.reason) for refusal in reading.refused] == [
        (2, "wrong-number-of-columns"),
        (3, "wrong-number-of-columns"),
    ]


def test_line_numbers_are_those_of_an_editor_after_breaks_and_blank_lines() -> None:
    header = ",".join(COLUMNS)
    text = (
        f'{header}\n536365,A,"two\nlines",1,2010-12-01 08:26:00,1.00,1.0,France\n'
        '\n536366,B,"two\nlines",-1,2010-12-01 08:26:00,1.00,1.0,France\n'
    )
    reading = read_invoices(io.StringIO(text))
    assert reading.invoices[0].lines[0] == Line(2, "A", "two lines", 1, 100)
    assert reading.refused == [Refusal(5, "536366", "B", "negative-quantity", "Quantity", "-1")]


def test_a_file_of_another_kind_is_said_so() -> None:
    with pytest.raises(NotAnInvoiceFile, match="no column StockCode, UnitPrice"):
        read_invoices(io.StringIO("InvoiceNo,Description,Quantity,InvoiceDate,CustomerID,Country\n"))
    with pytest.raises(NotAnInvoiceFile):
        read_invoices(io.StringIO(""))


@pytest.mark.parametrize("customer", ["17850", "17850.0", " 17850 ", "17,850", "17,850.0"])
def test_a_customer_is_known_however_a_spreadsheet_wrote_the_number(customer: str) -> None:
    (invoice,) = read({"CustomerID": customer}).invoices
    assert invoice.customer == "17850"


@pytest.mark.parametrize("customer", ["CUST-17", "nobody", "17,85", "-3", "1.5", "١٧"])
def test_a_customer_who_cannot_be_read_is_refused_and_is_no_walk_in(customer: str) -> None:
    reading = read({"CustomerID": customer})
    assert reading.invoices == []
    assert reading.refused == [Refusal(2, "536365", "85123A", "unreadable-customer", "CustomerID", customer)]


@pytest.mark.parametrize(
    ("country", "code"),
    [
        ("Nigeria", "NG"),
        ("Thailand", "TH"),
        ("Ireland", "IE"),
        ("EIRE", "IE"),
        ("Iran", "IR"),
        ("Republic of Korea", "KR"),
        ("South Korea", "KR"),
        ("Czech Republic", "CZ"),
        ("RSA", "ZA"),
        ("USA", "US"),
        ("united  kingdom", "GB"),
        ("DE", "DE"),
        ("Côte d'Ivoire", "CI"),
    ],
)
def test_a_country_is_known_by_the_names_that_people_write(country: str, code: str) -> None:
    reading = read({"Country": country})
    assert [invoice.country for invoice in reading.invoices] == [code]
    assert reading.assumed == {}


@pytest.mark.parametrize("country", ["Korea", "West Indies", "Atlantis", "", "36"])
def test_a_name_that_no_country_has_is_refused_by_name_and_not_sent_home(country: str) -> None:
    reading = read({"Country": country})
    assert reading.invoices == []
    assert reading.refused == [Refusal(2, "536365", "85123A", "unknown-country", "Country", country)]


def test_what_is_assumed_of_a_country_is_counted() -> None:
    reading = read({"Country": "Unspecified"}, {"Country": "Channel Islands", "InvoiceNo": "536366"})
    assert [invoice.country for invoice in reading.invoices] == ["GB", "JE"]
    assert reading.assumed == {"Unspecified is GB": 1, "Channel Islands is JE": 1}


@pytest.mark.parametrize(("price", "pence"), [("34.000000", 3400), (".99", 99), ("18.", 1800), ("1,850.50", 185050)])
def test_an_exact_price_is_taken_however_it_is_written(price: str, pence: int) -> None:
    (invoice,) = read({"UnitPrice": price}).invoices
    assert invoice.lines[0].price == pence


@pytest.mark.parametrize("price", ["1e2", "0x10", "1_000", "٣", "1,85", "1.000.000"])
def test_a_price_that_only_a_machine_would_read_is_refused(price: str) -> None:
    assert [refusal.reason for refusal in read({"UnitPrice": price}).refused] == ["unreadable-price"]


def test_a_description_longer_than_a_products_name_is_refused_and_not_cut() -> None:
    (refusal,) = read({"Description": "x" * 201}).refused
    assert (refusal.reason, refusal.column) == ("description-too-long", "Description")


@pytest.mark.parametrize(
    ("first", "separator", "name"),
    [("", ";", "semicolon"), ("", "\t", "tab"), ("sep=;\n", ";", "semicolon"), ("sep=\t\n", "\t", "tab")],
)
def test_a_file_with_another_separator_has_decimal_commas(first: str, separator: str, name: str) -> None:
    row = ["630001", "22633", "HAND, WARMER", "1", "01.12.2010 8:28", "1,85", "17850", "United Kingdom"]
    reading = read_invoices(io.StringIO(first + separator.join(COLUMNS) + "\r\n" + separator.join(row) + "\r\n"))
    assert (reading.separator, reading.refused) == (name, [])
    assert [line.price for line in reading.invoices[0].lines] == [185]


def test_a_number_that_can_be_read_in_two_ways_is_refused() -> None:
    row = ["630001", "22633", "HAND WARMER", "1", "", "1,850", "17850", "France"]
    reading = read_invoices(io.StringIO(";".join(COLUMNS) + "\n" + ";".join(row)))
    assert [(one.reason, one.column, one.value) for one in reading.refused] == [
        ("ambiguous-number", "UnitPrice", "1,850")
    ]


def test_a_separator_that_no_office_uses_is_named() -> None:
    with pytest.raises(NotAnInvoiceFile, match=r"separated by '\|': save it with commas, semicolons or tabs"):
        read_invoices(io.StringIO("sep=|\n" + "|".join(COLUMNS)))


def test_bytes_of_no_alphabet_are_named_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "invoices.csv"
    path.write_bytes(",".join(COLUMNS).encode() + b"\n\x81\xff")
    with pytest.raises(NotAnInvoiceFile, match="no UTF-8 or Windows-1252 text: byte 0x81 at position 82"):
        read_file(path)


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00"), max_size=12)


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(COLUMNS, FIELDS)), max_size=8))
def test_every_row_is_taken_as_it_says_or_refused_by_line_and_reason(rows: list[dict[str, str]]) -> None:
    reading = read(*rows)
    refused = {refusal.line: refusal for refusal in reading.refused}
    assert reading.rows == len(rows)
    assert all(refusal.reason for refusal in reading.refused)
    assert len(rows) - len(refused) >= sum(len(invoice.lines) for invoice in reading.invoices)
    numbers = {(GOOD | row)["InvoiceNo"].strip().upper() for line, row in enumerate(rows, 2) if line not in refused}
    assert numbers == {invoice.number for invoice in reading.invoices}


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("cp1252", "Windows-1252"), ("utf-16", "UTF-16")],
)
def test_a_pound_sign_is_read_whatever_the_file_was_saved_as_and_the_report_says_how(
    tmp_path: Path, encoding: str, name: str
) -> None:
    path = tmp_path / "invoices.csv"
    path.write_text(",".join(COLUMNS) + "\n1,A,£40,1,2010-12-01 08:26:00,1.00,1.0,France\n", encoding=encoding)
    reading = read_file(path)
    assert (reading.rows, reading.refused) == (1, [])
    assert assumptions(reading)[f"the file is {name} text"] == 0

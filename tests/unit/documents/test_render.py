"""PDFs of documents: the same bytes each time, all texts in them, on as many pages as it takes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from fpdf import FPDF

from documents import domain, fallback, render
from documents.domain import Address, Document, DocumentKind, Line, LineKind, Seller
from mercato.money import Money

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADA = Address(name="Ada Lovelace", line1="12 St James's Square", city="London", postcode="SW1Y 4JH", country="GB")


def line(description: str = "Red mug", amount: int = 2500, currency: str = "GBP", **changes: object) -> Line:
    about = {"rate": "0.2000", "tax_class": "standard", "jurisdiction": "GB", "sku": "MUG"} | changes
    money = {"amount": Money(amount=amount, currency=currency), "tax": Money(amount=amount // 6, currency=currency)}
    return Line(kind=LineKind.GOODS, description=description, quantity=1, **about, **money)


def document(*lines: Line, kind: DocumentKind = DocumentKind.INVOICE, buyer: Address | None = ADA) -> Document:
    lines = lines or (line(),)
    currency = lines[0].amount.currency
    draft = domain.Draft(
        document_id="d-1",
        kind=kind,
        order_id="o-1",
        order_number="K7QF2-M9X40",
        ordered_at=NOON,
        customer_id="c-1",
        payment_id="p-1",
        seller=Seller(name="Mercato Ltd", address=["1 Quay", "Leith"], tax_id="GB 1", note="Thank you.\nSee you."),
        buyer=buyer,
        delivery_address=buyer,
        delivery="Standard",
        lines=lines,
        taxes=domain.taxes_of(lines),
        total=Money.sum((one.amount for one in lines), currency),
        tax=Money.sum((one.tax for one in lines), currency),
        invoice_number="INV-2026-000001" if kind is DocumentKind.CREDIT_NOTE else None,
        reason="It was damaged" if kind is DocumentKind.CREDIT_NOTE else None,
    )
    return domain.with_number(draft, domain.series_of(kind, NOON), 17, NOON)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Callable[[Document], tuple[list[str], int]]:
    """Renders a document. Returns the texts as they are put on the pages, and how many pages there are."""
    texts: list[str] = []
    pages: list[int] = []
    cell, multi_cell, output = FPDF.cell, FPDF.multi_cell, FPDF.output

    def note_cell(self: FPDF, w: Any = None, h: Any = None, text: str = "", *args: Any, **how: Any) -> Any:
        texts.append(text)
        return cell(self, w, h, text, *args, **how)

    def note_cells(self: FPDF, w: Any, h: Any = None, text: str = "", *args: Any, **how: Any) -> Any:
        texts.append(text)
        return multi_cell(self, w, h, text, *args, **how)

    def note_pages(self: FPDF, *args: Any, **how: Any) -> Any:
        pages.append(self.page_no())
        return output(self, *args, **how)

    monkeypatch.setattr(FPDF, "cell", note_cell)
    monkeypatch.setattr(FPDF, "multi_cell", note_cells)
    monkeypatch.setattr(FPDF, "output", note_pages)

    def play(given: Document) -> tuple[list[str], int]:
        assert render.render(given).startswith(b"%PDF-")
        return texts, pages[-1]

    return play


_AGAIN = """
import hashlib, sys
from documents import render
from tests.unit.documents.test_render import document, line
print(hashlib.sha256(render.render(document(line("Mug 山 राम")))).hexdigest())
"""


def test_the_bytes_are_the_same_in_every_process() -> None:
    here = hashlib.sha256(render.render(document(line("Mug 山 राम")))).hexdigest()
    other = subprocess.run(
        [sys.executable, "-c", _AGAIN], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert other.stdout.strip() == here


def test_a_tax_rate_of_three_decimals_is_whole_on_the_invoice(
    written: Callable[[Document], tuple[list[str], int]],
) -> None:
    texts, _ = written(document(line(rate="0.08875", jurisdiction="US-NY")))
    assert "Net at 8.875 % US-NY" in texts


def test_an_invoice_says_all_that_it_must(written: Callable[[Document], tuple[list[str], int]]) -> None:
    texts, pages = written(document(line(unit_price=Money(amount=2500, currency="GBP"))))
    assert pages == 1
    for text in (
        "Invoice",
        "Mercato Ltd",
        "VAT number: GB 1",
        "INV-2026-000017",
        "K7QF2-M9X40",
        "2026-11-22",
        "Ada Lovelace",
        "SW1Y 4JH London",
        "Red mug\nMUG",
        "Net at 20 % GB",
        "20.84 GBP",
        "4.16 GBP",
        "25.00 GBP",
        "Paid in full. No payment is due.",
    ):
        assert text in texts, text


def test_the_invoice_is_billed_to_its_own_address(written: Callable[[Document], tuple[list[str], int]]) -> None:
    office = Address(name="Engines Ltd", line1="9 Rue de la Paix", city="Paris", postcode="75002", country="FR")
    texts, _ = written(document(buyer=office).model_copy(update={"delivery_address": ADA}))
    billed, delivered = texts.index("Billed to"), texts.index("Delivered to")
    assert texts[billed + 1 : billed + 3] == ["Engines Ltd", "9 Rue de la Paix"]
    assert texts[delivered + 1] == "Ada Lovelace"


def test_a_credit_note_names_its_invoice_and_reason(written: Callable[[Document], tuple[list[str], int]]) -> None:
    texts, _ = written(document(kind=DocumentKind.CREDIT_NOTE))
    assert {"Credit note", "CRN-2026-000017", "INV-2026-000001", "Credited", "Reason: It was damaged"} <= set(texts)
    assert "Paid in full. No payment is due." not in texts


@pytest.mark.parametrize(("currency", "shown"), [("JPY", "2500 JPY"), ("GBP", "25.00 GBP"), ("KWD", "2.500 KWD")])
def test_amounts_have_their_currencys_decimals(
    written: Callable[[Document], tuple[list[str], int]], currency: str, shown: str
) -> None:
    assert shown in written(document(line(currency=currency)))[0]


def test_many_lines_and_long_names_take_several_pages(written: Callable[[Document], tuple[list[str], int]]) -> None:
    lines = [line(f"{number} {'very long ' * 19}" if number % 10 else "x" * 200) for number in range(150)]
    texts, pages = written(document(*lines))
    assert pages > 5
    assert texts.count("INV-2026-000017") == pages + 1, "the number is on every page"
    assert texts.count("Description") >= pages - 1, "and the headings where lines are"


@pytest.mark.parametrize(
    "name", ["محمد بن عبد الله", "יעל כהן-לוי (Yael)", "Ελένη Παπαδοπούλου", "Żółć Đorđević", "Владимир"]
)
def test_names_of_other_scripts_have_all_their_letters(name: str, caplog: pytest.LogCaptureFixture) -> None:
    buyer = ADA.model_copy(update={"name": name})
    assert render.render(document(buyer=buyer)) != render.render(document())
    assert "missing glyphs" not in caplog.text.lower()


BOXES = "A box stands for a letter that this file cannot show. The page of the order has the whole text."


NAMES = {
    "山田太郎": ["NotoSansCJKjp"],
    "김철수": ["NotoSansCJKjp"],
    "王小明, 陳大文": ["NotoSansCJKjp"],
    "राम शर्मा": ["NotoSansDevanagari"],
    "রহিম উদ্দিন": ["NotoSansBengali"],
    "முருகன்": ["NotoSansTamil"],
    "สมชาย ใจดี": ["NotoSansThai"],
    "ශ්‍රී": ["NotoSansSinhala"],
    "Ada 🙂 山": ["NotoEmoji", "NotoSansCJKjp"],
    "Ada Lovelace": [],
    "محمد بن عبد الله": [],
}


@pytest.mark.parametrize("name", NAMES)
def test_a_letter_that_the_font_lacks_is_in_another_one(
    name: str,
    written: Callable[[Document], tuple[list[str], int]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened: list[str] = []
    add_font = FPDF.add_font

    def note(self: FPDF, family: str, *args: Any, **how: Any) -> None:
        opened.append(family)
        add_font(self, family, *args, **how)

    monkeypatch.setattr(FPDF, "add_font", note)
    shown = document(line(name), buyer=ADA.model_copy(update={"name": name}))

    texts, _ = written(shown)

    assert sorted(one.partition("-")[0].partition("[")[0] for one in opened if one != "dejavu") == NAMES[name]
    assert BOXES not in texts
    assert "missing glyphs" not in caplog.text.lower()


@pytest.mark.parametrize(("country", "is_japans"), [("JP", True), ("FR", True), ("CN", False), ("TW", False)])
def test_the_forms_of_letters_follow_the_country_of_the_buyer(
    monkeypatch: pytest.MonkeyPatch, country: str, is_japans: bool
) -> None:
    shown = document(buyer=ADA.model_copy(update={"name": "直骨", "country": country}))
    found = render.render(shown)
    monkeypatch.setattr(fallback, "language_of", lambda _: None)
    assert (render.render(shown) == found) is is_japans


@pytest.mark.parametrize(
    "script", ["Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada"]
)
def test_each_script_has_its_file(script: str) -> None:
    [found] = fallback.font_files([unicodedata.lookup(f"{script.upper()} LETTER KA")])
    assert (found.name, found.is_file()) == (f"NotoSans{script}[wght].ttf", True)


@pytest.mark.parametrize("name", ["ᎠᏓ", "𐤀𐤁"])
def test_a_script_that_the_font_lacks_is_no_failure_and_is_said(
    name: str, written: Callable[[Document], tuple[list[str], int]]
) -> None:
    assert BOXES in written(document(buyer=ADA.model_copy(update={"name": name})))[0]
    assert BOXES in written(document(line(name)))[0]


@pytest.mark.parametrize("name", ["Ada Lovelace", "محمد بن عبد الله", "Żółć Đorđević"])
def test_nothing_is_said_of_boxes_where_there_is_none(
    name: str, written: Callable[[Document], tuple[list[str], int]]
) -> None:
    assert BOXES not in written(document(buyer=ADA.model_copy(update={"name": name})))[0]


def test_an_erased_address_and_an_unknown_tax_are_said_or_left_out(
    written: Callable[[Document], tuple[list[str], int]],
) -> None:
    texts, _ = written(document(line(tax_class="", rate="0.0000", jurisdiction=""), buyer=None))
    assert "The address was erased." in texts
    assert not any(text.startswith("Net at") for text in texts)

"""A document as PDF, in A4. The bytes follow from the document alone: rendered again, it is the same file.

fpdf2 lays out, shapes with HarfBuzz and orders texts of both directions. The used parts of the fonts are embedded.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from pathlib import Path

from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout
from fpdf.fonts import TTFFont

from documents import fallback
from documents.domain import Address, Document, DocumentKind, Line, LineKind
from mercato.money import Money

_FONTS = Path(__file__).parent / "fonts"
_TITLES = {DocumentKind.INVOICE: "Invoice", DocumentKind.CREDIT_NOTE: "Credit note"}
_MARGIN, _WIDTH = 18, 174  # millimetres
_SMALL, _NORMAL, _LARGE = 8.0, 9.5, 20.0  # points
_GREY, _BLACK, _RULE = (90, 90, 90), (20, 20, 20), (200, 200, 200)


class _Pages(FPDF):
    def __init__(self, document: Document) -> None:
        super().__init__(format="A4")
        self._document = document
        self.set_creation_date(document.issued_at)
        self.set_title(f"{_TITLES[document.kind]} {document.number}")
        self.set_author(document.seller.name)
        self.set_producer("Mercato")
        self.set_lang("en")
        self.add_font("dejavu", "", _FONTS / "DejaVuSans.ttf")
        self.add_font("dejavu", "B", _FONTS / "DejaVuSans-Bold.ttf")
        self._add_what_lacks(document)
        country = document.buyer.country if document.buyer else None
        self.set_text_shaping(use_shaping_engine=True, language=fallback.language_of(country))
        self.set_margins(_MARGIN, _MARGIN, _MARGIN)
        self.set_auto_page_break(True, margin=24)
        self.alias_nb_pages("{pages}")

    def footer(self) -> None:
        self.set_y(-18)
        self.write_in(_SMALL, _GREY)
        self.cell(_WIDTH / 2, 5, self._document.number)
        self.cell(_WIDTH / 2, 5, f"Page {self.page_no()} of {{pages}}", align="R")

    def write_in(self, size: float, colour: tuple[int, int, int] = _BLACK, *, bold: bool = False) -> None:
        self.set_font("dejavu", "B" if bold else "", size)
        self.set_text_color(*colour)

    def _add_what_lacks(self, document: Document) -> None:
        """Adds the fonts for the letters that the documents' own font lacks."""
        for path in fallback.font_files(self.lacking(document)):
            self.add_font(path.stem, "", path)
        others = [name for name in self.fonts if not name.startswith("dejavu")]
        self.set_fallback_fonts(others, exact_match=False)

    def lacking(self, document: Document) -> set[str]:
        """The letters of the document's texts that no font has so far. They are printed as empty boxes."""
        fonts = [font for font in self.fonts.values() if isinstance(font, TTFFont)]
        letters = {letter for letter in document.model_dump_json() if letter.isprintable()}
        return {letter for letter in letters if not any(ord(letter) in font.cmap for font in fonts)}

    def block(self, x: float, y: float, width: float, title: str, lines: Iterable[str]) -> float:
        """Writes lines below a small title, and returns where they end."""
        self.set_xy(x, y)
        self.write_in(_SMALL, _GREY)
        self.multi_cell(width, 4.5, title, align="L", new_x="LEFT", new_y="NEXT")
        self.write_in(_NORMAL)
        for line in lines:
            self.set_x(x)
            self.multi_cell(width, 4.8, line, align="L", new_x="LEFT", new_y="NEXT")
        return self.get_y()


def render(document: Document) -> bytes:
    content = _write(document)
    # The tables of a font refer to each other. Without this, those of Chinese stay for many documents: 9 MB of each.
    # They are young. To look at all objects, also those of the modules, would take 40 ms.
    gc.collect(1)
    return content


def _write(document: Document) -> bytes:
    pages = _Pages(document)
    pages.add_page()
    _head(pages, document)
    _parties(pages, document)
    _lines(pages, document)
    _sums(pages, document)
    _end(pages, document)
    return bytes(pages.output())


def _head(pages: _Pages, document: Document) -> None:
    seller = document.seller
    pages.write_in(12, bold=True)
    pages.multi_cell(80, 6, seller.name, align="L", new_x="LEFT", new_y="NEXT")
    about = [*seller.address, _titled("VAT number", seller.tax_id), _titled("Register", seller.registration)]
    about.append(seller.email or "")
    end = pages.block(_MARGIN, pages.get_y(), 80, "", [line for line in about if line])
    pages.set_xy(_MARGIN + 84, _MARGIN)
    pages.write_in(_LARGE, bold=True)
    pages.multi_cell(90, 10, _TITLES[document.kind], align="R", new_x="LEFT", new_y="NEXT")
    facts = [("Number", document.number), ("Date", document.issued_at.date().isoformat())]
    facts.append(("Order", document.order_number or document.order_id))
    facts.append(("Ordered on", document.ordered_at.date().isoformat()))
    if document.invoice_number:
        facts.append(("Corrects invoice", document.invoice_number))
    for name, fact in facts:
        pages.set_x(_MARGIN + 84)
        pages.write_in(_NORMAL, _GREY)
        pages.cell(36, 5.2, name, align="R")
        pages.write_in(_NORMAL)
        pages.multi_cell(54, 5.2, fact, align="R", new_x="LMARGIN", new_y="NEXT")
    pages.set_y(max(end, pages.get_y()) + 8)


def _parties(pages: _Pages, document: Document) -> None:
    top = pages.get_y()
    end = pages.block(_MARGIN, top, 84, "Billed to", _address(document.buyer))
    if document.delivery_address and document.delivery_address != document.buyer:
        end = max(end, pages.block(_MARGIN + 90, top, 84, "Delivered to", _address(document.delivery_address)))
    elif document.delivery:
        end = max(end, pages.block(_MARGIN + 90, top, 84, "Delivery", [document.delivery]))
    pages.set_y(end + 7)


def _address(address: Address | None) -> list[str]:
    if address is None:
        return ["The address was erased."]
    town = " ".join(part for part in (address.postcode, address.city) if part)
    parts = [address.name, address.company, address.line1, address.line2, town, address.region, address.country]
    return [part for part in parts if part]


def _lines(pages: _Pages, document: Document) -> None:
    pages.write_in(_NORMAL)
    pages.set_draw_color(*_RULE)
    head = FontFace(emphasis="BOLD", color=_BLACK)
    is_taxed = any(line.tax_class for line in document.lines)
    titles = ["Description", "Pieces", "Price", *(["Tax"] if is_taxed else []), "Amount"]
    widths = (80, 18, 30, 18, 32) if is_taxed else (92, 20, 30, 36)
    aligns = ("LEFT", *["RIGHT"] * (len(titles) - 1))
    with pages.table(
        col_widths=widths,
        text_align=aligns,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=head,
        line_height=5.2,
        padding=1.2,
        width=_WIDTH,
    ) as table:
        table.row(titles)
        for line in document.lines:
            taxed = [_percent(line.rate)] if is_taxed else []
            table.row([_described(line), str(line.quantity), _price(line), *taxed, _digits(line.amount)])


def _described(line: Line) -> str:
    if line.kind is LineKind.DISCOUNT:
        return f"Discount: {line.description}"
    return f"{line.description}\n{line.sku}" if line.sku else line.description


def _price(line: Line) -> str:
    """The price of a piece, which may be without tax."""
    if line.unit_price is None:
        return ""
    is_whole = line.unit_price.amount * line.quantity == line.amount.amount
    return _digits(line.unit_price) if is_whole else f"{_digits(line.unit_price)} plus tax"


def _sums(pages: _Pages, document: Document) -> None:
    taxes = [part for part in document.taxes if part.tax_class]
    if pages.will_page_break(8 * (len(taxes) + 3)):
        pages.add_page()
    pages.ln(4)
    for part in taxes:
        net = part.amount - part.tax
        _sum(pages, f"Net at {_percent(part.rate)} {part.jurisdiction}", str(net))
        _sum(pages, f"Tax {_percent(part.rate)}", str(part.tax))
    title = "Total" if document.kind is DocumentKind.INVOICE else "Credited"
    _sum(pages, title, str(document.total), bold=True)
    if taxes:
        _sum(pages, "of which tax", str(document.tax))


def _sum(pages: _Pages, title: str, amount: str, *, bold: bool = False) -> None:
    pages.write_in(12 if bold else _NORMAL, bold=bold)
    pages.set_x(_MARGIN + 54)
    pages.cell(78, 6 if not bold else 8, title, align="R")
    pages.cell(42, 6 if not bold else 8, amount, align="R", new_x="LMARGIN", new_y="NEXT")


def _end(pages: _Pages, document: Document) -> None:
    pages.ln(6)
    pages.write_in(_NORMAL)
    texts = [f"Reason: {document.reason}" if document.reason else "", document.seller.note or ""]
    if document.kind is DocumentKind.INVOICE:
        texts.insert(0, "Paid in full. No payment is due.")
    if pages.lacking(document):
        texts.append("A box stands for a letter that this file cannot show. The page of the order has the whole text.")
    for text in texts:
        if text:
            pages.multi_cell(_WIDTH, 5, text, align="L", new_x="LMARGIN", new_y="NEXT")
            pages.ln(2)


def _titled(title: str, text: str | None) -> str:
    return f"{title}: {text}" if text else ""


def _digits(amount: Money) -> str:
    return str(amount).partition(" ")[0]


def _percent(rate: str) -> str:
    """ "0.2000" is 20 %, "0.0825" is 8.25 %."""
    whole, _, part = rate.partition(".")
    digits = f"{int(whole + part[:2])}.{part[2:]}".rstrip("0").rstrip(".")
    return f"{digits} %"

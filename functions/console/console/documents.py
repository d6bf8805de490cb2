"""Invoices and credit notes: the list with its search, their files, the seller that they name, and their numbering."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from console.pages import pages
from console.texts import with_line_feeds
from pages import Form, InvalidForm, Page, Redirect, Refused, StoredFile, Visit
from pages.visitor import next_page, part, path, together

HERE = "/console/documents"
# A document's number as people type it, or its series alone: as it is printed, such as INV-2026-000017 or INV-000017;
# with a year, but without zeros or dashes, such as INV2026 17; and of a continuous series without zeros, INV-17.
_NUMBERS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<series>[A-Z][A-Z0-9]{0,9}(?:-[0-9]{4})?)(?:-(?P<number>[0-9]{6,10}))?",
        r"(?P<prefix>[A-Z][A-Z0-9]{0,9}?)-?(?P<year>[0-9]{4})(?:-?(?P<number>[0-9]{1,10}))?",
        r"(?P<series>[A-Z][A-Z0-9]{0,9})-(?P<number>[0-9]{1,10})",
    )
)
_FILTERS = ("number", "order_id", "day")
_NOTICES = {
    "seller": "Documents that are issued from now on have these data. Earlier ones keep theirs.",
    "numbering": "Documents that are issued from now on are numbered in this way. Earlier ones keep their numbers.",
}
_OPTIONAL = ("tax_id", "registration", "email", "note")
_LINES, _LINE = 6, 120  # of the seller's address, and characters of a line
_PREFIX = re.compile(r"[A-Z][A-Z0-9]{0,9}")
_NO_PREFIX = "A prefix has up to ten letters and digits, the first a letter, such as INV."
_EMPTY: dict[str, Any] = {"items": [], "next_cursor": None}


class ChangeSeller(Form):
    """`address` has one line per line. An empty field is left out of the documents."""

    version: int
    name: Annotated[str, Field(min_length=1, max_length=120)]
    address: Annotated[str, Field(max_length=1000)] = ""
    tax_id: Annotated[str, Field(max_length=80)] = ""
    registration: Annotated[str, Field(max_length=80)] = ""
    email: Annotated[str, Field(max_length=254)] = ""
    note: Annotated[str, BeforeValidator(with_line_feeds), Field(max_length=500)] = ""

    def seller(self) -> dict[str, Any]:
        """Raises InvalidForm."""
        lines = [line.strip() for line in self.address.splitlines() if line.strip()]
        if len(lines) > _LINES:
            raise InvalidForm({"address": f"This may have at most {_LINES} lines."})
        for line in lines:
            if len(line) > _LINE:
                raise InvalidForm({"address": f"A line may have at most {_LINE} characters: “{line[:40]}…” has more."})
        return {"name": self.name, "address": lines} | {name: getattr(self, name) or None for name in _OPTIONAL}


class ChangeNumbering(Form):
    numbering_version: int
    invoice_prefix: Annotated[str, Field(max_length=64)]
    credit_note_prefix: Annotated[str, Field(max_length=64)]
    counting: str

    def numbering(self) -> dict[str, str]:
        """Raises InvalidForm."""
        prefixes = {name: getattr(self, name).upper() for name in ("invoice_prefix", "credit_note_prefix")}
        if wrong := {name: _NO_PREFIX for name, prefix in prefixes.items() if not _PREFIX.fullmatch(prefix)}:
            raise InvalidForm(wrong)
        return prefixes | {"counting": self.counting}


@pages.get(HERE)
def show_documents(visit: Visit) -> Page:
    asked = {name: visit.request.query.get(name, "").strip()[:64] for name in _FILTERS}
    found = _find(visit, asked)
    return Page(
        "documents.html",
        {"documents": found["items"], "asked": asked, "next": next_page(HERE, found["next_cursor"], **asked)},
    )


def _find(visit: Visit, asked: dict[str, str]) -> Any:
    """A number begins a list of its series, the last one first, and finds nothing where it is not one.

    A number that can be read in several ways is looked for in each, and `asked` has the one that was found.
    """
    wanted: dict[str, Any] = {name: asked[name] for name in ("order_id", "day")}
    wanted["cursor"] = visit.request.query.get("cursor", "")
    numbers = _readings(asked["number"]) if asked["number"] else [("", "")]
    if not numbers:
        visit.errors = {"number": "This is no number of a document, such as INV-2026-000017."}
        return _EMPTY
    found = _EMPTY
    try:
        for series, number in numbers:
            found = visit.visitor.get(path("ops", "documents", **wanted, series=series, number=number))
            if found["items"]:
                asked["number"] = f"{series}-{number:06d}" if number else series
                break
    except Refused as refusal:
        if refusal.reply.status != 422:
            raise
        visit.errors = {"": refusal.reply.detail}
        return _EMPTY
    return found


def _readings(typed: str) -> list[tuple[str, int | str]]:
    """The series and positions that the text can mean, the likeliest first. The position is empty for a series."""
    text = re.sub(r"[\s-]+", "-", typed.upper())
    found: list[tuple[str, int | str]] = []
    for pattern in _NUMBERS:
        if match := pattern.fullmatch(text):
            named = match.groupdict()
            series = named.get("series") or f"{named['prefix']}-{named['year']}"
            found.append((series, int(named["number"]) if named["number"] else ""))
    return list(dict.fromkeys(found))


@pages.get(f"{HERE}/{{document_id}}")
def open_document(visit: Visit, document_id: str) -> StoredFile:
    return StoredFile(visit.visitor.get(path("documents", document_id, "pdf"))["url"])


@pages.get("/console/seller")
def show_seller(visit: Visit) -> Page:
    """After a change that came too late, what another operator made of the seller stands beside what was typed."""
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    found, numbers = together(
        lambda: visit.visitor.get(path("documents", "seller")),
        lambda: part(lambda: visit.visitor.get(path("documents", "numbering"))),
    )
    is_late = visit.values.get("version", "") not in ("", str(found["version"]))
    theirs = _differences(found["seller"], visit.values) if is_late else {}
    if not numbers.missing:
        base = visit.values.get("numbering_version", "")
        if base not in ("", str(numbers.value["version"])):
            theirs |= _changed(numbers.value["numbering"], visit.values)
    values = {"numbers": numbers, "theirs": theirs, "labels": {"note": "Note below the sums"}}
    return Page("seller.html", found | values)


def _differences(seller: Any, typed: dict[str, str]) -> dict[str, str]:
    """By field, what the seller has now, where it is not what was typed."""
    now = {name: seller[name] or "" for name in ("name", *_OPTIONAL)} | {"address": "\n".join(seller["address"])}
    return _changed(now, typed)


def _changed(now: dict[str, str], typed: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in now.items() if name in typed and typed[name].split() != value.split()}


@pages.post("/console/seller", form=ChangeSeller, again=show_seller)
def change_seller(visit: Visit, form: ChangeSeller) -> Redirect:
    try:
        visit.visitor.send("PUT", path("documents", "seller"), {"version": form.version, "seller": form.seller()})
    except Refused as refused:
        if refused.reply.problem == "invalid-email":
            raise InvalidForm({"email": refused.reply.detail}, refused.reply) from None
        raise
    return Redirect("/console/seller?said=seller")


@pages.post("/console/numbering", form=ChangeNumbering, again=show_seller)
def change_numbering(visit: Visit, form: ChangeNumbering) -> Redirect:
    wanted = {"version": form.numbering_version, "numbering": form.numbering()}
    visit.visitor.send("PUT", path("documents", "numbering"), wanted)
    return Redirect("/console/seller?said=numbering")

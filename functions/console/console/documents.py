"""Invoices and credit notes: the list with its search, their files, and the seller that they name."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field

from console.pages import pages
from pages import Form, Page, Redirect, Refused, StoredFile, Visit
from pages.visitor import next_page, path

HERE = "/console/documents"
# A document's number as people type it, such as INV-2026-000017, or its series alone.
_NUMBER = re.compile(r"(INV|CRN)-?([0-9]{4})(?:-?([0-9]{1,10}))?")
_FILTERS = ("number", "order_id", "day")
_NOTICES = {"seller": "Documents that are issued from now on have these data. Earlier ones keep theirs."}
_EMPTY: dict[str, Any] = {"items": [], "next_cursor": None}


class ChangeSeller(Form):
    """`address` has one line per line. An empty field is left out of the documents."""

    version: int
    name: Annotated[str, Field(min_length=1, max_length=120)]
    address: Annotated[str, Field(max_length=1000)] = ""
    tax_id: Annotated[str, Field(max_length=64)] = ""
    registration: Annotated[str, Field(max_length=64)] = ""
    email: Annotated[str, Field(max_length=254)] = ""
    note: Annotated[str, Field(max_length=500)] = ""

    def seller(self) -> dict[str, Any]:
        lines = [line.strip() for line in self.address.splitlines() if line.strip()]
        optional = ("tax_id", "registration", "email", "note")
        return {"name": self.name, "address": lines} | {name: getattr(self, name) or None for name in optional}


@pages.get(HERE)
def show_documents(visit: Visit) -> Page:
    asked = {name: visit.request.query.get(name, "").strip()[:64] for name in _FILTERS}
    found = _find(visit, asked)
    return Page(
        "documents.html",
        {"documents": found["items"], "asked": asked, "next": next_page(HERE, found["next_cursor"], **asked)},
    )


def _find(visit: Visit, asked: dict[str, str]) -> Any:
    """A number begins a list of its series, the last one first, and finds nothing where it is not one."""
    wanted: dict[str, Any] = {name: asked[name] for name in ("order_id", "day")}
    if asked["number"]:
        typed = _NUMBER.fullmatch(asked["number"].upper().replace(" ", ""))
        if not typed:
            visit.errors = {"number": "This is no number of a document, such as INV-2026-000017."}
            return _EMPTY
        wanted |= {"series": f"{typed[1]}-{typed[2]}", "number": int(typed[3]) if typed[3] else ""}
    try:
        return visit.visitor.get(path("ops", "documents", **wanted, cursor=visit.request.query.get("cursor", "")))
    except Refused as refusal:
        if refusal.reply.status != 422:
            raise
        visit.errors = {"": refusal.reply.detail}
        return _EMPTY


@pages.get(f"{HERE}/{{document_id}}")
def open_document(visit: Visit, document_id: str) -> StoredFile:
    return StoredFile(visit.visitor.get(path("documents", document_id, "pdf"))["url"])


@pages.get("/console/seller")
def show_seller(visit: Visit) -> Page:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    return Page("seller.html", visit.visitor.get(path("documents", "seller")))


@pages.post("/console/seller", form=ChangeSeller, again=show_seller)
def change_seller(visit: Visit, form: ChangeSeller) -> Redirect:
    visit.visitor.send("PUT", path("documents", "seller"), {"version": form.version, "seller": form.seller()})
    return Redirect("/console/seller?said=seller")

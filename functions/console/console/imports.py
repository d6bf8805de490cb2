"""Imports of products from files: the list, each with its refused rows, and these as a file to mend and send again."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field

from console.pages import pages
from mercato import spreadsheet
from pages import File, Form, Page, Redirect, Visit
from pages.visitor import next_page, part, path


class Import(Form):
    text: Annotated[str, Field(min_length=1, max_length=200_000)]
    key: Annotated[str, Field(min_length=8, max_length=64)]


@pages.get("/console/imports")
def show_imports(visit: Visit) -> Page:
    cursor = visit.request.query.get("cursor", "")
    found = part(lambda: visit.visitor.get(path("products", "imports", limit=20, cursor=cursor)))
    following = next_page("/console/imports", found.value["next_cursor"]) if found.value else ""
    return Page("imports.html", {"imports": found, "next": following})


@pages.post("/console/imports", form=Import, again=show_imports)
def import_file(visit: Visit, form: Import) -> Redirect:
    report = visit.visitor.send_text(path("products", "imports"), form.text, "text/csv", form.key).body
    return Redirect(f"/console/imports/{report['import_id']}")


@pages.get("/console/imports/{import_id}")
def show_import(visit: Visit, import_id: str) -> Page:
    return Page("import.html", {"report": visit.visitor.get(path("products", "imports", import_id))})


@pages.get("/console/imports/{import_id}/refused.csv")
def download_refused(visit: Visit, import_id: str) -> File:
    found = visit.visitor.get(path("products", "imports", import_id, "rows"))
    rows = [row["fields"] for row in found["rows"] if row["fields"]]
    text = write_rows(found["columns"], rows, found["separator"])
    return File(text.encode("utf-8-sig"), "text/csv; charset=utf-8", download="refused.csv")


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[str]], separator: str) -> str:
    """A file in the form of the import. A cell that a spreadsheet would run begins with an apostrophe, which the import
    leaves out.
    """
    text = io.StringIO(newline="")
    spreadsheet.write(text, columns, rows, separator=separator, line_end="\r\n")
    return text.getvalue()

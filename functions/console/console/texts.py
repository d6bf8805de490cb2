"""The texts of messages to customers: the list, and a page for each to change, preview and restore it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field

from console.pages import pages
from console.table_text import changes
from pages import Form, Page, Redirect, Visit
from pages.visitor import path

HERE = "/console/texts"
_TEXT = f"{HERE}/{{kind}}/{{language}}"
_LANGUAGES = {"en": "English", "de": "German"}
_PARTS = ("subject", "body", "sms")
_SAID = {
    "changed": "The text is changed. Messages have it within half a minute.",
    "restored": "The text is back in force. Messages have it within half a minute.",
}


class Words(Form):
    """The text as it is typed. `version` is the one that the form was made of. The API knows how long each may be."""

    version: Annotated[int, Field(ge=0)]
    subject: Annotated[str, Field(min_length=1)]
    body: Annotated[str, Field(min_length=1)]
    sms: str = ""

    def words(self) -> dict[str, str]:
        """A browser sends a line's end as CR and LF, of which the API counts one."""
        return {name: with_line_feeds(getattr(self, name)) for name in _PARTS}


class Restore(Form):
    """`restored` is the version to bring back, and `version` the one in force that was shown beside it."""

    version: Annotated[int, Field(ge=0)]
    restored: Annotated[int, Field(ge=0)]


@pages.get(HERE)
def show_texts(visit: Visit) -> Page:
    found = visit.visitor.get(path("notifications", "texts"))["items"]
    return Page("texts.html", {"texts": [_in_list(one) for one in found]})


def _in_list(text: Any) -> dict[str, Any]:
    return {
        "name": text["name"],
        "code": text["language"],
        "language": _language(text["language"]),
        "has_sms": "sms" in text.get("channels", ()),
        "version": text.get("version", 0),
        "is_built_in": text.get("is_built_in", True),
        "changed_at": text.get("changed_at"),
        "changed_by": text.get("changed_by"),
    }


@pages.get(_TEXT)
def show_text(visit: Visit, kind: str, language: str) -> Page:
    """With `?version=`, an earlier version beside the one in force, to look at and to bring back. After a change that
    came too late, what another operator changed stands beside what was typed.
    """
    visit.notice = visit.notice or _SAID.get(visit.request.query.get("said", ""), "")
    asked = visit.request.query.get("version", "") or visit.values.get("restored", "")
    current = _version(visit, kind, language)
    if asked and asked != str(current["version"]):
        return _page_of_earlier(visit, current, _version(visit, kind, language, asked))
    return _page(visit, current)


@pages.post(_TEXT, form=Words, again=show_text)
def change_text(visit: Visit, kind: str, language: str, form: Words) -> Redirect:
    visit.visitor.send("PUT", _api(kind, language), {"version": form.version, **form.words()})
    return Redirect(f"{_address(kind, language)}?said=changed")


@pages.post(f"{_TEXT}/restore", form=Restore, again=show_text)
def restore_text(visit: Visit, kind: str, language: str, form: Restore) -> Redirect:
    """Puts an earlier version in force, as a new version with its words."""
    words = _words(_version(visit, kind, language, str(form.restored)))
    visit.visitor.send("PUT", _api(kind, language), {"version": form.version, **words})
    return Redirect(f"{_address(kind, language)}?said=restored")


@pages.post(f"{_TEXT}/preview", form=Words, again=show_text)
def preview_text(visit: Visit, kind: str, language: str, form: Words) -> Page:
    """The page again, with what was typed, filled with the example's data. Nothing is kept."""
    found = visit.visitor.send("POST", _api(kind, language, "previews"), form.words()).body
    visit.values = form.words() | {"version": str(form.version)}
    return _page(visit, _version(visit, kind, language), found)


def _page(visit: Visit, current: Any, preview: Any = None) -> Page:
    """`overtaken`: what was typed was made of an earlier version than the one that is in force now."""
    typed = {name: with_line_feeds(visit.values.get(name, current[name])) for name in _PARTS}
    base = visit.values.get("version", "")
    kind, language = current["name"], current["language"]
    overtaken = base.isdecimal() and int(base) != current["version"]
    before = _words(_version(visit, kind, language, base)) if overtaken else {}
    return Page(
        "text.html",
        {
            "text": current,
            "language": _language(language),
            "address": _address(kind, language),
            "fields": current.get("about_fields") or [{"name": one, "meaning": ""} for one in current["fields"]],
            "has_sms": _has_sms(current),
            "typed": typed,
            "preview": preview,
            "overtaken": overtaken,
            "theirs": _differences(before, _words(current)) if overtaken else [],
            "yours": _differences(_words(current), typed) if overtaken else [],
        },
    )


def _page_of_earlier(visit: Visit, current: Any, earlier: Any) -> Page:
    kind, language = current["name"], current["language"]
    return Page(
        "text_version.html",
        {
            "text": earlier,
            "current": current["version"],
            "language": _language(language),
            "address": _address(kind, language),
            "differences": _differences(_words(current), _words(earlier)),
        },
    )


def _has_sms(text: Any) -> bool:
    """A kind with a text message always has one: the API refuses an empty one."""
    return bool(text["sms"])


def _differences(before: dict[str, str], after: dict[str, str]) -> list[dict[str, Any]]:
    """The parts that differ, each with its lines that went and came."""
    found = [{"name": name, "lines": changes(before[name], after[name])} for name in _PARTS]
    return [one for one in found if one["lines"]]


def _words(text: Any) -> dict[str, str]:
    return {name: text[name] for name in _PARTS}


def with_line_feeds(text: str) -> str:
    """The text of a form's field of several lines, as the API keeps it."""
    return text.replace("\r\n", "\n")


def _language(code: str) -> str:
    return _LANGUAGES.get(code, code)


def _address(kind: str, language: str) -> str:
    return f"{HERE}/{quote(kind, safe='')}/{quote(language, safe='')}"


def _api(kind: str, language: str, *rest: str) -> str:
    return path("notifications", "texts", kind, language, *rest)


def _version(visit: Visit, kind: str, language: str, version: str = "") -> Any:
    return visit.visitor.get(path("notifications", "texts", kind, language, version=version))

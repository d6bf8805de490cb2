"""The texts that staff has changed. Without a change, the built-in one is used (wording.py).

pk=TEXT#<name>#<language>  sk=V#<version>         a version; the highest is the current one; none is removed
pk=TEXTS                   sk=<name>#<language>   a copy of the current version, for the list
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, field
from datetime import datetime, timedelta

from mercato.clock import rfc3339
from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid
from mercato.languages import Language
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from notifications.examples import EXAMPLES
from notifications.rendering import fields_of, fill
from notifications.sms_parts import parts_of
from notifications.wording import MOST_SMS_PARTS, WORDINGS, Name, Wording

_KEPT = timedelta(seconds=30)  # how long a sandbox uses a text before it looks for a change
_LIST = "TEXTS"


class TextChanged(Conflict):
    """Another request has changed the text since it was read."""

    def __init__(self) -> None:
        super().__init__("Another request has changed this text. Please read it again.")


class InvalidText(Invalid):
    """The text has a field that its kind does not know, or is too long for a text message."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(
            "This text cannot be used.", errors=[{"field": key, "message": said} for key, said in errors.items()]
        )


@dataclass(frozen=True)
class Version:
    """Version 0 is the built-in text, which has no author. `by` is the user id of a later version's author."""

    number: int
    wording: Wording
    by: str | None = field(default=None, compare=False)
    at: datetime | None = field(default=None, compare=False)


def check(name: Name, language: Language, wording: Wording) -> None:
    """Raises InvalidText."""
    built_in = WORDINGS[Language.EN][name]
    errors = {field: said for field, text in asdict(wording).items() if (said := _mistake(name, text))}
    if wording.sms and not built_in.sms:
        errors["sms"] = "must be empty: no text message tells of this kind"
    if built_in.sms and not wording.sms:
        errors["sms"] = "must not be empty: a text message tells of this kind"
    if not errors and wording.sms and parts_of(fill(wording.sms, EXAMPLES[language][name])) > MOST_SMS_PARTS:
        errors["sms"] = f"must be at most {MOST_SMS_PARTS} parts of a text message with the example's data"
    if errors:
        raise InvalidText(errors)


def _mistake(name: Name, text: str) -> str:
    try:
        unknown = sorted(fields_of(text) - set(EXAMPLES[Language.EN][name]))
    except ValueError:
        return "must write each field as {{ name }}"
    return f"must not have {{{{ {unknown[0]} }}}}, which is no field of this kind" if unknown else ""


class Wordings:
    """Versions are consecutive: the put of one fails if it exists, so that of two changes at once one is refused."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._read: dict[tuple[Name, Language], tuple[datetime, Version]] = {}

    def current(self, name: Name, language: Language) -> Version:
        found = self._table.query(_pk(name, language), KeyRange(forward=False), limit=1).items
        return _version(found[0]) if found else Version(0, WORDINGS[language][name])

    def recent(self, name: Name, language: Language, now: datetime) -> Wording:
        """The current text, or the one of half a minute ago."""
        read = self._read.get((name, language))
        if read is None or now - read[0] > _KEPT or now < read[0]:
            read = self._read[name, language] = now, self.current(name, language)
        return read[1].wording

    def version(self, name: Name, language: Language, number: int) -> Version | None:
        if number == 0:
            return Version(0, WORDINGS[language][name])
        item = self._table.get(_pk(name, language), _sk(number))
        return _version(item) if item else None

    def currents(self) -> Mapping[tuple[Name, Language], Version]:
        """The current version of every text."""
        stored = {item["sk"]: _version(item) for item in self._table.query_all(_LIST)}
        return {
            (name, language): stored.get(f"{name}#{language}") or Version(0, WORDINGS[language][name])
            for name in Name
            for language in Language
        }

    def store_change(
        self, name: Name, language: Language, seen: int, wording: Wording, by: str, now: datetime
    ) -> Version:
        """Writes the version after `seen`. A retry finds what it wrote. Raises TextChanged and InvalidText."""
        check(name, language, wording)
        current = self.current(name, language)
        wanted = Version(seen + 1, wording, by, now)
        if current == wanted:
            return current
        if current.number != seen:
            raise TextChanged
        try:
            values = asdict(wording) | {"version": wanted.number, "changed_by": by, "changed_at": rfc3339(now)}
            self._table.transact(
                [
                    dynamo.put_new({"pk": _pk(name, language), "sk": _sk(wanted.number)} | values),
                    dynamo.put({"pk": _LIST, "sk": f"{name}#{language}"} | values),
                ]
            )
        except ConditionFailed as failed:
            if failed.item is None or _version(failed.item) != wanted:
                raise TextChanged from None
            return _version(failed.item)
        return wanted


def preview(name: Name, language: Language, wording: Wording) -> tuple[Wording, int]:
    """The text with the example's data, and of how many parts its text message is. Raises InvalidText."""
    check(name, language, wording)
    values = EXAMPLES[language][name]
    filled = Wording(*(fill(text, values) for text in (wording.subject, wording.body, wording.sms)))
    return filled, parts_of(filled.sms)


def _pk(name: Name, language: Language) -> str:
    return f"TEXT#{name}#{language}"


def _sk(number: int) -> str:
    return f"V#{number:08d}"


def _version(item: Item) -> Version:
    wording = Wording(item["subject"], item["body"], item["sms"])
    at = item.get("changed_at")
    return Version(item["version"], wording, item.get("changed_by"), datetime.fromisoformat(at) if at else None)

"""The texts that staff has changed. Without a change, the built-in one is used (wording.py).

pk=TEXT#<name>#<language>  sk=V#<version>   a version; the highest is the current one; none is removed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from mercato.errors import Conflict, Invalid
from mercato.languages import Language
from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import ConditionFailed, KeyRange, Table
from notifications.rendering import fields_of, fill
from notifications.sms_parts import parts_of
from notifications.wording import EXAMPLES, MOST_SMS_PARTS, WORDINGS, Name, Wording

_KEPT = timedelta(seconds=30)  # how long a sandbox uses a text before it looks for a change


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
    """Version 0 is the built-in text."""

    number: int
    wording: Wording


def check(name: Name, wording: Wording) -> None:
    """Raises InvalidText."""
    built_in = WORDINGS[Language.EN][name]
    errors = {field: said for field, text in asdict(wording).items() if (said := _mistake(name, text))}
    if wording.sms and not built_in.sms:
        errors["sms"] = "No text message tells of this kind."
    if built_in.sms and not wording.sms:
        errors["sms"] = "This kind needs a text message."
    if not errors and wording.sms and parts_of(fill(wording.sms, EXAMPLES[name])) > MOST_SMS_PARTS:
        errors["sms"] = f"With the example's data, this is more than {MOST_SMS_PARTS} parts of a text message."
    if errors:
        raise InvalidText(errors)


def _mistake(name: Name, text: str) -> str:
    try:
        unknown = sorted(fields_of(text) - set(EXAMPLES[name]))
    except ValueError:
        return "Write a field as {{ name }}."
    return f"This kind has no field {unknown[0]}." if unknown else ""


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

    def store_change(self, name: Name, language: Language, seen: int, wording: Wording) -> Version:
        """Writes the version after `seen`. A retry finds what it wrote. Raises TextChanged and InvalidText."""
        check(name, wording)
        current = self.current(name, language)
        wanted = Version(seen + 1, wording)
        if current == wanted:
            return current
        if current.number != seen:
            raise TextChanged
        try:
            self._table.write(
                dynamo.put_new(
                    {"pk": _pk(name, language), "sk": _sk(wanted.number)} | asdict(wording) | {"version": wanted.number}
                )
            )
        except ConditionFailed as failed:
            if failed.item is None or _version(failed.item) != wanted:
                raise TextChanged from None
        return wanted


def preview(name: Name, wording: Wording) -> tuple[Wording, int]:
    """The text with the example's data, and of how many parts its text message is. Raises InvalidText."""
    check(name, wording)
    values: Mapping[str, Any] = EXAMPLES[name]
    filled = Wording(*(fill(text, values) for text in (wording.subject, wording.body, wording.sms)))
    return filled, parts_of(filled.sms)


def _pk(name: Name, language: Language) -> str:
    return f"TEXT#{name}#{language}"


def _sk(number: int) -> str:
    return f"V#{number:08d}"


def _version(item: Item) -> Version:
    return Version(item["version"], Wording(item["subject"], item["body"], item["sms"]))

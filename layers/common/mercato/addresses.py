"""What each country asks of a postal address: a postcode or a region, and in which form.

The rules are data (addresses.json, written by infra/addresses.py from a maintained package), read at the first address.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mercato.dataclass import dataclass
from mercato.errors import Invalid


class InvalidAddress(Invalid):
    """The address lacks what its country asks for, or has it in another form. `errors` names the fields."""


@dataclass(frozen=True)
class Region:
    """`code` is that of ISO 3166-2 behind the country's, or of the post; empty where a region has neither. `names` has
    the Latin one first; a region without names is called by its code.
    """

    code: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[0] if self.names else self.code

    @property
    def stored(self) -> str:
        return self.code or self.name

    def is_called(self, text: str) -> bool:
        return text.casefold() in (one.casefold() for one in (self.code, *self.names) if one)


@dataclass(frozen=True)
class Rules:
    """A country's. `postcode` and `region` are required, optional, or empty where an address has none. `regions` are
    all that there are, or empty where they are not listed. `called` is the word for a region, such as state.
    """

    postcode: str = ""
    pattern: str = ""
    example: str = ""
    region: str = ""
    called: str = "region"
    regions: tuple[Region, ...] = ()

    def find_region(self, text: str) -> Region | None:
        return next((region for region in self.regions if region.is_called(text)), None)


@functools.cache
def _table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("addresses.json").read_text(encoding="utf-8"))
    return found


@functools.cache
def rules_of(country: str) -> Rules:
    given = _table().get(country, {})
    regions = tuple(Region(code, tuple(names)) for code, *names in given.get("regions", []))
    return Rules(**given | {"regions": regions})


def region_of(country: str, text: str | None) -> str | None:
    """The region as it is stored: its code, if it has one. What is no region of the country stays as it is."""
    found = rules_of(country).find_region(text) if text else None
    return found.stored if found else text


def findings(country: str, postcode: str, region: str | None) -> Iterator[tuple[str, str]]:
    """The fields of an address that are not as its country asks for, and what is wrong with each. A field that the
    country does not use may be there.
    """
    rules = rules_of(country)
    if not postcode and rules.postcode == "required":
        yield "postcode", f"is missing: an address in {country} has one{_such_as(rules.example)}"
    if postcode and rules.pattern and not re.fullmatch(rules.pattern, postcode.upper()):
        yield "postcode", f"is no postcode of {country}{_such_as(rules.example)}"
    if not region and rules.region == "required":
        yield "region", f"is missing: an address in {country} has a {rules.called}{_such_as(_first(rules))}"
    if region and rules.regions and not rules.find_region(region):
        yield "region", f"is no {rules.called} of {country}{_such_as(_first(rules))}"


def require_address(country: str, postcode: str, region: str | None, field: str) -> None:
    """Raises InvalidAddress, with each finding at its place in the request's `field`."""
    errors = [{"field": f"{field}.{name}", "message": what} for name, what in findings(country, postcode, region)]
    if errors:
        raise InvalidAddress(f"This is no address in {country}: {errors[0]['message']}.", errors=errors)


def require_postcode(country: str, postcode: str, field: str) -> None:
    """Raises InvalidAddress where a country's addresses need a postcode and there is none."""
    if not postcode and rules_of(country).postcode == "required":
        require_address(country, postcode, None, field)


def _first(rules: Rules) -> str:
    return rules.regions[0].stored if rules.regions else ""


def _such_as(example: str) -> str:
    return f", such as {example}" if example else ""

"""The countries of an invoice file: ISO 3166-1 names, common names, and names that only the file uses."""

from __future__ import annotations

import functools

import pycountry

HOME = "GB"  # the wholesaler is British

# Names in the data that are no country, and the country that the replay assumes. Jersey is the largest of the islands.
ASSUMED = {"Unspecified": HOME, "European Community": HOME, "Channel Islands": "JE"}

# Names that ISO does not list.
_OWN = {
    "eire": "IE",
    "great britain": "GB",
    "rsa": "ZA",
    "south korea": "KR",
    "uk": "GB",
}


@functools.cache
def _codes() -> dict[str, str]:
    found = {}
    for country in pycountry.countries:
        for key in ("name", "common_name", "official_name", "alpha_2", "alpha_3"):
            if name := getattr(country, key, None):
                found[name.casefold()] = country.alpha_2
    for name in list(found):
        # ISO writes some names in its sort order: "Iran, Islamic Republic of".
        first, comma, rest = name.partition(", ")
        if comma and rest:
            found.setdefault(f"{rest} {first}", found[name])
    return found | _OWN


def code_of(name: str) -> str | None:
    """Returns the ISO 3166-1 code of a country's name, or the name's code in ASSUMED. None if the name is unknown."""
    return ASSUMED.get(name) or _codes().get(" ".join(name.split()).casefold())


def name_of(code: str) -> str:
    country = pycountry.countries.get(alpha_2=code)
    if country is None:
        raise LookupError(f"ISO 3166 has no country {code}")
    return str(getattr(country, "common_name", country.name))

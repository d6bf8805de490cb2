"""The countries of an invoice file: names as ISO 3166-1 and people write them, and the file's own."""

from __future__ import annotations

import functools

import pycountry

HOME = "GB"  # the wholesaler is British

# Names in the data that stand for no country, and what the replay takes instead. Of the islands Jersey is the largest.
ASSUMED = {"Unspecified": HOME, "European Community": HOME, "Channel Islands": "JE"}

# Names that are not among ISO's.
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
        # ISO's order is that of its list: "Iran, Islamic Republic of".
        first, comma, rest = name.partition(", ")
        if comma and rest:
            found.setdefault(f"{rest} {first}", found[name])
    return found | _OWN


def code_of(name: str) -> str | None:
    """The ISO 3166-1 code of a country's name, or of what stands for it in ASSUMED; None where no country has it."""
    return ASSUMED.get(name) or _codes().get(" ".join(name.split()).casefold())


def name_of(code: str) -> str:
    country = pycountry.countries.get(alpha_2=code)
    if country is None:
        raise LookupError(f"ISO 3166 has no country {code}")
    return str(getattr(country, "common_name", country.name))

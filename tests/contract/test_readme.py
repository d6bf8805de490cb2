"""The README's example of a new service fits the template from which its reader copies."""

from __future__ import annotations

import json
import re

from tests.kit.template import MAIN, ROOT, load_template

README = (ROOT / "README.md").read_text()
INVENTORY = load_template("functions/inventory/template.yaml")
REFERENCE = re.compile(r'!Ref (\w+)\b(?!::)|"Ref": "(\w+)"|\$\{(\w+)[.}]')


def kept_parameters() -> list[str]:
    said = re.search(r"Of its parameters, keep those ([^;]*);", README)
    assert said
    names = list(INVENTORY["Parameters"])
    ranges = re.findall(r"from `(\w+)`\s+to\s+`(\w+)`", said[1])
    return [name for first, last in ranges for name in names[names.index(first) : names.index(last) + 1]]


def test_the_parameters_that_the_example_keeps_are_those_that_its_entry_passes() -> None:
    every = re.search(r"Parameters: &every .*\n((?: {8}\w.*\n)+)", (ROOT / MAIN).read_text())
    rolled = re.search(r"<<: &rolled .*\n {10}<<: \*every\n((?: {10}\w.*\n)+)", (ROOT / MAIN).read_text())
    entry = re.search(r"^  Gifts: .*Parameters: \{<<: \*rolled, (.*?)\}\}\}", README, re.MULTILINE)
    assert every
    assert rolled
    assert entry

    assert re.findall(r"(\w+): !", every[1] + rolled[1] + entry[1]) == kept_parameters()


def test_the_example_refers_only_to_what_it_keeps() -> None:
    function = re.search(r"Then the function,[^`]*```yaml\n(.*?)```", README, re.DOTALL)
    assert function
    copied = [INVENTORY["Globals"], *(INVENTORY["Resources"][f"Inventory{part}"] for part in ("Table", "Outbox"))]
    text = function[1] + json.dumps(copied).replace("Inventory", "Gifts")
    referred = {name for names in REFERENCE.findall(text) for name in names if name}

    assert referred - set(kept_parameters()) == {"CommonLayer", "GiftsTable", "GiftsApi", "GiftsFails"}

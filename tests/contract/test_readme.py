"""The README's example of a new service fits the template from which its reader copies."""

from __future__ import annotations

import json
import re

from tests.kit.template import MAIN, ROOT, load_template

README = (ROOT / "README.md").read_text()
INVENTORY = load_template("functions/inventory/template.yaml")
REFERENCE = re.compile(r'!Ref (\w+)|"Ref": "(\w+)"|\$\{(\w+)[.}]')


def kept_parameters() -> list[str]:
    said = re.search(r"Of its parameters, keep those from `(\w+)` to `(\w+)` and from `(\w+)` to `(\w+)`", README)
    assert said
    names = list(INVENTORY["Parameters"])
    ends = [names.index(name) for name in said.groups()]
    return names[ends[0] : ends[1] + 1] + names[ends[2] : ends[3] + 1]


def test_the_parameters_that_the_example_keeps_are_those_that_its_entry_passes() -> None:
    every = re.search(r"Parameters: &every .*\n((?: {8}\w.*\n)+)", (ROOT / MAIN).read_text())
    entry = re.search(r"^  Gifts: .*Parameters: \{<<: \*every, (.*?)\}\}\}", README, re.MULTILINE)
    assert every
    assert entry

    assert re.findall(r"(\w+): !", every[1] + entry[1]) == kept_parameters()


def test_the_example_refers_only_to_what_it_keeps() -> None:
    function = re.search(r"Then the function:\n\n```yaml\n(.*?)```", README, re.DOTALL)
    assert function
    copied = [INVENTORY["Globals"], *(INVENTORY["Resources"][f"Inventory{part}"] for part in ("Table", "Outbox"))]
    text = function[1] + json.dumps(copied).replace("Inventory", "Gifts")
    referred = {name for names in REFERENCE.findall(text) for name in names if name}

    assert referred - set(kept_parameters()) == {"CommonLayer", "GiftsTable", "GiftsApi"}

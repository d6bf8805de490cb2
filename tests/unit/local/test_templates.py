"""A template that was read before is read as it is now, and each reader has a copy of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from infra import templates
from infra.paths import ROOT
from infra.trouble import Trouble

TEMPLATES = [
    ROOT / "template.yaml",
    *sorted(ROOT.glob("infra/*.yaml")),
    *sorted(ROOT.glob("functions/*/template.yaml")),
]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_reader_has_all_of_the_template_and_may_change_it(path: Path) -> None:
    parsed = yaml.load(path.read_text(), Loader=templates._Loader)  # noqa: S506
    templates.read(path)["Resources"].clear()
    assert templates.read(path) == parsed
    assert parsed["Resources"]


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("Version: 2010-09-09\nResources: {One: {Type: !Ref Kind}}\n")
    before = templates.read(path)
    path.write_text("Resources: {}\n")
    assert templates.read(path) == {"Resources": {}}
    assert before["Resources"] == {"One": {"Type": {"Ref": "Kind"}}}
    path.write_text("Resources: [\n")
    with pytest.raises(Trouble, match="is not valid YAML"):
        templates.read(path)

"""What the layer's build must keep: it takes out all that it does not know to be in use."""

from __future__ import annotations

import re

from tests.kit.template import ROOT


def test_the_layer_ships_the_data_of_every_aws_service_that_a_function_calls() -> None:
    found = re.search(r"^SERVICES := (.*)$", (ROOT / "layers/common/Makefile").read_text(), re.MULTILINE)
    assert found is not None
    sources = [path for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py")]
    called = {name for path in sources for name in re.findall(r'\bclient\(\s*"([a-z0-9-]+)"', path.read_text())}
    assert "dynamodb" in called
    assert called - set(found[1].split()) == set()


def test_no_function_imports_boto3_which_the_layer_does_not_ship() -> None:
    sources = [path for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in sources if re.search(r"^\s*(import|from) boto3\b", path.read_text(), re.M)] == []

"""What the layer's build must keep. It removes everything that is not known to be used."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
from botocore.loaders import Loader

from tests.kit.template import ROOT


def test_the_layer_ships_the_data_of_every_aws_service_that_a_function_calls() -> None:
    found = re.search(r"^SERVICES := (.*)$", (ROOT / "layers/common/Makefile").read_text(), re.MULTILINE)
    assert found is not None
    sources = [path for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py")]
    called = {name for path in sources for name in re.findall(r'\bclient\(\s*"([a-z0-9-]+)"', path.read_text())}
    assert "dynamodb" in called
    assert called - set(found[1].split()) == set()


def test_the_trimmed_data_of_s3_is_what_botocore_needs_to_sign_a_form(tmp_path: Path) -> None:
    shutil.copytree(Path(botocore.__file__).parent / "data" / "s3", tmp_path / "botocore" / "data" / "s3")
    for name in ("endpoints.json", "partitions.json", "sdk-default-configuration.json", "_retry.json"):
        shutil.copy(Path(botocore.__file__).parent / "data" / name, tmp_path / "botocore" / "data" / name)
    subprocess.run([sys.executable, ROOT / "layers/common/trim.py", tmp_path, "s3"], check=True)
    loader = Loader(extra_search_paths=[str(tmp_path / "botocore" / "data")], include_default_search_paths=False)
    session = botocore.session.Session()
    session.register_component("data_loader", loader)
    session.set_credentials("key", "secret")
    client: Any = session.create_client("s3", "eu-west-1")
    assert client.generate_presigned_post("bucket", "uploads/p/i")["fields"]["key"] == "uploads/p/i"


def test_no_function_imports_boto3_which_the_layer_does_not_ship() -> None:
    sources = [path for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in sources if re.search(r"^\s*(import|from) boto3\b", path.read_text(), re.M)] == []

"""What the layer's build must keep. It removes everything that is not known to be used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pydantic_core
import pytest
from botocore.loaders import Loader

from tests.kit.template import ROOT


def test_the_layer_ships_the_data_of_every_aws_service_that_a_function_calls() -> None:
    found = re.search(r"^SERVICES := (.*)$", (ROOT / "layers/common/Makefile").read_text(), re.MULTILINE)
    assert found is not None
    sources = [path for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py")]
    called = {name for path in sources for name in re.findall(r'\bclient\(\s*"([a-z0-9-]+)"', path.read_text())}
    assert "dynamodb" in called
    assert called - set(found[1].split()) == set()


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """botocore as the layer ships it, with S3 alone, and pydantic_core."""
    python = tmp_path_factory.mktemp("layer")
    installed = Path(botocore.__file__).parent
    services = {path.name for path in (installed / "data").iterdir() if path.is_dir()} - {"s3"}
    shutil.copytree(installed, python / "botocore", ignore=shutil.ignore_patterns("__pycache__", *services))
    shutil.copytree(Path(pydantic_core.__file__).parent, python / "pydantic_core")
    subprocess.run([sys.executable, ROOT / "layers/common/trim.py", python, "s3"], check=True)
    return python


def test_the_trimmed_data_of_s3_is_what_botocore_needs_to_sign_a_form(trimmed: Path) -> None:
    loader = Loader(extra_search_paths=[str(trimmed / "botocore" / "data")], include_default_search_paths=False)
    session = botocore.session.Session()
    session.register_component("data_loader", loader)
    session.set_credentials("key", "secret")
    client: Any = session.create_client("s3", "eu-west-1")
    assert client.generate_presigned_post("bucket", "uploads/p/i")["fields"]["key"] == "uploads/p/i"


_CLIENT_WITHOUT_DOCUMENTATION = """
import sys
import botocore.session
client = botocore.session.get_session().create_client("s3", "eu-west-1")
client.get_paginator("list_objects_v2"), client.get_waiter("object_exists")
print(botocore.__file__, len(client.put_object.__doc__))
print(*sorted(name for name in sys.modules if name.startswith("botocore.docs.") or name == "html.parser"))
"""


def test_a_client_of_the_layer_is_made_without_the_writer_of_documentation(trimmed: Path) -> None:
    command = [sys.executable, "-c", _CLIENT_WITHOUT_DOCUMENTATION]
    environment = os.environ | {"PYTHONPATH": str(trimmed), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    made, imported = ran.stdout.splitlines()
    assert made == f"{trimmed / 'botocore/__init__.py'} 0"
    assert imported == "botocore.docs.docstring botocore.docs.utils"


_MODEL = """
from typing import TypedDict
import pydantic_core
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import core_schema

class Line(BaseModel):
    quantity: int = Field(ge=1)

class Order(TypedDict):
    lines: list[Line]

adapter = TypeAdapter(Order)
types = [one for one in vars(core_schema).values() if isinstance(one, type)]
print(pydantic_core.__file__, [one.__name__ for one in types if getattr(one, "__annotations__", {})])
print(adapter.validate_python({"lines": [{"quantity": "2"}]}), adapter.json_schema()["properties"])
try:
    adapter.validate_python({"lines": [{"quantity": 0}]})
except ValidationError as error:
    print(error.errors()[0]["loc"])
"""


def test_pydantic_needs_no_fields_of_its_own_types(trimmed: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(trimmed), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run([sys.executable, "-c", _MODEL], env=environment, check=True, capture_output=True, text=True)
    assert ran.stdout.splitlines() == [
        f"{trimmed / 'pydantic_core/__init__.py'} []",
        "{'lines': [Line(quantity=2)]} "
        "{'lines': {'items': {'$ref': '#/$defs/Line'}, 'title': 'Lines', 'type': 'array'}}",
        "('lines', 0, 'quantity')",
    ]


def test_no_function_imports_boto3_which_the_layer_does_not_ship() -> None:
    sources = [path for folder in ("layers", "functions") for path in (ROOT / folder).rglob("*.py")]
    assert [str(path) for path in sources if re.search(r"^\s*(import|from) boto3\b", path.read_text(), re.M)] == []


def test_no_frozen_dataclass_is_compiled_at_a_cold_start() -> None:
    """It takes `mercato.dataclass` (docs/decisions/0273). The mesh's sidecar has no common layer."""
    folders = ("functions", "layers/common", "layers/pages")
    sources = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    compiled = re.compile(r"^from dataclasses import .*\bdataclass\b(?s:.*)^@dataclass\(frozen=True", re.M)
    named = re.compile(r"^@dataclasses\.dataclass\(frozen=True", re.M)
    found = [path for path in sources if compiled.search(path.read_text()) or named.search(path.read_text())]
    assert [str(path.relative_to(ROOT)) for path in found] == []

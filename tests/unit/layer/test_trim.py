from __future__ import annotations

import gzip
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.template import ROOT

_TYPES = """
class Config(TypedDict, total=False):
    '''What it configures.'''

    title: str
    strict: bool

class Other(Base):
    title: str

def made() -> Config:
    return {'title': 'x'}
"""


def load_trim() -> Any:
    """Loads the script of the layer's build, which is beside the package and not in it."""
    spec = importlib.util.spec_from_file_location("trim", ROOT / "layers/common/trim.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_service(data: Path, service: str, version: str, model: dict[str, Any]) -> None:
    folder = data / service / version
    folder.mkdir(parents=True)
    (folder / "service-2.json.gz").write_bytes(gzip.compress(json.dumps(model).encode()))
    (folder / "examples-1.json").write_text("{}")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "botocore" / "data"
    model = {
        "metadata": {"endpointPrefix": "email"},
        "documentation": "<p>Prose</p>",
        "shapes": {"Page": {"members": {"documentation": {"shape": "Text", "documentation": "More prose"}}}},
    }
    write_service(data, "sesv2", "2019-09-27", model)
    write_service(data, "sesv2", "2010-01-01", model)
    write_service(data, "ec2", "2016-11-15", {"metadata": {"endpointPrefix": "ec2"}})
    services: dict[str, Any] = {"email": {"endpoints": {"eu-west-1": {}}}, "ec2": {}}
    partition = {"partition": "aws", "regions": {"eu-west-1": {}}, "services": services}
    (data / "endpoints.json").write_text(json.dumps({"version": 3, "partitions": [partition]}))
    (tmp_path / "botocore" / "docs" / "bcdoc").mkdir(parents=True)
    (tmp_path / "pydantic_core").mkdir()
    (tmp_path / "pydantic_core" / "core_schema.py").write_text(_TYPES)
    load_trim().trim(tmp_path, {"sesv2"})
    return data


def test_only_the_newest_model_of_the_services_in_use_stays_and_is_not_packed(data: Path) -> None:
    left = sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    assert left == ["endpoints.json", "sesv2/2019-09-27/service-2.json"]


def test_a_model_loses_its_prose_and_not_a_member_that_is_called_documentation(data: Path) -> None:
    model = json.loads((data / "sesv2/2019-09-27/service-2.json").read_text())
    assert model == {
        "metadata": {"endpointPrefix": "email"},
        "shapes": {"Page": {"members": {"documentation": {"shape": "Text"}}}},
    }


def test_endpoints_are_kept_by_the_name_that_the_service_has_there_with_every_region(data: Path) -> None:
    (partition,) = json.loads((data / "endpoints.json").read_text())["partitions"]
    assert partition == {
        "partition": "aws",
        "regions": {"eu-west-1": {}},
        "services": {"email": {"endpoints": {"eu-west-1": {}}}},
    }


def test_a_typed_dict_loses_its_fields_and_all_else_keeps_its_lines(data: Path) -> None:
    trimmed = (data.parents[1] / "pydantic_core" / "core_schema.py").read_text().splitlines()
    original = _TYPES.splitlines()
    assert trimmed[:2] + trimmed[6:] == original[:2] + original[6:]
    assert trimmed[2:6] == ["    pass", "", "", ""]

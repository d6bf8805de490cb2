"""A published event's schema may grow and never loses anything, compared with docs/schemas."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel

from infra.contract import events
from infra.contract.compatibility import breaking_changes
from infra.contract.events import Publication
from infra.trouble import Trouble
from mercato.events import EventModel

SCHEMAS = sorted(events.SCHEMAS.glob("*.json"))
FIELDS = [(path, name) for path in SCHEMAS for name in json.loads(path.read_text())["properties"]]


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def by_field(value: Any) -> str:
    return value.stem if isinstance(value, Path) else str(value)


def test_no_published_schema_is_broken() -> None:
    assert events.breaking() == [], "publish a new VERSION of the event beside the old one"


@pytest.mark.parametrize(("path", "name"), FIELDS, ids=by_field)
def test_a_removed_field_is_breaking(path: Path, name: str) -> None:
    changed = read(path)
    del changed["properties"][name]

    assert f"{name}: removed" in breaking_changes(read(path), changed)


@pytest.mark.parametrize(("path", "name"), FIELDS, ids=by_field)
def test_a_retyped_field_is_breaking(path: Path, name: str) -> None:
    changed = read(path)
    is_boolean = changed["properties"][name].get("type") == "boolean"
    changed["properties"][name] = {"type": "string" if is_boolean else "boolean"}

    (found,) = breaking_changes(read(path), changed)
    assert found.startswith(f"{name}: ")


@pytest.mark.parametrize(("path", "name"), FIELDS, ids=by_field)
def test_a_field_that_may_be_missing_is_breaking_where_it_was_promised(path: Path, name: str) -> None:
    changed = read(path)
    if name not in changed["required"]:
        return
    changed["required"].remove(name)

    assert breaking_changes(read(path), changed) == [f"{name}: may now be missing"]


@pytest.mark.parametrize("path", SCHEMAS, ids=by_field)
def test_a_new_field_breaks_nobody(path: Path) -> None:
    changed = copy.deepcopy(read(path))
    changed["properties"]["new_in_this_release"] = {"type": "string"}
    changed["required"].append("new_in_this_release")

    assert breaking_changes(read(path), changed) == []


class Leaf(BaseModel):
    name: str


class Was(EventModel):
    TYPE: ClassVar[str] = "tea.brewed"
    EXAMPLE: ClassVar[dict[str, Any]] = {}

    kind: Literal["green", "black"]
    note: str | None
    leaves: list[Leaf]
    weight: float


@pytest.mark.parametrize(
    ("annotations", "found"),
    [
        ({"kind": Literal["green"]}, []),
        ({"kind": Literal["green", "black", "white"]}, ['kind: may now be "white"']),
        ({"kind": str}, ['kind: may now be anything, not only "black", "green"']),
        ({"note": str}, []),
        ({"note": str | None | int}, ["note: may now be integer"]),
        ({"weight": int}, []),
        ({"weight": str}, ["weight: number became string"]),
        ({"weight": float | None}, ["weight: may now be null"]),
        ({"leaves": list[str]}, ["leaves[]: Leaf became string"]),
        ({"leaves": list[Leaf | None]}, ["leaves[]: may now be null"]),
    ],
    ids=str,
)
def test_a_change_of_type_breaks_where_it_allows_what_was_not_allowed(
    annotations: dict[str, Any], found: list[str]
) -> None:
    now = type("Now", (Was,), {"__annotations__": annotations, "__module__": __name__})

    assert breaking_changes(events.schema_of(Was), events.schema_of(now)) == found


def test_a_field_deep_inside_is_named_with_its_path() -> None:
    changed = events.schema_of(Was)
    changed["$defs"]["Leaf"]["properties"]["name"] = {"type": "integer"}

    assert breaking_changes(events.schema_of(Was), changed) == ["leaves[].name: string became integer"]


def test_the_generator_does_not_write_over_a_schema_that_it_would_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = events.schema_of(Was)
    schema["properties"]["origin"] = {"type": "string"}
    agreed = tmp_path / "tea.brewed.v1.json"
    agreed.write_text(json.dumps(schema))
    monkeypatch.setattr(events, "SCHEMAS", tmp_path)
    monkeypatch.setattr(events, "publications", lambda: [Publication("kitchen", Was)])

    with pytest.raises(Trouble, match=r"tea\.brewed\.v1: origin: removed"):
        events.write()

    assert json.loads(agreed.read_text()) == schema

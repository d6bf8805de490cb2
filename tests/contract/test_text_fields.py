"""Each text of each body and query has a stated purpose: people write it, by the rule for such texts, or a machine made
it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, StringConstraints, WithJsonSchema
from pydantic.fields import FieldInfo

from mercato.http import Body, Query
from mercato.text import SKU, TOKEN, Exact, Text
from products.domain import Draft
from tests.kit.routes import all_routes

# These patterns admit only ASCII.
PATTERNS = {TOKEN, SKU, r"^[A-Za-z0-9_-]*$", r"^([A-Za-z0-9_-]{8})*$", r"^[A-Z]{3}$"}


def texts_in(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, list[Any]]]:
    """Each `str` of the model and its nested models, with its annotations."""
    for name, field in model.model_fields.items():
        yield from _texts(field.annotation, list(field.metadata), f"{path}{model.__module__}.{model.__name__}.{name}")


def _texts(kind: Any, annotations: list[Any], path: str) -> Iterator[tuple[str, list[Any]]]:
    if get_origin(kind) is Annotated:
        inner, *more = get_args(kind)
        flat = [part for one in more for part in (one.metadata if isinstance(one, FieldInfo) else [one])]
        yield from _texts(inner, annotations + flat, path)
    elif kind is str:
        yield path, annotations
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from texts_in(kind, f"{path} > ")
    else:
        for part in get_args(kind):
            yield from _texts(part, annotations, path)


def has_a_purpose(annotations: list[Any]) -> bool:
    return any(
        isinstance(one, Text | Exact)
        or (isinstance(one, WithJsonSchema) and bool((one.json_schema or {}).get("enum")))
        or (isinstance(one, StringConstraints) and one.pattern in PATTERNS)
        or getattr(one, "pattern", None) in PATTERNS
        for one in annotations
    )


MODELS = sorted(
    {
        kind
        for served in all_routes()
        for kind in served.route.parameters.values()
        if isinstance(kind, type) and issubclass(kind, Body | Query)
    }
    | {Draft},
    key=lambda model: (model.__module__, model.__name__),
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.__module__}.{model.__name__}")
def test_each_text_of_each_body_and_query_has_a_purpose(model: type[BaseModel]) -> None:
    assert [path for path, annotations in texts_in(model) if not has_a_purpose(annotations)] == []


def test_a_text_without_a_purpose_is_found() -> None:
    class Inner(Body):
        note: Annotated[str, StringConstraints(max_length=20)] | None = None

    class Outer(Body):
        name: str
        token: Annotated[str, StringConstraints(pattern=TOKEN)]
        line: Annotated[str, Text(20)] | None = None
        ids: list[Annotated[str, Exact()]] = []
        inner: list[Inner]

    found = [path.rpartition(".")[2] for path, annotations in texts_in(Outer) if not has_a_purpose(annotations)]
    assert found == ["name", "note"]

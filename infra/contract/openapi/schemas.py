"""Converts the operations' models to component schemas, such as `orders.OrderView` and the layer's `Money`."""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from infra.trouble import Trouble
from mercato.text import WORDS

_PREFIX = "#/components/schemas/"


class _Named(GenerateJsonSchema):
    """Names a model by its service and class, so that models of different services may have the same class name."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}

    def get_defs_ref(self, core_mode_ref: Any) -> Any:
        key = super().get_defs_ref(core_mode_ref)
        core_ref, mode = core_mode_ref
        module, _, name = re.sub(r":\d+", "", core_ref).rpartition(".")
        package = module.split(".")[0]
        short = name if package == "mercato" else f"{package}.{name}"
        side = "Input" if mode == "validation" else "Output"
        self._prioritized_defsref_choices[key] = [short, f"{short}-{side}", key]  # type: ignore[list-item]
        return key


def schemas_of(models: list[tuple[Any, JsonSchemaMode]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Returns the models' schemas, in order, and their components. Raises Trouble if two models have one name."""
    inputs = [(index, mode, TypeAdapter(model)) for index, (model, mode) in enumerate(models)]
    found, definitions = TypeAdapter.json_schemas(
        [(index, mode, adapter) for index, mode, adapter in inputs],
        ref_template=_PREFIX + "{model}",
        schema_generator=_Named,
    )
    components: dict[str, Any] = definitions.get("$defs", {})
    for name in components:
        if "__" in name:
            raise Trouble(f"a service has two models called {name.split('__')[-2]}", "Rename one of them.")
    return [_plain(found[(index, mode)]) for index, mode, _ in inputs], _plain(components)


def _plain(schema: Any) -> Any:
    """Removes titles, which only repeat the field's name."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _plain(part) for name, part in schema.items() if not (name == "title" and isinstance(part, str))}
    if found.get("default") == "" and found.get("minLength"):
        del found["default"]  # the default stands for an omitted value and is itself not a valid input
    if found.get("pattern") in WORDS and "description" not in found:
        words = WORDS[found["pattern"]]
        found["description"] = f"{words[0].upper()}{words[1:]}."  # capitalize() would write "gbp"
    return found


def resolve(schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = components[schema["$ref"].removeprefix(_PREFIX)]
    return schema

"""Every value that DynamoDB can hold comes back from a backup as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from infra.operator.backup.files import Writer, decode, encode, read_items
from infra.operator.backup.tables import Sum

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20).map(str),
)
scalars = st.one_of(
    texts.map(lambda value: {"S": value}),
    numbers.map(lambda value: {"N": value}),
    st.binary(max_size=20).map(lambda value: {"B": value}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.sets(texts.filter(bool), min_size=1, max_size=4).map(lambda values: {"SS": list(values)}),
    st.sets(numbers, min_size=1, max_size=4).map(lambda values: {"NS": list(values)}),
    st.sets(st.binary(min_size=1, max_size=9), min_size=1, max_size=4).map(lambda values: {"BS": list(values)}),
)
attributes = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda values: {"L": values}),
        st.dictionaries(texts, inner, max_size=4).map(lambda values: {"M": values}),
    ),
    max_leaves=12,
)
items = st.dictionaries(texts.filter(bool), attributes, min_size=1, max_size=6)


def as_sets(node: Any) -> Any:
    """The same value with sets for DynamoDB's sets, whose order says nothing."""
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    match kind:
        case "SS" | "NS" | "BS":
            return kind, frozenset(value)
        case "L":
            return kind, [as_sets(one) for one in value]
        case "M":
            return kind, {name: as_sets(one) for name, one in value.items()}
    return kind, type(value), value


@given(items)
def test_every_item_comes_back_as_it_was(item: dict[str, Any]) -> None:
    line = encode(item)
    assert b"\n" not in line
    found = decode(line)
    assert {name: as_sets(value) for name, value in found.items()} == {k: as_sets(v) for k, v in item.items()}


@given(items)
def test_equal_items_are_equal_lines(item: dict[str, Any]) -> None:
    def turned(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: turned(value) for name, value in reversed(node.items())}
        return node

    sets = {"SS", "NS", "BS"}
    other = {
        name: {kind: value[::-1] if kind in sets else turned(value) for kind, value in attribute.items()}
        for name, attribute in reversed(item.items())
    }
    assert encode(other) == encode(item)


def test_the_sum_of_items_is_the_same_in_any_order_and_differs_with_any_item() -> None:
    several = [{"pk": {"S": str(number)}} for number in range(5)]
    one, other, less = Sum(), Sum(), Sum()
    for item in several:
        one.add(item)
    for item in reversed(several):
        other.add(item)
    for item in [*several[:4], {"pk": {"S": "5"}}]:
        less.add(item)
    assert one == other
    assert one != less


def test_a_file_has_a_line_for_each_item(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "a")
    for number in range(3):
        writer.write({"pk": {"S": f"ö{number}\n"}})
    written = writer.close()
    assert written.items == 3
    assert [item["pk"]["S"] for item in read_items(tmp_path, written)] == ["ö0\n", "ö1\n", "ö2\n"]
    assert json.loads(encode({"pk": {"B": b"\0"}})) == {"Item": {"pk": {"B": "AA=="}}}

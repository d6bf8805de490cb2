"""Makes moto's DynamoDB compute each response with less work. Responses and errors do not change.

Values and items:
- The size of an item is summed once, while its attributes are set. moto sums the whole item again for each attribute.
- A value is copied, compared and converted by functions that visit each part once. moto copies the whole part again at
  each level of a map or list.

Expressions:
- A condition is parsed once for its text and its names. A request puts its own values into the parsed tree.
- An update is planned once for its text. moto copies its tree for each request, and each of its ten processors visits
  all nodes. Here each action is resolved by moto's own functions, without the visits. A plan serves only requests
  without an error: after an exception moto's own validator works from the start, and its exception is raised.
"""

from __future__ import annotations

import base64
import copy
from decimal import Decimal
from typing import Any

import moto.dynamodb.models
import moto.dynamodb.models.utilities
import moto.dynamodb.responses
from moto.dynamodb.comparisons import AttributeValue, ConditionExpressionParser, OpDefault
from moto.dynamodb.exceptions import (
    DynamodbException,
    InvalidUpdateExpressionInvalidDocumentPath,
    ItemSizeTooLarge,
    ProvidedKeyDoesNotExist,
)
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table
from moto.dynamodb.models.utilities import dynamo_to_dict
from moto.dynamodb.parsing.ast_nodes import (  # type: ignore[attr-defined]
    DDBTypedValue,
    ExpressionAttributeValue,
    Node,
    NoneExistingPath,
    UpdateExpressionAddAction,
    UpdateExpressionDeleteAction,
    UpdateExpressionFunction,
    UpdateExpressionPath,
    UpdateExpressionRemoveAction,
    UpdateExpressionSetAction,
    UpdateExpressionValue,
)
from moto.dynamodb.parsing.validators import (
    ActionCountValidator,
    EmptyStringKeyValueValidator,
    ExecuteOperations,
    ExpressionPathResolver,
    OverlappingPathsValidator,
    TypeMismatchValidator,
    UpdateExpressionFunctionEvaluator,
    UpdateExpressionValidator,
    UpdateHashRangeKeyValidator,
)

SETS = frozenset({"SS", "NS", "BS"})
ITEM_LIMIT = 405_000  # bytes, as in moto's LimitedSizeDict


def with_plain_values(init: Any) -> Any:
    def make(value: DynamoType, given: Any) -> None:
        if type(given) is dict and len(given) == 1:
            ((kind, held),) = given.items()
            if kind != "L" and kind != "M":
                value.type, value.value = kind, held
                return
        init(value, given)

    return make


def typed(value: Any) -> DynamoType:
    return value if type(value) is DynamoType else DynamoType(value)


def equals(value: DynamoType, other: DynamoType) -> bool:
    return value.type == other.type and bool(cast(value) == cast(other))


def cast(value: DynamoType) -> Any:
    kind, held = value.type, value.value
    if kind == "S":
        return held
    if kind == "N":
        return Decimal(held)
    if kind == "M":
        return {key: cast(typed(part)) for key, part in held.items()}
    if kind == "L":
        return [cast(typed(part)) for part in held]
    if kind in SETS:
        return {Decimal(one) for one in held} if kind == "NS" else set(held)
    return None if kind == "NULL" else held


def length(value: Any) -> int:
    """The bytes of a text or of binary data."""
    if type(value) is str and value.isascii():
        return len(value)
    return len(value if isinstance(value, bytes) else value.encode("utf-8"))


def size_of(value: DynamoType) -> int:
    kind, held = value.type, value.value
    if kind == "N":
        return len(str(held))
    if kind == "M":
        return sum([length(key) + size_of(typed(part)) for key, part in held.items()])
    if kind == "L":
        return sum([size_of(part) for part in held])
    if kind in SETS:
        return sum([len(str(one)) if kind == "NS" else length(one) for one in held])
    return 1 if isinstance(held, bool) else length(held)


def size_of_item(item: Item) -> int:
    size = 0
    for name, value in item.attrs.items():
        held = value.value
        if value.type == "S" and type(held) is str and held.isascii() and name.isascii():
            size += len(name) + len(held)
        else:
            size += length(name) + size_of(value)
    return size


def in_order(table: Table) -> list[Item]:
    """`Table.all_items`, ordered by the keys' values. moto asks a key to compare itself with another."""
    if table.range_key_attr:
        items = [item for partition in table.items.values() for item in partition.values()]
    else:
        items = list(table.items.values())
    return sorted(items, key=lambda item: (cast(item.hash_key), cast(item.range_key) if item.range_key else None))


def copied(value: Any) -> Any:
    if type(value) is not DynamoType:
        return copy.deepcopy(value)
    made = object.__new__(DynamoType)
    kind, held = value.type, value.value
    made.type = kind
    if kind == "M":
        made.value = {key: copied(part) for key, part in held.items()}
    elif kind == "L":
        made.value = [copied(part) for part in held]
    else:
        made.value = list(held) if kind in SETS else held
    return made


def copied_item(item: Item, memo: dict[int, Any]) -> Item:
    made: Item = object.__new__(Item)
    made.hash_key, made.range_key = copied(item.hash_key), copied(item.range_key)
    made.attrs = LimitedSizeDict()
    dict.update(made.attrs, {name: copied(value) for name, value in item.attrs.items()})
    return made


def regular_json(value: DynamoType) -> dict[str, Any]:
    def of(part: Any) -> Any:
        return part.to_regular_json() if isinstance(part, DynamoType) else copy.deepcopy(part)

    held = value.value
    if isinstance(held, dict):
        held = {key: of(part) for key, part in held.items()}
    elif isinstance(held, list):
        held = [of(part) for part in held]
    elif value.type == "B" and isinstance(held, str):
        held = base64.b64decode(held)
    return {value.type: held}


def plain(found: Any) -> Any:
    """`dynamo_to_dict`, which asks four questions of each text."""
    kind = type(found)
    if kind is DynamoType and found.type != "B" and found.type != "BS":
        held = found.value
        return {found.type: held if type(held) is str else plain(held)}
    if kind is dict:
        return {key: plain(value) for key, value in found.items()}
    if kind is list:
        return [plain(value) for value in found]
    return found if kind is str or kind is bool else dynamo_to_dict(found)


def item_of(item: Item, hash_key: DynamoType, range_key: DynamoType | None, attrs: dict[str, Any]) -> None:
    item.hash_key, item.range_key = hash_key, range_key
    item.attrs = LimitedSizeDict()
    size = 0
    for name, given in attrs.items():
        value = DynamoType(given)
        size += length(name) + size_of(value)
        if size > ITEM_LIMIT:
            raise ItemSizeTooLarge
        dict.__setitem__(item.attrs, name, value)


def set_within_limit(attrs: LimitedSizeDict, name: str, value: Any) -> None:
    size = length(name) + size_of_any(value)
    size += sum([length(str(key)) + size_of_any(held) for key, held in attrs.items()])
    if size > ITEM_LIMIT:
        raise ItemSizeTooLarge
    dict.__setitem__(attrs, name, value)


def size_of_any(value: Any) -> int:
    return size_of(value) if type(value) is DynamoType else length(str(value))


def parsed_once(parse: Any) -> Any:
    """The trees of conditions that moto's parser took, by their text and names, with what it found in them."""
    trees: dict[Any, tuple[Any, list[str], list[str]]] = {}

    def parse_condition(parser: Any) -> Any:
        expression = parser.condition_expression
        if not expression:
            return OpDefault(None, None)  # type: ignore[arg-type]
        names, values = parser.expression_attribute_names, parser.expression_attribute_values
        key = (expression, tuple(names.items()) if names else ())
        known = trees.get(key)
        if known is not None and all(name in (values or ()) for name in known[2]):
            parser.expr_attr_names_found.extend(known[1])
            parser.expr_attr_values_found.extend(known[2])
            return parser._make_op_condition(known[0])
        kept: list[Any] = []
        make = parser._make_op_condition

        def make_and_keep(node: Any) -> Any:
            kept.append(node)
            return make(node)

        parser._make_op_condition = make_and_keep
        try:
            made = parse(parser)
        finally:
            del parser._make_op_condition
        trees[key] = (kept[0], list(parser.expr_attr_names_found), list(parser.expr_attr_values_found))
        return made

    return parse_condition


def with_own_values(make_operand: Any) -> Any:
    def make(parser: Any, node: Any) -> Any:
        if node.kind == "EXPRESSION_ATTRIBUTE_VALUE":
            return AttributeValue(parser.expression_attribute_values[node.text])
        return make_operand(parser, node)

    return make


ACTIONS = [
    UpdateExpressionSetAction,
    UpdateExpressionAddAction,
    UpdateExpressionRemoveAction,
    UpdateExpressionDeleteAction,
]
# What moto's processors raise for expressions and values that they do not take.
REFUSALS = (DynamodbException, LookupError, TypeError, ValueError, AttributeError, AssertionError, NotImplementedError)
plans: dict[Any, list[Node]] = {}


class PlannedUpdate:
    """UpdateExpressionValidator without the visits of nodes that no processor changes."""

    def __init__(
        self,
        expression: Node,
        expression_attribute_names: dict[str, str] | None,
        expression_attribute_values: dict[str, Any] | None,
        item: Item,
        table: Any,
    ):
        self.expression, self.item, self.table = expression, item, table
        self.names: Any = expression_attribute_names
        self.values: Any = expression_attribute_values

    def validate(self) -> Node:
        """Returns an update whose actions have their values, or raises what moto's validator raises."""
        try:
            return bare(self.expression, [self._resolve(action) for action in self._actions()])
        except REFUSALS:
            whole = UpdateExpressionValidator(self.expression, self.names, self.values, self.item, self.table)
            return whole.validate()

    def _actions(self) -> list[Node]:
        keys = self.table.table_key_attrs
        plan = (self.expression, tuple(self.names.items()) if self.names else (), tuple(keys))
        if plan not in plans:  # the checks that need neither the item nor the values
            ActionCountValidator().traverse(self.expression)
            OverlappingPathsValidator(self.names).traverse(self.expression)
            UpdateHashRangeKeyValidator(keys, self.names or {}).traverse(self.expression)
            plans[plan] = self.expression.find_clauses(ACTIONS)
        return plans[plan]

    def _resolve(self, action: Node) -> Node:
        path = action.children[0]
        found = self._find(path)
        if isinstance(found, NoneExistingPath) and not found.is_creatable():
            raise InvalidUpdateExpressionInvalidDocumentPath
        if isinstance(action, UpdateExpressionRemoveAction):
            return bare(action, [path])
        resolved = bare(action, [path, self._value(action.children[1])])
        if isinstance(action, UpdateExpressionSetAction):
            TypeMismatchValidator(self.table.attr).check_for_type_mismatch(resolved)
            EmptyStringKeyValueValidator(self.table.attribute_keys).check_for_empty_string_key_value(resolved)
        return resolved

    def _find(self, path: Node) -> Node:
        return ExpressionPathResolver(self.names).resolve_expression_path(self.item, path)

    def _value(self, node: Node) -> Node:
        if not isinstance(node, UpdateExpressionValue):
            found = self._operand(node)
        elif len(node.children) == 1:
            found = self._value(node.children[0])
        else:
            left, operator, right = node.children
            operation = bare(node, [self._value(left), operator, self._value(right)])
            found = ExecuteOperations().process_update_expression_value(operation)
        if isinstance(found, NoneExistingPath):
            raise ProvidedKeyDoesNotExist
        return found

    def _operand(self, node: Node) -> Node:
        if isinstance(node, ExpressionAttributeValue):
            return DDBTypedValue(DynamoType(self.values[node.get_value_name()]))
        if isinstance(node, UpdateExpressionPath):
            return self._find(node)
        if not isinstance(node, UpdateExpressionFunction):
            raise NotImplementedError
        name, *arguments = node.children
        call = bare(node, [name, *[self._operand(argument) for argument in arguments]])
        return UpdateExpressionFunctionEvaluator().process_function(call)


def bare(node: Node, children: list[Any]) -> Node:
    """Returns a node like `node` with other children. They keep their parents, because plans share them."""
    made = object.__new__(type(node))
    made.__dict__.update(node.__dict__, children=children, parent=None)
    return made


REPLACEMENTS: list[tuple[Any, str, Any]] = [
    (DynamoType, "__init__", with_plain_values(DynamoType.__init__)),
    (DynamoType, "__eq__", equals),
    (DynamoType, "__hash__", lambda value: hash((value.type, cast(value)))),
    (DynamoType, "__deepcopy__", lambda value, memo: copied(value)),
    (DynamoType, "cast_value", property(cast)),
    (DynamoType, "size", size_of),
    (DynamoType, "to_regular_json", regular_json),
    (Item, "__init__", item_of),
    (Item, "__deepcopy__", copied_item),
    (Item, "size", size_of_item),
    (LimitedSizeDict, "__setitem__", set_within_limit),
    (Table, "all_items", in_order),
    (moto.dynamodb.models.utilities, "dynamo_to_dict", plain),
    (moto.dynamodb.responses, "dynamo_to_dict", plain),
    (ConditionExpressionParser, "parse", parsed_once(ConditionExpressionParser.parse)),
    (ConditionExpressionParser, "_make_operand", with_own_values(ConditionExpressionParser._make_operand)),
    (moto.dynamodb.models, "UpdateExpressionValidator", PlannedUpdate),
]
MOTOS_OWN = [(owner, name, getattr(owner, name)) for owner, name, _ in REPLACEMENTS]

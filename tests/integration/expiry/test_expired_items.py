"""DynamoDB removes an expired item up to days later. Until then every read and write treats it as absent."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from infra.paths import ROOT
from mercato.clock import epoch
from mercato.store.attributes import Item, from_item
from mercato.store.dynamo import Table, delete
from tests.integration.expiry import of_the_layer
from tests.kit import cases
from tests.kit.cases import Exempt, Expiring

EXPIRING = [*of_the_layer.EXPIRING, *cases.collect("EXPIRING", Expiring)]
EXEMPT = [*of_the_layer.EXEMPT, *cases.collect("EXEMPT", Exempt)]


def items_of(table: Table) -> list[Item]:
    return [from_item(item) for item in boto3.client("dynamodb", "us-east-1").scan(TableName=table.name)["Items"]]


def remove(table: Table, items: list[Item]) -> None:
    for item in items:
        table.write(delete(item["pk"], item["sk"]))


@pytest.mark.parametrize("kind", EXPIRING, ids=lambda kind: kind.name)
def test_an_expired_item_that_is_still_there_is_as_if_it_were_gone(
    kind: Expiring, make_table: Callable[[str], Table], noon: datetime
) -> None:
    table = make_table(kind.table)

    kind.make(table, noon)
    expiring = [item["ttl"] for item in items_of(table) if "ttl" in item]
    assert min(expiring) > epoch(noon), "nothing expires at once"
    expired = datetime.fromtimestamp(max(expiring), UTC)
    present = kind.use(table, expired)
    remove(table, items_of(table))

    kind.make(table, noon)
    remove(table, [item for item in items_of(table) if item.get("ttl", epoch(expired) + 1) <= epoch(expired)])
    absent = kind.use(table, expired)
    remove(table, items_of(table))

    kind.make(table, noon)
    live = kind.use(table, noon + timedelta(seconds=1))

    assert present == absent
    assert live != absent, "a case in which it makes no difference whether the item is there proves nothing"


def test_every_item_with_a_time_to_live_is_among_them() -> None:
    known = [writer for kind in EXPIRING for writer in kind.writers] + [one.writer for one in EXEMPT]
    assert len(set(known)) == len(known)
    missing = [to_add(writer) for writer in writers_of_ttl() if writer not in known]
    assert not missing, "\n".join(missing)
    assert set(writers_of_ttl()) == set(known)


def to_add(writer: str) -> str:
    package = writer.partition(":")[0].partition(".")[0]
    if package == "mercato":
        return f"{writer} has no case: add one to EXPIRING in tests/integration/expiry/of_the_layer.py"
    return cases.to_add(writer, "EXPIRING", package)


def writers_of_ttl() -> Iterator[str]:
    """Every function of the services and of the layer that sets a `ttl`, as module:name."""
    for package in (*ROOT.glob("functions/*/*/__init__.py"), ROOT / "layers/common/mercato/__init__.py"):
        for path in sorted(package.parent.rglob("*.py")):
            parts = path.relative_to(package.parent.parent).with_suffix("").parts
            module = ".".join(part for part in parts if part != "__init__")
            if "ttl" not in (text := path.read_text()):
                continue
            for name, function in functions_of(ast.parse(text)):
                if any(sets_ttl(node) for node in ast.walk(function)):
                    yield f"{module}:{name}"


def functions_of(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """The functions of the module and its classes, with nested ones as part of them. Other code is `<module>`."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}.{getattr(part, 'name', '<class>')}", part) for part in node.body)
        else:
            yield getattr(node, "name", "<module>"), node


def sets_ttl(node: ast.AST) -> bool:
    match node:
        case ast.Dict(keys=keys):
            return any(isinstance(key, ast.Constant) and key.value == "ttl" for key in keys)
        case ast.keyword(arg="ttl") | ast.Subscript(slice=ast.Constant(value="ttl"), ctx=ast.Store()):
            return True
        case ast.Constant(value=str(text)):
            return "#ttl = " in text
    return False

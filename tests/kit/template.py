"""Reads template.yaml like CloudFormation, so that tests use the real definitions."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from infra import templates

ROOT = Path(__file__).resolve().parents[2]
MAIN = "template.yaml"
OF_THE_MESH = {"HasMesh", "HasMeshDomain", "IsMeshed", "HasDomain"}  # the conditions that hold where it is on
_SMS = "HasSms"  # tests look at a shop that sends text messages
ANY = "x-amazon-apigateway-any-method"
METHODS = {"get", "head", "post", "put", "patch", "delete", "options"}
_TABLE = re.compile(r"arn:\$\{AWS::Partition\}:dynamodb:\$\{AWS::Region\}:\$\{AWS::AccountId\}:table/\$\{(\w+)\}")


@functools.cache
def load_template(path: str = MAIN, *, mesh: bool = False) -> dict[str, Any]:
    """Returns a template. template.yaml includes the templates that it nests, so it is the whole shop.

    `mesh` chooses between the two ways to call a peer.
    """
    if path != MAIN:
        return templates.read(ROOT / path)
    loaded: dict[str, Any] = _with_arns(decided(templates.read_whole(ROOT / path), mesh=mesh))
    return loaded


def decided(node: Any, *, mesh: bool) -> Any:
    """Replaces each Fn::If about the mesh or about text messages with its branch."""
    if isinstance(node, list):
        return [decided(value, mesh=mesh) for value in node if not _is_absent(value, mesh=mesh)]
    if not isinstance(node, dict):
        return node
    match node:
        case {"Fn::If": [condition, on, off]} if condition in OF_THE_MESH or condition == _SMS:
            return decided(on if mesh or condition == _SMS else off, mesh=mesh)
    return {key: decided(value, mesh=mesh) for key, value in node.items() if not _is_absent(value, mesh=mesh)}


def _is_absent(node: Any, *, mesh: bool) -> bool:
    match node:
        case {"Fn::If": [condition, on, off]} if condition in OF_THE_MESH or condition == _SMS:
            return bool((on if mesh or condition == _SMS else off) == {"Ref": "AWS::NoValue"})
    return False


def _with_arns(node: Any) -> Any:
    """Replaces written-out table ARNs with Fn::GetAtt. A template has only the name of another template's table."""
    if isinstance(node, list):
        return [_with_arns(value) for value in node]
    if not isinstance(node, dict):
        return node
    match node:
        case {"Fn::Sub": str(text)} if found := _TABLE.fullmatch(text):
            return {"Fn::GetAtt": f"{found[1]}.Arn"}
    return {key: _with_arns(value) for key, value in node.items()}


def resources_of_type(kind: str, path: str = MAIN) -> dict[str, dict[str, Any]]:
    return templates.resources_of_type(load_template(path), kind)


def create_table(logical_id: str) -> None:
    """Creates the table that template.yaml defines, under its logical id."""
    properties = resources_of_type("AWS::DynamoDB::Table")[logical_id]["Properties"]
    taken = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    definition = {name: properties[name] for name in taken if name in properties}
    boto3.client("dynamodb", "us-east-1").create_table(TableName=logical_id, **definition)


def rendered(path: str, **given: str) -> dict[str, Any]:
    """Returns the template's resources and outputs as CloudFormation makes them with these parameters.

    Resources whose condition is false are left out, and each Fn::If is its branch. SAM is not expanded.
    """
    template = templates.read(ROOT / path)
    values = {name: str(about.get("Default", "")) for name, about in template["Parameters"].items()} | given
    conditions = template.get("Conditions", {})

    def holds(node: Any) -> bool:
        match node:
            case {"Condition": str(name)}:
                return holds(conditions[name])
            case {"Fn::Equals": [left, right]}:
                return str(chosen(left)) == str(chosen(right))
            case {"Fn::Not": [one]}:
                return not holds(one)
            case {"Fn::Or": several}:
                return any(map(holds, several))
            case {"Fn::And": several}:
                return all(map(holds, several))
        raise ValueError(f"{node} is no condition")

    def chosen(node: Any) -> Any:
        match node:
            case {"Fn::If": [name, one, other]}:
                return chosen(one if holds(conditions[name]) else other)
            case {"Ref": name} if name in values:
                return values[name]
            case dict():
                parts = {key: chosen(value) for key, value in node.items()}
                return {key: value for key, value in parts.items() if value != {"Ref": "AWS::NoValue"}}
            case list():
                return [part for part in map(chosen, node) if part != {"Ref": "AWS::NoValue"}]
        return node

    parts = template["Resources"] | template.get("Outputs", {})
    made = {
        name: part for name, part in parts.items() if "Condition" not in part or holds(conditions[part["Condition"]])
    }
    found: dict[str, Any] = chosen(made)
    return found


@dataclass(frozen=True)
class Route:
    function: str
    path: str
    method: str
    is_public: bool


@functools.cache
def routes() -> list[Route]:
    """Returns the API's routes. ANY becomes one route for each method that the path does not name."""
    functions = {
        found["Properties"]["FunctionName"]["Fn::Sub"]: name
        for name, found in resources_of_type("AWS::Serverless::Function").items()
    }
    found = []
    for path, operations in load_template()["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"].items():
        for name, operation in operations.items():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            function = functions[uri.partition(":function:")[2].removesuffix(":live/invocations")]
            is_public = operation.get("security") == [{"NONE": []}]
            for method in sorted(METHODS - operations.keys() if name == ANY else {name}):
                found.append(Route(function, path, method, is_public))
    return found

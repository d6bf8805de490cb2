"""Reads the permissions that the functions' deployed roles grant and those that were used from the local cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from infra.local.cloud import Cloud
from infra.local.iam.report import Permission
from infra.local.stack import Stack
from infra.operator.target import State
from infra.trouble import Trouble


class Deployed:
    def __init__(self, state: State) -> None:
        self._cloud = Cloud(urlparse(state.endpoint).port or 4566)
        self._functions = Stack.read(self._cloud, state.stack).functions
        configure = self._cloud.client("lambda").get_function_configuration
        self._roles = {
            configure(FunctionName=physical)["Role"].rpartition("/")[2]: logical
            for logical, physical in self._functions.items()
        }

    def granted(self) -> Iterator[Permission]:
        """Yields the permissions in the roles' own policies.

        Skips AWS's managed policies, which this project does not write, and the boundary, which grants nothing.
        """
        iam = self._cloud.client("iam")
        for role, function in self._roles.items():
            for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                yield from _permissions(function, iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
            for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
                arn = policy["PolicyArn"]
                if not arn.startswith("arn:aws:iam::aws:"):
                    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
                    found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
                    yield from _permissions(function, found["Document"])

    def used(self) -> Iterator[Permission]:
        if not self._cloud.used_permissions.exists():
            raise Trouble("no used permissions are recorded", "Only the cloud of `mercato up` records them.")
        yield from read_used(self._cloud.used_permissions, self._roles)


def read_used(file: Path, roles: dict[str, str]) -> Iterator[Permission]:
    """Yields the permissions that `recording` wrote, if a function's role used them.

    The principal has the form arn:…:assumed-role/<role>/<session>.
    """
    for line in file.read_text().splitlines():
        principal, action, resource = json.loads(line)
        function = roles.get(principal.split("/")[1])
        if function:
            yield Permission(function, action, resource)


def _permissions(function: str, document: Any) -> Iterator[Permission]:
    found = json.loads(unquote(document)) if isinstance(document, str) else document
    for statement in _list(found["Statement"]):
        if statement["Effect"] == "Allow":
            for action in _list(statement["Action"]):
                for resource in _list(statement["Resource"]):
                    yield Permission(function, action, resource)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

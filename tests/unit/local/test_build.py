"""What the local cloud is given more of than AWS: as little as can be."""

from __future__ import annotations

import copy
from typing import Any

from infra.local.build import widen_permissions
from tests.contract.test_template import statements
from tests.template import load_template


def resources_by_action(template: dict[str, Any]) -> list[tuple[str, str]]:
    return [(str(found["Action"]), str(found.get("Resource"))) for found in statements(template)]


def test_the_permission_to_resume_is_widened_and_no_other() -> None:
    template = load_template()
    local = copy.deepcopy(template)
    widen_permissions(local["Resources"])

    pairs = zip(resources_by_action(template), resources_by_action(local), strict=True)
    changed = [(before, after) for before, after in pairs if before != after]
    assert [after for _, after in changed] == [("['states:SendTaskSuccess']", "*")] * 2
    machine = "stateMachine:${AWS::StackName}-*"
    assert machine in changed[0][0][1], "the boundary"
    assert changed[1][0] == ("['states:SendTaskSuccess']", "{'Ref': 'OrderSaga'}")

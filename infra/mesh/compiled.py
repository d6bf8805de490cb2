"""What is made of the policy and kept beside the code: each sidecar's configuration and the callees' table. Also the
permissions that the templates must have.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from infra.mesh import envoy
from infra.mesh.policy import Policy
from infra.paths import ROOT

PRODUCTS = ROOT / "layers" / "mesh" / "mesh"
TABLE = ROOT / "layers" / "common" / "mercato" / "http" / "mesh_calls.py"


def function_name(logical_id: str) -> str:
    """CartsApi → carts-api: the function's name behind the shop's."""
    return re.sub(r"(?<!^)([A-Z])", r"-\1", logical_id).lower()


def permissions(policy: Policy, identity: str) -> list[str]:
    """The resources of `execute-api:Invoke`, as a template's Fn::Sub writes them."""
    ingress = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${MeshIngress}/$default"
    return [
        f"{ingress}/{call.method}/{service}/*{call.wildcard}"
        for service, calls in policy.calls_of(identity).items()
        for call in calls
    ]


def table(policy: Policy) -> str:
    """The callees' table as a module: who may call what, and whose function has which identity."""
    calls = {
        service: {
            caller: [(call.method, call.pattern) for call in calls] for caller, calls in about.callers.items() if calls
        }
        for service, about in policy.services.items()
    }
    functions = {
        function_name(function): name for name, identity in policy.identities.items() for function in identity.functions
    }
    text = f'''"""Who may call what through the mesh. `mercato mesh compile` writes it from infra/mesh/policy.yaml."""

# By service and caller: methods, and patterns of whole paths.
CALLS: dict[str, dict[str, list[tuple[str, str]]]] = {calls!r}
# The identity of each calling function, by its name behind the shop's.
IDENTITIES: dict[str, str] = {functions!r}
'''
    ruff = Path(sys.executable).with_name("ruff")
    command = [str(ruff), "format", "--quiet", "--stdin-filename", str(TABLE), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def files(policy: Policy) -> dict[Path, str]:
    """All that is generated, by path."""
    products = {
        PRODUCTS / f"{name}.json": json.dumps(envoy.sidecar(policy, name), indent=1) + "\n"
        for name in policy.identities
    }
    return {TABLE: table(policy), **products}


def write(policy: Policy) -> list[Path]:
    """Writes what differs, and returns its paths. Removes the products of identities that are gone."""
    wanted = files(policy)
    for old in set(PRODUCTS.glob("*.json")) - wanted.keys():
        old.unlink()
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path])
    return changed

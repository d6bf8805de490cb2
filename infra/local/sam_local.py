"""`sam local invoke` and `start-api` against the running shop: their functions get the shop's own settings."""

from __future__ import annotations

import json

from infra.local.paths import HOME
from infra.local.stack import Stack

# Functions in Docker reach this machine at the address of Docker's bridge.
_HOST_FROM_DOCKER = "172.17.0.1"
PATH = HOME / "sam-local-env.json"


def write_environment(stack: Stack) -> None:
    """The file that samconfig.toml names: each deployed function's environment, as `sam local` wants it.

    `sam local` resolves `!Ref SomeTable` to a made-up name; the deployed functions know the real ones.
    """
    functions = stack.cloud.client("lambda")
    settings = {}
    for logical_id, name in stack.functions.items():
        found = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        settings[logical_id] = found | {"AWS_ENDPOINT_URL": f"http://{_HOST_FROM_DOCKER}:{stack.cloud.port}"}
    PATH.write_text(json.dumps(settings, indent=2) + "\n")

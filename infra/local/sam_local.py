"""Writes the running shop's settings for the functions of `sam local invoke` and `sam local start-api`."""

from __future__ import annotations

import json

from infra.local.stack import STACK, Stack
from infra.paths import HOME

# Functions in Docker reach this machine at the address of Docker's bridge. They find their peers in a separate registry
# whose URLs have this address.
_HOST_FROM_DOCKER = "172.17.0.1"
_NAMESPACE = f"{STACK}-sam-local"
PATH = HOME / "sam-local-env.json"


def write_environment(stack: Stack) -> None:
    """Writes the file of environment variables that samconfig.toml names, in the format of `sam local`.

    `sam local` replaces `!Ref SomeTable` with an invented name. The deployed functions have the real names.
    """
    functions = stack.cloud.client("lambda")
    ours = {"AWS_ENDPOINT_URL": f"http://{_HOST_FROM_DOCKER}:{stack.cloud.port}"}
    settings = {}
    for logical_id, name in stack.functions.items():
        found = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        settings[logical_id] = found | ours | ({"NAMESPACE": _NAMESPACE} if "NAMESPACE" in found else {})
    PATH.write_text(json.dumps(settings, indent=2) + "\n")


def register_peers(stack: Stack) -> None:
    registry = stack.cloud.client("servicediscovery")
    if any(found["Name"] == _NAMESPACE for found in registry.list_namespaces()["Namespaces"]):
        return
    registry.create_http_namespace(Name=_NAMESPACE)
    namespace = next(found for found in registry.list_namespaces()["Namespaces"] if found["Name"] == _NAMESPACE)
    for name, path in stack.function_url_paths().items():
        service = registry.create_service(Name=name, NamespaceId=namespace["Id"])["Service"]
        url = f"http://{_HOST_FROM_DOCKER}:{stack.cloud.port}{path}"
        registry.register_instance(ServiceId=service["Id"], InstanceId=f"{name}-1", Attributes={"url": url})

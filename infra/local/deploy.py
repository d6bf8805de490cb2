"""Deploys a build to the local cloud, like `sam package` and `sam deploy`, but without their waits.

A function runs under Lambda's own runtime client. The emulator's own Python workers lose the names of exceptions, which
the saga's Catch needs. With the runtime `provided.al2023` and a bootstrap that starts awslambdaric, a function uses the
real Runtime API and fails as it would on AWS. The name of an upload is its digest, so that CloudFormation updates only
the changed resources.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import io
import json
import shlex
import sys
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra import templates
from infra.local import reload
from infra.local.build import MESH_LAYER
from infra.local.cloud import Cloud
from infra.local.mesh import Sidecars
from infra.local.processes import wait_until
from infra.local.sandboxes import Plan
from infra.paths import HOME, ROOT
from infra.trouble import Trouble

_BUCKET = "mercato-deployed"
_NESTED = "AWS::CloudFormation::Stack"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
_UNCHANGED = "No updates are to be performed"
# The emulator knows no TimeoutSecondsPath, and would wait for ever: 22 minutes are the longest wait for a buyer.
_LONGEST_WAIT = 1320
# awslambdaric and the packages that it needs beside the function and its layer, as import names.
_RUNTIME = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
# The emulator does not know the state machine of a task token or the identity of an e-mail, so it requires a permission
# on all resources, as it does for text messages. It does not support the condition on an e-mail's sender.
_ON_EVERYTHING = (["states:SendTaskSuccess"], ["ses:SendEmail"], ["sms-voice:SendTextMessage"])


def with_fixed_waits(definition: str) -> str:
    """The state machine with a fixed time limit where it has a computed one."""
    machine = json.loads(definition)
    for state in machine["States"].values():
        if state.pop("TimeoutSecondsPath", None):
            state["TimeoutSeconds"] = _LONGEST_WAIT
    return json.dumps(machine)


@dataclass(frozen=True)
class Deployment:
    """One stack on the local cloud. `endpoint` is the functions' AWS endpoint: the cloud itself or a proxy.

    `live` is the folder with the code that was saved since the deploy (infra.local.reload). `environment` is one of
    samconfig.toml's.
    """

    cloud: Cloud
    stack: str
    endpoint: str
    live: Path
    environment: str = "default"
    sidecars: Sidecars | None = None  # of a shop with the mesh
    _uploaded: dict[object, str] = field(default_factory=dict)  # the key identifies the source

    def deploy(self, template: Path, chosen: Mapping[str, str]) -> None:
        """Creates or updates the stack. `chosen` parameters override those in samconfig.toml. Raises Trouble."""
        cloudformation = self.cloud.client("cloudformation")
        self.cloud.client("s3").create_bucket(Bucket=_BUCKET)
        wanted = {
            "StackName": self.stack,
            "TemplateURL": self._upload_template(template),
            "Parameters": parameters(chosen, self.environment),
            "Capabilities": _CAPABILITIES,
        }
        try:
            if self._status() is None:
                cloudformation.create_stack(**wanted)
            else:
                cloudformation.update_stack(**wanted)
        except ClientError as error:
            if _UNCHANGED in error.response["Error"]["Message"]:
                return
            raise Trouble("the template cannot be deployed", error.response["Error"]["Message"]) from error
        if not wait_until(lambda: not str(self._status()).endswith("_IN_PROGRESS"), 300):
            raise Trouble("the deploy does not end", f"The stack is {self._status()} after five minutes.")
        if self._status() not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise Trouble("the deploy failed", _failed_resources(self.cloud, self.stack) or str(self._status()))

    def _status(self) -> str | None:
        try:
            [found] = self.cloud.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            return None
        status: str = found["StackStatus"]
        return status

    def _upload_template(self, path: Path) -> str:
        """Uploads the template's code and nested templates, then the template, and returns its URL."""
        template = templates.read(path)
        layers = {
            name: Path(found["Properties"]["ContentUri"]) / "python"
            for name, found in templates.resources_of_type(template, "AWS::Serverless::LayerVersion").items()
        }
        for name in layers:
            del template["Resources"][name]  # the functions import layers from the build folder
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            match resource["Type"]:
                case "AWS::Serverless::Function":
                    properties.pop("DeploymentPreference", None)  # the emulator hands SAM no parameter to turn it off
                    code = path.parent / properties["CodeUri"]
                    properties["CodeUri"] = self._upload_function(code, properties, layers)
                case "AWS::Serverless::StateMachine":
                    definition = (path.parent / properties["DefinitionUri"]).read_text()
                    properties["DefinitionUri"] = self._upload(with_fixed_waits(definition).encode(), ".asl.json")
                case templates.APPLICATION:
                    nested = path.parent / properties.pop("Location")
                    resource["Type"], properties["TemplateURL"] = _NESTED, self._upload_template(nested)
                case "AWS::CloudFormation::Stack":
                    nested = path.parent / properties["TemplateURL"]
                    properties["TemplateURL"] = self._upload_template(nested)
        if "Globals" in template:
            template["Globals"]["Function"] |= {"Runtime": "provided.al2023", "Layers": []}
        widen_permissions(template["Resources"])
        bucket, _, key = self._upload(json.dumps(template).encode(), ".template")[5:].partition("/")
        return f"{self.cloud.endpoint}/{bucket}/{key}"

    def _upload_function(self, code: Path, properties: dict[str, Any], layers: Mapping[str, Path]) -> str:
        # Layers beside the common one are {Ref: name}, or {Fn::If: [condition, {Ref: name}, nothing]}.
        named = [entry.get("Ref") or entry["Fn::If"][1]["Ref"] for entry in properties.pop("Layers", [])]
        own = [layers[name] for name in named if name != MESH_LAYER]
        # The packages of a service are in the build, so the build stays on the path even if newer code was saved.
        path = [*(self.live / name for name in reload.LAYERS), layers["CommonLayer"], *own, runtime(), code]
        service = self.live / properties["Handler"].partition(".")[0]
        sidecar = ""
        if self.sidecars and MESH_LAYER in named:
            sidecar = self.sidecars.starts(python())
        starts = bootstrap(path, service, self.endpoint, sidecar, shared=[layers["CommonLayer"], runtime()])
        if (code, starts) not in self._uploaded:
            self._uploaded[code, starts] = self._upload(zipped(code, starts), ".zip")
        return self._uploaded[code, starts]

    def _upload(self, content: bytes, kind: str) -> str:
        key = hashlib.sha256(content).hexdigest()[:32] + kind
        if key not in self._uploaded:
            self.cloud.client("s3").put_object(Bucket=_BUCKET, Key=key, Body=content)
            self._uploaded[key] = f"s3://{_BUCKET}/{key}"
        return self._uploaded[key]


def parameters(chosen: Mapping[str, str], environment: str = "default") -> list[dict[str, str]]:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    ours = dict(text.split("=", 1) for text in config[environment]["deploy"]["parameters"]["parameter_overrides"])
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in (ours | dict(chosen)).items()]


def widen_permissions(node: Any) -> None:
    """Widens, in place, the policy statements in `node` whose resources or conditions the emulator cannot check."""
    if isinstance(node, dict):
        if node.get("Action") in _ON_EVERYTHING:
            node["Resource"] = "*"
            node.pop("Condition", None)
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            widen_permissions(value)


def zipped(folder: Path, starts: str) -> bytes:
    """Zips the folder and a bootstrap. Equal files give equal bytes. It does not compress, as the zip stays local."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(folder))), path.read_bytes())
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, starts)
    return target.getvalue()


def python() -> Path:
    return Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"


def bootstrap(path: list[Path], service: Path, endpoint: str, sidecar: str = "", shared: Sequence[Path] = ()) -> str:
    """Returns the script that starts a function, with its service's folder and `path` as import path.

    `service` is the live copy of that folder, which exists if the code was saved since the deploy. The User-Agent of
    the function's AWS calls contains the function's name. `sidecar` are the lines that start the mesh's. With `shared`,
    the part of `path` that all functions have, the local cloud may fork the function instead (infra.local.sandboxes).
    """
    plan = Plan(str(python()), str(service), [str(part) for part in path], [str(part) for part in shared], endpoint)
    return f"""#!/bin/sh
{plan.line() if shared and not sidecar else "#"}
if [ -d {shlex.quote(str(service))} ]; then cd {shlex.quote(str(service))}/; fi
export PYTHONPATH="$PWD":{":".join(shlex.quote(str(part)) for part in path)}
unset PYTHONPYCACHEPREFIX PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
export AWS_ENDPOINT_URL={shlex.quote(endpoint)} AWS_SDK_UA_APP_ID="$AWS_LAMBDA_FUNCTION_NAME"
{sidecar}exec {shlex.quote(str(python()))} -m awslambdaric "$_HANDLER"
"""


@functools.cache
def runtime() -> Path:
    """Returns a folder with only Lambda's runtime client, so that a function cannot import the project's packages."""
    folder = HOME / "runtime"
    folder.mkdir(parents=True, exist_ok=True)
    for name in _RUNTIME:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise Trouble(f"{name} is not installed", "Run `make clean setup`.")
        origin = Path(spec.origin)
        origin = origin.parent if origin.name == "__init__.py" else origin
        with contextlib.suppress(FileExistsError):  # another shop on this machine created it
            (folder / origin.name).symlink_to(origin)
    return folder


def _failed_resources(cloud: Cloud, stack: str) -> str:
    try:
        events = cloud.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    except ClientError:
        return ""  # the deploy failed before the stack was created
    found = []
    for event in reversed(events):
        if event["ResourceStatus"].endswith("_FAILED"):
            found.append(
                f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
            )
            nested = event.get("PhysicalResourceId", stack)
            if event["ResourceType"] == _NESTED and nested not in (stack, event["StackId"]):
                found.append(_failed_resources(cloud, nested))
    return "\n".join(filter(None, found))

"""From the template to what the local cloud runs: `sam build`, then its functions under Lambda's own runtime client.

The emulator's own Python workers lose the names of exceptions, which the saga's Catch needs. As `provided.al2023` with
a bootstrap that starts awslambdaric, a function speaks the real Runtime API, and fails as it would on AWS.
"""

from __future__ import annotations

import compileall
import contextlib
import fcntl
import importlib.util
import os
import py_compile
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra import release, templates
from infra.local import reload
from infra.local.cloud import Cloud
from infra.paths import BUILD, HOME, ROOT
from infra.trouble import Trouble

_FUNCTION = "AWS::Serverless::Function"
_IMPORT_ALL = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
# What awslambdaric needs beside the function and its layer, as import names.
_RUNTIME = ("awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py")
# The emulator does not know which machine a task's token belongs to, and looks for a permission on everything.
_BY_TOKEN = ["states:SendTaskSuccess"]


def prepare(target: Path, env: Mapping[str, str], endpoint: str, live: Path) -> Path:
    """From the sources to the template of what the local cloud runs, in `target`."""
    check_template(env)
    with _one_at_a_time():
        sam_build(env)
        check_handlers()
        return localize(target, endpoint, live)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two builds at once, such as of a shop and of its tests, would spoil the cache that they share."""
    HOME.mkdir(exist_ok=True)
    with (HOME / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sam_build(env: Mapping[str, str]) -> None:
    done = subprocess.run(
        [_tool("sam"), "build"], cwd=ROOT, env=dict(env), capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise Trouble("sam build failed", (done.stdout + done.stderr).strip()[-3000:])
    compile_functions(BUILD)
    release.stamp(BUILD, "default")


def compile_functions(build: Path) -> None:
    """The layer's own build compiles it; SAM's builder of the functions ships sources only, and Lambda, where nothing
    can be written beside them, would compile them again at every cold start.
    """
    compileall.compile_dir(
        build,
        quiet=2,
        rx=re.compile(r"/CommonLayer/"),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def check_template(env: Mapping[str, str]) -> None:
    """What AWS would refuse and the emulator does not: unknown properties, references to nothing."""
    paths = [ROOT / "template.yaml", *ROOT.glob("infra/*.yaml"), *ROOT.glob("functions/*/template.yaml")]
    done = subprocess.run(
        [_tool("cfn-lint"), *map(str, paths)],
        cwd=ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        raise Trouble("a template is not valid", (done.stdout + done.stderr).strip()[-3000:])


def check_handlers() -> None:
    """Imports every handler once: a function that cannot be imported would deploy, and fail at its first call."""
    functions = templates.resources_of_type(templates.read_whole(BUILD / "template.yaml"), _FUNCTION)
    handlers = {function["Properties"]["Handler"].rpartition(".")[0] for function in functions.values()}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, *sorted(handlers)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise Trouble("a handler cannot be imported", done.stderr.strip()[-3000:])


def localize(target: Path, endpoint: str, live: Path) -> Path:
    """A copy of the build whose functions run as processes of this machine. Returns its template.

    `endpoint` is where they find AWS: the cloud that runs them, or a proxy in front of it. `live` has the code that was
    saved since the deploy (infra.local.reload).
    """
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(BUILD, target, copy_function=os.link, symlinks=True)
    runtime = _runtime()
    for path in templates.applications(target / "template.yaml"):
        template = templates.read(path)
        for function in templates.resources_of_type(template, _FUNCTION).values():
            properties, folder = function["Properties"], path.parent
            # Layers beside the common one are [{Fn::If: [condition, {Ref: name}, nothing]}].
            own = [entry["Fn::If"][1]["Ref"] for entry in properties.pop("Layers", [])]
            layers = [folder / name / "python" for name in ("CommonLayer", *own)]
            service = live / properties["Handler"].partition(".")[0]
            _run_as_process(properties, folder, _bootstrap([live / reload.LAYER, *layers, runtime], service, endpoint))
        for layer in templates.resources_of_type(template, "AWS::Serverless::LayerVersion"):
            del template["Resources"][layer]  # the processes find it in `target`
        if "Globals" in template:
            template["Globals"]["Function"] |= {"Runtime": "provided.al2023", "Layers": []}
        widen_permissions(template["Resources"])
        templates.write(path, template)
    return target / "template.yaml"


def widen_permissions(node: Any) -> None:
    """In place, wherever in `node` a policy's statement is."""
    if isinstance(node, dict):
        if node.get("Action") == _BY_TOKEN:
            node["Resource"] = "*"
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            widen_permissions(value)


def _run_as_process(properties: dict[str, Any], folder: Path, bootstrap: str) -> None:
    path = folder / properties["CodeUri"] / "bootstrap"
    path.write_text(bootstrap)
    path.chmod(0o755)


def _bootstrap(path: list[Path], service: Path, endpoint: str) -> str:
    """Runs the function with its service's folder and `path` to import from. `service` is that folder as it was last
    saved, if it was saved since the deploy.
    """
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    return f"""#!/bin/sh
if [ -d {shlex.quote(str(service))} ]; then cd {shlex.quote(str(service))}/; fi
export PYTHONPATH="$PWD":{":".join(shlex.quote(str(part)) for part in path)}
unset PYTHONPYCACHEPREFIX PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
export AWS_ENDPOINT_URL={shlex.quote(endpoint)}
exec {shlex.quote(str(python))} -m awslambdaric "$_HANDLER"
"""


def _runtime() -> Path:
    """A folder with Lambda's runtime client and nothing else of ours, so that a function cannot lean on it."""
    folder = HOME / "runtime"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in _RUNTIME:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise Trouble(f"{name} is not installed", "Run `make clean setup`.")
        origin = Path(spec.origin)
        origin = origin.parent if origin.name == "__init__.py" else origin
        (folder / origin.name).symlink_to(origin)
    return folder


def sam_deploy(template: Path, cloud: Cloud, stack: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Deploys with the real SAM CLI, `parameters` on top of those in samconfig.toml. Returns the stack's outputs."""
    command = [_tool("sam"), "deploy", "--template-file", str(template), "--config-file", str(ROOT / "samconfig.toml")]
    done = subprocess.run(
        [*command, "--stack-name", stack, "--no-progressbar", *_overrides(parameters)],
        cwd=ROOT,
        env=cloud.environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        reasons = _failed_resources(cloud, stack) or (done.stdout + done.stderr).strip()[-3000:]
        raise Trouble("sam deploy failed", reasons)
    stacks = cloud.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stacks[0]["Outputs"]}


def _overrides(parameters: Mapping[str, str]) -> list[str]:
    """Named on the command line, they take the place of those in samconfig.toml: all of them are named, then."""
    if not parameters:
        return []
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    ours = config["default"]["deploy"]["parameters"]["parameter_overrides"]
    return ["--parameter-overrides", *ours, *(f"{name}={value}" for name, value in parameters.items())]


def _failed_resources(cloud: Cloud, stack: str) -> str:
    try:
        events = cloud.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
    except ClientError:
        return ""  # it failed before there was a stack
    found = []
    for event in reversed(events):
        if event["ResourceStatus"].endswith("_FAILED"):
            found.append(
                f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
            )
            nested = event.get("PhysicalResourceId", stack)
            if event["ResourceType"] == "AWS::CloudFormation::Stack" and nested not in (stack, event["StackId"]):
                found.append(_failed_resources(cloud, nested))
    return "\n".join(filter(None, found))


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)

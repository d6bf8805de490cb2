"""The cost of every function's cold start, beside a bare boto3.client("dynamodb") and a usual Powertools function.

Each measurement is a fresh process of the base Python in the built layout: the function's folder and the built layer on
the path, compiled and read-only. The yardsticks run in the same way on the packages as pip installs them. `import` ends
when the handler's module is imported. `init` continues through the first invocation, with the function's sample event,
until its first AWS client is made, so it includes the settings, the request's models and the client. Where the sample
needs no AWS, the client that the function's permissions name is made after it. `call` ends when the first AWS request
would be sent.

Times of two runs can differ by more than the change that is looked for. `--instructions` counts the instructions of the
whole process with Valgrind instead, which differ by less than one in a hundred: two trees are compared by it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from infra import templates
from infra.local import build
from infra.paths import HOME, ROOT

PYTHON = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
PACKAGES = Path(sysconfig.get_path("purelib"))
# As pip installs them, and our own client of the same service, on the layer.
BASELINE, TYPICAL, OURS = "bare boto3 client", "usual Powertools function", "client of mercato.aws"
# Services whose names differ between IAM and botocore.
_CLIENTS = {"states": "stepfunctions", "ses": "sesv2"}

# As in Lambda, where /var/task and /opt are read-only.
_READ_ONLY = {"PYTHONDONTWRITEBYTECODE": "1"}

_START = """
import time
_wall, _cpu = time.perf_counter(), time.process_time()
def stamp(name):
    marks.setdefault(name, (time.perf_counter() - _wall, time.process_time() - _cpu))
def done():
    import json, os, sys
    sys.stderr.write("\\n" + json.dumps(marks) + "\\n")
    sys.stderr.flush()
    os._exit(0)
marks = {}
"""
_UNTIL_THE_FIRST_CALL = """
import json
import botocore.client, botocore.httpsession
make = botocore.client.ClientCreator.create_client
def create_client(self, *args, **kwargs):
    client = make(self, *args, **kwargs)
    stamp("init")
    return client
def send(self, request):
    stamp("call")
    done()
botocore.client.ClientCreator.create_client = create_client
botocore.httpsession.URLLib3Session.send = send
"""
_INVOKE = """
class Context:
    aws_request_id = function_name = invoked_function_arn = "bench"
    memory_limit_in_mb = 512
    def get_remaining_time_in_millis(self):
        return 20_000
try:
    module.{handler}(json.loads({event!r}), Context())
except Exception:  # a sample may be refused before its first call: its client is then made below
    pass
if "init" not in marks:
    from mercato import aws
    aws.client({service!r})
done()
"""


@dataclass(frozen=True)
class Subject:
    name: str
    code: str
    path: str
    folder: Path
    environment: dict[str, str]


def yardsticks(layer: Path) -> list[Subject]:
    client = 'client = make_client("dynamodb")\n'
    call = 'client.get_item(TableName="t", Key={"pk": {"S": "1"}})\n'
    bare = _START + "from boto3 import client as make_client\n"
    rest = 'stamp("import")\n' + client + 'stamp("init")\n' + _UNTIL_THE_FIRST_CALL + call
    own = _START + 'from mercato.aws import client as make_client\nstamp("import")\n' + client + 'stamp("init")\n'
    typical = _START + "import typical_handler\n" + 'stamp("import")\nstamp("init")\ndone()\n'
    here = Path(__file__).parent
    return [
        Subject(BASELINE, bare + rest, str(PACKAGES), here, {}),
        Subject(TYPICAL, typical, f"{PACKAGES}{os.pathsep}{here}", here, {"POWERTOOLS_TRACE_DISABLED": "1"}),
        Subject(OURS, own + _UNTIL_THE_FIRST_CALL + call, str(layer), here, {}),
    ]


def functions(template: dict[str, Any]) -> list[Subject]:
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    layers = {
        name: Path(resource["Properties"]["ContentUri"]) / "python"
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::LayerVersion"
    }
    return [
        _function(name, resource["Properties"], layers, shared, template["Parameters"])
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]


def _function(
    name: str,
    properties: dict[str, Any],
    layers: Mapping[str, Path],
    shared: dict[str, Any],
    parameters: dict[str, Any],
) -> Subject:
    folder = Path(properties["CodeUri"])
    # A function's own layers are {Ref: name}, or {Fn::If: [condition, {Ref: name}, nothing]}. The mesh's has another If
    # in the place of the Ref, and is not in a shop without the mesh.
    named = [entry.get("Ref") or entry["Fn::If"][1].get("Ref") for entry in properties.get("Layers", [])]
    own = [layers[name] for name in named if name]
    path = [folder, layers["CommonLayer"], *own]
    module, _, handler = properties["Handler"].rpartition(".")
    event = (ROOT / "events" / f"{name}.json").read_text()
    invoke = _INVOKE.format(handler=handler, event=event, service=_first_client(properties))
    code = f'{_START}import {module} as module\nstamp("import")\n{_UNTIL_THE_FIRST_CALL}{invoke}'
    variables = shared | properties.get("Environment", {}).get("Variables", {})
    environment = {key: _setting(value, parameters) for key, value in variables.items() if key != "AWS_ENDPOINT_URL"}
    return Subject(name, code, os.pathsep.join(map(str, path)), folder, environment)


def _setting(value: Any, parameters: dict[str, Any]) -> str:
    """The value of a setting that only a deployed stack has."""
    if isinstance(value, dict) and value.get("Ref") in parameters:
        return str(parameters[value["Ref"]]["Default"])
    return "sample" if isinstance(value, dict) else str(value)


def _first_client(properties: dict[str, Any]) -> str:
    """DynamoDB if the function may use it, else the first service that it may use."""
    actions = [
        action
        for policy in properties.get("Policies", [])
        for statement in policy.get("Statement", [])
        for action in statement.get("Action", ())  # one under a condition is not the first that a function needs
        if isinstance(action, str)
    ]
    services = [_CLIENTS.get(prefix, prefix) for prefix in (action.split(":")[0] for action in actions)]
    return "dynamodb" if "dynamodb" in services or not services else services[0]


def measure(subject: Subject, *, writable: bool = False) -> dict[str, tuple[float, float]]:
    """Wall and CPU milliseconds since the process's first line, by mark."""
    ran = _start(subject, [], {} if writable else _READ_ONLY)
    try:
        marks = json.loads(ran.stderr.splitlines()[-1])
    except (ValueError, IndexError):
        raise SystemExit(f"{subject.name} did not start:\n{ran.stderr[-2000:]}") from None
    return {mark: (wall * 1000, cpu * 1000) for mark, (wall, cpu) in marks.items()}


def count(subject: Subject, valgrind: str) -> int:
    """The instructions of the process, as Valgrind counts them. One seed of hashes, so that each run does the same."""
    counted = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    ran = _start(subject, counted, _READ_ONLY | {"PYTHONHASHSEED": "0"})
    found = re.search(r"Collected : (\d+)", ran.stderr)
    if not found:
        raise SystemExit(f"{subject.name} did not start under Valgrind:\n{ran.stderr[-2000:]}")
    return int(found[1])


def _start(subject: Subject, under: list[str], more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = subject.environment | {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": subject.path,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
    }
    command = [*under, str(PYTHON), "-c", subject.code]
    return subprocess.run(command, cwd=subject.folder, env=environment | more, capture_output=True, text=True)


def _compile(subjects: list[Subject]) -> None:
    """The first start of each, which compiles the packages of the yardsticks."""
    for subject in subjects:
        measure(subject, writable=subject.path.startswith(str(PACKAGES)))


def run(subjects: list[Subject], rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Medians by subject and mark. The subjects alternate in rounds, so that other load on the machine affects all of
    them.
    """
    _compile(subjects)
    found: dict[str, list[dict[str, tuple[float, float]]]] = {subject.name: [] for subject in subjects}
    for _ in track(range(rounds), "cold starts", transient=True):
        for subject in subjects:
            found[subject.name].append(measure(subject))
    return {name: _medians(samples) for name, samples in found.items()}


def _medians(samples: list[dict[str, tuple[float, float]]]) -> dict[str, dict[str, float]]:
    return {
        mark: {
            "wall_ms": round(statistics.median(sample[mark][0] for sample in samples), 1),
            "cpu_ms": round(statistics.median(sample[mark][1] for sample in samples), 1),
        }
        for mark in samples[0]
    }


def show(results: dict[str, dict[str, dict[str, float]]], names: list[str], console: Console) -> dict[str, float]:
    table = Table(title="Cold start, ms of CPU (and on the wall clock), medians")
    table.add_column("function")
    for column in ("import", "init", "× boto3", "call", "× boto3"):
        table.add_column(column, justify="right")
    base = results[BASELINE]

    def ratio(name: str, mark: str) -> float | None:
        return results[name][mark]["cpu_ms"] / base[mark]["cpu_ms"] if mark in results[name] else None

    def cell(name: str, mark: str) -> str:
        found = results[name].get(mark)
        return f"{found['cpu_ms']:.0f} ({found['wall_ms']:.0f})" if found else "–"

    rows = [name for name in results if name not in names] + sorted(names, key=lambda name: ratio(name, "init") or 0)
    for name in rows:
        init, call = ratio(name, "init"), ratio(name, "call")
        table.add_row(
            name,
            cell(name, "import"),
            cell(name, "init"),
            f"{init:.2f}" if init else "–",
            cell(name, "call"),
            f"{call:.2f}" if call else "–",
            end_section=name == rows[len(results) - len(names) - 1],
        )
    console.print(table)
    ratios = sorted(ratio(name, "init") or 0 for name in names)
    return {
        "median": round(statistics.median(ratios), 3),
        "worst": round(ratios[-1], 3),
        "typical": round(ratio(TYPICAL, "init") or 0, 3),
    }


def show_instructions(subjects: list[Subject], console: Console) -> None:
    valgrind = shutil.which("valgrind")
    if not valgrind:
        raise SystemExit("Valgrind is not installed: apt install valgrind, or brew install valgrind")
    _compile(subjects)
    each = track(subjects, "counting instructions", transient=True)
    found = {subject.name: count(subject, valgrind) for subject in each}
    table = Table("function", title="Cold start, millions of instructions until the first call")
    table.add_column("instructions", justify="right")
    table.add_column("× boto3", justify="right")
    for name, counted in sorted(found.items(), key=lambda item: item[1]):
        table.add_row(name, f"{counted / 1e6:.0f}", f"{counted / found[BASELINE]:.2f}")
    console.print(table)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument(
        "--instructions", action="store_true", help="count instructions with Valgrind: 20 s a function"
    )
    chosen = arguments.parse_args()
    console = Console()
    with console.status("building the functions …"):
        template = templates.read_whole(build.prepare(HOME / "deploy-bench"))
    layer = Path(template["Resources"]["CommonLayer"]["Properties"]["ContentUri"]) / "python"
    subjects = functions(template)
    if chosen.instructions:
        show_instructions(yardsticks(layer) + subjects, console)
        return
    results = run(yardsticks(layer) + subjects, chosen.rounds)
    summary = show(results, [subject.name for subject in subjects], console)
    size = sum(path.stat().st_size for path in layer.parent.rglob("*") if path.is_file())
    console.print(
        f"init against bare boto3: median {summary['median']:.2f} (aim 1.00), worst {summary['worst']:.2f} (aim 1.25), "
        f"the usual function {summary['typical']:.2f}; the layer is {size / 1e6:.1f} MB unpacked"
    )
    target = HOME / "bench" / "import.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    document = {"rounds": chosen.rounds, "init_against_boto3": summary, "layer_bytes": size, "results": results}
    target.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

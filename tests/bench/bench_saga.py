"""The duration of an order's saga, beside the same state machine with tasks that do nothing.

    .venv/bin/python -m tests.bench.bench_saga [orders]

It uses the running shop, or else a separate one. An order and an empty run alternate, so that both see the same
machine. The time is Step Functions' own, from start to stop. The difference is the cost of the tasks.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from rich.console import Console
from rich.progress import track
from rich.table import Table

from infra import templates
from infra.demo.stage import Stage, is_delivered
from infra.local.deploy import bootstrap, runtime, zipped
from infra.operator import target as state
from infra.operator.client import Json, Session, Shop, poll
from infra.paths import HOME
from tests.bench.own_shop import running_shop

_NAME = "bench-empty-saga"
_ORDERS, _WARM_UP = 20, 3
# The answer is what the states after it read. It logs a line, as every task does: the emulator waits 50 ms for the
# first line of a function that writes none, and five such tasks would take longer than the real ones.
_EMPTY = """
def handler(event, context):
    print("{}", flush=True)
    return {"payment_id": "none"}
"""


@dataclass(frozen=True)
class Runner:
    """Runs one execution to its end. Its time in seconds is Step Functions' own."""

    steps: Any

    def seconds(self, execution: str) -> float:
        found = poll(
            lambda: self.steps.describe_execution(executionArn=execution),
            lambda answer: answer["status"] != "RUNNING",
            what=f"{execution} is over",
            within=60,
            every=0.05,
        )
        if found["status"] != "SUCCEEDED":
            raise SystemExit(f"{execution}: {found['status']} {found.get('error')} {found.get('cause')}")
        taken: float = (found["stopDate"] - found["startDate"]).total_seconds()
        return taken


@contextmanager
def empty_machine(shop: state.State) -> Iterator[str]:
    """The deployed definition with every function replaced by one that does nothing, started in the same way."""
    steps, functions, iam = (state.client(shop, name) for name in ("stepfunctions", "lambda", "iam"))
    role = iam.create_role(RoleName=_NAME, AssumeRolePolicyDocument=_trust())["Role"]["Arn"]
    try:
        made = functions.create_function(
            FunctionName=_NAME,
            Runtime="provided.al2023",
            Role=role,
            Handler="empty.handler",
            MemorySize=512,
            Code={"ZipFile": _package(shop)},
        )
        try:
            iam.put_role_policy(RoleName=_NAME, PolicyName="invoke", PolicyDocument=_may_invoke(made["FunctionArn"]))
            real = steps.describe_state_machine(stateMachineArn=shop.outputs["OrderSagaArn"])
            definition = json.loads(real["definition"])
            for one in definition["States"].values():
                if ":function:" in one.get("Resource", ""):
                    one["Resource"] = made["FunctionArn"]
            machine = steps.create_state_machine(name=_NAME, definition=json.dumps(definition), roleArn=role)
            yield machine["stateMachineArn"]
            steps.delete_state_machine(stateMachineArn=machine["stateMachineArn"])
        finally:
            functions.delete_function(FunctionName=_NAME)
    finally:
        iam.delete_role_policy(RoleName=_NAME, PolicyName="invoke")
        iam.delete_role(RoleName=_NAME)


def _package(shop: state.State) -> bytes:
    orders = templates.read(HOME / f"deploy-{urlparse(shop.endpoint).port}" / "Orders" / "template.yaml")
    layer = Path(orders["Resources"]["CommonLayer"]["Properties"]["ContentUri"]) / "python"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty.py").write_text(_EMPTY)
        return zipped(Path(folder), bootstrap([layer, runtime()], Path("nothing-saved"), shop.functions_endpoint))


def _trust() -> str:
    services = ["lambda.amazonaws.com", "states.amazonaws.com"]
    statement = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _may_invoke(function: str) -> str:
    statement = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": function}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def measure(found: state.State, orders: int) -> tuple[list[float], list[float]]:
    shop = Shop(found.base_url)
    admin = shop.login(found.admin.email, found.admin.password)
    stage = Stage(shop, admin, found.endpoint, patience=60)
    steps = state.client(found, "stepfunctions")
    runner, saga = Runner(steps), found.outputs["OrderSagaArn"]
    product, customer = stage.new_product("Bench mug", 700, orders + _WARM_UP), stage.new_customer("Benchmark")
    full: list[float] = []
    empty: list[float] = []
    with empty_machine(found) as machine:
        for number in track(range(orders + _WARM_UP), "orders and empty runs", transient=True):
            order_id = stage.order(customer, product, 1)["order_id"]
            order = wait_until_delivered(customer, order_id)
            execution = saga.replace(":stateMachine:", ":execution:") + f":{order_id}"
            about = steps.describe_execution(executionArn=execution)
            idle = steps.start_execution(stateMachineArn=machine, name=f"run-{number}-{order_id}", input=about["input"])
            taken = runner.seconds(execution), runner.seconds(idle["executionArn"])
            if number >= _WARM_UP and order["payment_status"] == "captured":
                full.append(taken[0])
                empty.append(taken[1])
    shop.close()
    return full, empty


def wait_until_delivered(customer: Session, order_id: str) -> Json:
    """Waits, so that the order's mails and parcel do not slow down the next empty run."""
    return poll(lambda: customer.get(f"/orders/{order_id}"), is_delivered, what="the parcel is there", within=120)


def main(orders: int) -> None:
    console = Console()
    with running_shop(console) as shop:
        full, empty = measure(shop, orders)
    table = Table(title=f"An order's saga, seconds, {len(full)} runs of each")
    for column, how in (("", "left"), ("p50", "right"), ("p95", "right"), ("max", "right")):
        table.add_column(column, justify=how)  # type: ignore[arg-type]
    found = {}
    for name, taken in (("the order's saga", full), ("the same with empty tasks", empty)):
        p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1]
        marks = {"p50": statistics.median(taken), "p95": p95, "max": max(taken)}
        found[name] = marks
        table.add_row(name, *(f"{mark:.3f}" for mark in marks.values()))
    ratio = statistics.median(full) / statistics.median(empty)
    table.add_row("ratio", f"{ratio:.2f}", "", "")
    console.print(table)
    target: Path = HOME / "bench" / "saga.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"runs": len(full), "seconds": found, "ratio": ratio}, indent=2) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _ORDERS)

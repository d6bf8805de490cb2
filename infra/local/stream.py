"""Prints the shop's requests, events and saga steps in one stream as they happen."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from infra.local.reverse_proxy import Served
from infra.local.stack import Stack

_NAME = "mercato-watch"
_LATE = 5000  # ms
_SAGA_FUNCTIONS = ("InventorySaga", "PaymentsSaga", "OrdersSaga", "ShippingSaga")
_STATUS_STYLES = {2: "green", 3: "cyan", 4: "yellow", 5: "bold red"}


class Stream:
    """Prints from three sources. Each line has the time, the kind and the request id."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def request(self, served: Served) -> None:
        status = Text(str(served.status), _STATUS_STYLES.get(served.status // 100, "white"))
        line = Text.assemble(
            (f"{served.method:<6} ", "bold"), served.path, "  ", status, f"  {served.seconds * 1000:.0f} ms"
        )
        self._print("request", "blue", line, served.request_id)
        if served.trouble:
            self._print("trouble", "red", Text(served.trouble[:2000]), served.request_id)

    def reload(self, subject: str, message: str) -> None:
        self._print("code", "green", Text.assemble((f"{subject:<24}", "bold"), message), "-")

    def follow(self, stack: Stack) -> None:
        for follower in (self._follow_events, self._follow_saga):
            thread = threading.Thread(
                target=self._keep_on, args=(follower(stack),), daemon=True, name=follower.__name__
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(3)

    def _keep_on(self, steps: Iterator[None]) -> None:
        while not self._ended.is_set():
            try:
                next(steps)
            except (ClientError, BotoCoreError) as error:
                if not self._ended.wait(1):
                    self._print("watch", "red", Text(f"cannot read: {error}"), "-")

    def _follow_events(self, stack: Stack) -> Iterator[None]:
        sqs, events, bus = stack.cloud.client("sqs"), stack.cloud.client("events"), stack.outputs["BusName"]
        url = sqs.create_queue(QueueName=_NAME)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name=_NAME, EventBusName=bus, EventPattern=json.dumps({"source": [{"prefix": "mercato."}]}))
        events.put_targets(Rule=_NAME, EventBusName=bus, Targets=[{"Id": "watch", "Arn": arn}])
        while True:
            found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
            for message in found:
                self._event(json.loads(message["Body"])["detail"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            yield

    def _event(self, event: dict[str, Any]) -> None:
        line = Text.assemble((f"{event['type']:<24}", "bold"), event["subject"])
        self._print("event", "magenta", line, event.get("correlationid", "-"))

    def _follow_saga(self, stack: Stack) -> Iterator[None]:
        logs = stack.cloud.client("logs")
        groups = [f"/aws/lambda/{stack.functions[name]}" for name in _SAGA_FUNCTIONS]
        since, printed = int(time.time() * 1000), set[tuple[str, int, str]]()
        while True:
            found = [entry for group in groups for entry in _read_log(logs, group, since)]
            for entry in sorted(found, key=lambda entry: entry["timestamp"]):
                seen = entry["logStreamName"], entry["timestamp"], entry["message"]
                if seen not in printed:
                    printed.add(seen)
                    self._step(entry["message"])
            # A line may arrive late, so the window overlaps the last one. Lines that were shown already are skipped.
            since = max([since, *(entry["timestamp"] - _LATE for entry in found)])
            printed = {seen for seen in printed if seen[1] >= since}
            self._ended.wait(1)
            yield

    def _step(self, message: str) -> None:
        try:
            entry = json.loads(message)
        except ValueError:
            return
        if not isinstance(entry, dict) or "task" not in entry:
            return
        done = entry["message"] == "saga step done"
        mark = Text("✔", "green") if done else Text("✘", "red")
        reason = f"  {entry.get('reason', '')}" if not done else ""
        line = Text.assemble(
            mark, " ", (f"{entry['task']:<22}", "bold"), f"order {entry.get('order_id')}", (reason, "yellow")
        )
        self._print("saga", "cyan", line, entry.get("correlation_id", "-"))

    def _print(self, kind: str, style: str, line: Text, request_id: str) -> None:
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        self._console.print(
            Text.assemble((f"{now} ", "dim"), (f"{kind:<8}", style), line, (f"  [{request_id}]", "dim")), soft_wrap=True
        )


def _read_log(logs: Any, group: str, since: int) -> Iterator[dict[str, Any]]:
    try:
        yield from logs.filter_log_events(logGroupName=group, startTime=since, limit=500)["events"]
    except ClientError as error:
        # A function that was never invoked has no log group.
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise

"""Checks for `GET /health` whether the service reaches its table and its queue, within two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

from mercato import aws, config
from mercato.dataclass import dataclass
from mercato.invocation import deadline
from mercato.telemetry.logs import log

OK = "ok"
_PATIENCE = 2.0
# A missing key. Reading it costs half a read unit and needs the same permissions as a real read.
_NO_ITEM = {"pk": {"S": "HEALTH"}, "sk": {"S": "HEALTH"}}

Check = Callable[[], object]


@dataclass(frozen=True)
class Settings:
    """`queue_name` is the queue of the service's subscription, if it has one."""

    table_name: str
    queue_name: str = ""


def table_and_queue() -> dict[str, str]:
    """For `App(service, health=table_and_queue)`: by name, `ok` or the problem."""
    settings = config.load(Settings)
    checks: dict[str, Check] = {"table": lambda: _read(settings.table_name)}
    if settings.queue_name:
        checks["queue"] = lambda: _find(settings.queue_name)
    return examine(checks)


def examine(checks: Mapping[str, Check], patience: float = _PATIENCE) -> dict[str, str]:
    """Runs all checks concurrently, each in a thread, so that a hanging one delays no other; its own timeouts
    end it.
    """
    ends_at = time.monotonic() + deadline.within(patience)
    pool = ThreadPoolExecutor(max_workers=len(checks))
    asked = {name: pool.submit(check) for name, check in checks.items()}
    pool.shutdown(wait=False)
    found: dict[str, str] = {}
    for name, answer in asked.items():
        try:
            answer.result(timeout=max(0.0, ends_at - time.monotonic()))
            found[name] = OK
        except TimeoutError:
            found[name] = "no answer in time"
        except ClientError as error:
            found[name] = error.response["Error"]["Code"]
            log.warning("health check failed", extra={"check": name, "reason": str(error)})
        except BotoCoreError as error:
            found[name] = type(error).__name__
            log.warning("health check failed", extra={"check": name, "reason": str(error)})
    return found


def _read(table_name: str) -> None:
    aws.client("dynamodb", attempts=1, patience=_PATIENCE).get_item(TableName=table_name, Key=_NO_ITEM)


def _find(queue_name: str) -> None:
    aws.client("sqs", attempts=1, patience=_PATIENCE).get_queue_url(QueueName=queue_name)

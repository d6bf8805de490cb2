"""One logger for all: JSON lines with the current correlation id."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from mercato.telemetry import correlation


class _Formatter(LambdaPowertoolsFormatter):
    """Reads the correlation at each line, so that handlers need not set or clear it."""

    def serialize(self, log: Any) -> str:
        found = correlation._current.get()
        if found is not None:
            log.update(found.as_dict())
        return super().serialize(log)


def get_logger() -> Logger:
    return Logger(
        service=os.environ.get("POWERTOOLS_SERVICE_NAME", "mercato"),
        logger_formatter=_Formatter(utc=True, use_rfc3339=True),
    )


log = get_logger()

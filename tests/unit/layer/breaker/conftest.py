"""Thousands of virtual sandboxes open and close their circuits here, so their logs are switched off."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from mercato.telemetry.logs import log


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = log.log_level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(before)

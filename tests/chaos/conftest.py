"""The fixture in which each case opens a shop of its own, and the summary of all cases at the end of the run."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from _pytest.terminal import TerminalReporter

if TYPE_CHECKING:
    from tests.chaos.shop import Mall


@pytest.fixture
def mall(cloud: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mall]:
    from tests.chaos.shop import Mall  # pytest reads this file before xdist's workers start; its imports take seconds

    logging.disable(logging.CRITICAL)
    yield Mall(monkeypatch)
    logging.disable(logging.NOTSET)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Prints the sums of the recorded tallies by name, over all workers of xdist."""
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for name, tally in getattr(report, "user_properties", []):
            if name == "tally":
                sums[tally["name"]].update({key: count for key, count in tally.items() if key != "name"})
            elif name == "figures":
                terminalreporter.write_line(f"{tally}")
    if sums:
        terminalreporter.section("chaos")
    for title, counts in sums.items():
        terminalreporter.write_line(
            f"{title:30} {counts['cases']:6} cases, {counts['reached']:6} met all faults, {counts['failures']:4} failed"
        )

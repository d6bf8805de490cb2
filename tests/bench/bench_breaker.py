"""The cost of a breaker for a healthy call, and the recovery time of many sandboxes: ours and other breakers."""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
import timeit
from collections.abc import Callable
from typing import Any

import circuitbreaker
import purgatory
import pybreaker
from aws_lambda_powertools.utilities.circuit_breaker import circuit_breaker
from rich.console import Console
from rich.progress import track
from rich.table import Table

from infra.paths import HOME
from mercato.breaker import Circuits, Policy
from mercato.breaker.memory import MemoryStore
from mercato.telemetry.logs import log
from tests.bench.powertools import MemoryPersistence, recovery_of_powertools
from tests.bench.simulation import recovery_of_ours

AIM = 2.0
FLEETS = (1, 10, 50, 200, 1000)
LIMIT = 2000.0


def answer() -> int:
    return 5


def subjects() -> dict[str, Callable[[], Any]]:
    """For each breaker, a function that makes one successful call through a closed circuit."""
    plain = Circuits(MemoryStore()).breaker("plain", Policy())
    rate = Circuits(MemoryStore()).breaker("rate", Policy(mode="rate", slow_after=1.0))
    pybreaker_one = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)
    purgatory_one = purgatory.SyncCircuitBreakerFactory(default_threshold=5, default_ttl=30).get_breaker("peer")
    circuitbreaker_one = circuitbreaker.CircuitBreaker(failure_threshold=5, recovery_timeout=30)(answer)
    powertools_one = circuit_breaker("peer", MemoryPersistence({}))(answer)

    def in_purgatory() -> int:
        with purgatory_one:
            return answer()

    return {
        "no breaker": answer,
        "ours, consecutive": lambda: plain.call(answer),
        "ours, rate and slow calls": lambda: rate.call(answer),
        "circuitbreaker 2.1.3": circuitbreaker_one,
        "purgatory 3.0.1": in_purgatory,
        "pybreaker 1.4.1": lambda: pybreaker_one.call(answer),
        "Powertools 3.37.0, state cached": powertools_one,
    }


def measure_overhead(rounds: int, calls: int) -> dict[str, float]:
    """Microseconds of CPU per call, as the median of the rounds. The breakers alternate, so that a busy machine affects
    all of them.
    """
    made = subjects()
    found: dict[str, list[float]] = {name: [] for name in made}
    for _ in track(range(rounds), "a healthy call", transient=True):
        for name, call in made.items():
            found[name].append(timeit.timeit(call, timer=time.process_time, number=calls) / calls * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


def measure_recovery(seeds: int) -> list[dict[str, Any]]:
    """Seconds from the trip to the closed circuit, or LIMIT if it did not close by then."""
    rows = []
    for busy in (True, False):
        for sandboxes in track(FLEETS, "recovery", transient=True):
            rate = 1.0 if busy else 1.0 / sandboxes
            runs = range(seeds if sandboxes < FLEETS[-1] or not busy else 1)
            ours = [recovery_of_ours(sandboxes, rate, seed, LIMIT) for seed in runs]
            theirs = [recovery_of_powertools(sandboxes, rate, seed, LIMIT) for seed in runs]
            rows.append(
                {
                    "sandboxes": sandboxes,
                    "calls_per_second": sandboxes if busy else 1,
                    "ours": statistics.median(ours),
                    "ours_worst": max(ours),
                    "powertools": statistics.median(theirs),
                    "powertools_worst": max(theirs),
                }
            )
    return rows


def show(overhead: dict[str, float], recovery: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="A healthy call, µs of CPU (median)")
    table.add_column("breaker")
    table.add_column("a call", justify="right")
    table.add_column("over no breaker", justify="right")
    for name, micros in overhead.items():
        table.add_row(name, f"{micros:.2f}", f"{micros - overhead['no breaker']:.2f}")
    console.print(table)
    table = Table(title="From trip to closed, s (median, worst); reset 30 s, 3 successes, the dependency well")
    for column in ("sandboxes", "calls/s in all", "ours", "worst", "Powertools", "worst"):
        table.add_column(column, justify="right")
    for row in recovery:
        seconds = [row[name] for name in ("ours", "ours_worst", "powertools", "powertools_worst")]
        texts = [f"{value:.1f}" if value < LIMIT else f"> {LIMIT:.0f}" for value in seconds]
        table.add_row(str(row["sandboxes"]), str(row["calls_per_second"]), *texts)
    console.print(table)


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--calls", type=int, default=20_000)
    arguments.add_argument("--seeds", type=int, default=3)
    chosen = arguments.parse_args()
    log.setLevel(logging.CRITICAL)  # the simulated circuits log every opening
    overhead = measure_overhead(chosen.rounds, chosen.calls)
    recovery = measure_recovery(chosen.seeds)
    console = Console()
    show(overhead, recovery, console)
    ours = max(overhead[name] for name in overhead if name.startswith("ours")) - overhead["no breaker"]
    console.print(f"ours costs at most {ours:.2f} µs a call (aim {AIM:.2f})")
    target = HOME / "bench" / "breaker.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"overhead_us": overhead, "aim_us": AIM, "recovery_s": recovery}, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""The bill: what was used, at list price, per order and per million orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tests.bench.prices import PRICES, Price

MILLION = 1_000_000
TIME = "lambda time"
# By the word of the price: what could be done where this dominates.
REMEDIES = {
    "transitions": "every state is paid for, a Choice, Pass or Succeed as much as a task: fewer states, or tasks that do "
    "two things. An Express workflow costs a fraction, but runs at most five minutes and may run twice.",
    "write units": "a transaction counts each item twice, an index each copy once: fewer items per transaction, and none "
    "where one conditional write would do; items under 1 KB; no attribute in an index that nobody reads there. Provisioned "
    "capacity is far cheaper for an even load.",
    "read units": "eventually consistent reads cost half; items under 4 KB; no read whose answer a condition gives.",
    TIME: "the measured time is this machine's, see above; on AWS: arm64 is a fifth cheaper, and memory is to be tuned.",
    "lambda requests": "larger batches (a batching window at the queues) make fewer invocations.",
    "api requests": "an HTTP API costs $1.00 a million, but has no request throttling per method and no own answers.",
    "log bytes": "a line less per invocation; LogLevel=WARNING keeps what is wrong and drops what is usual.",
    "queue requests": "a batching window at the queues makes fewer receives and deletes.",
    "events": "fewer, larger events; none that nobody listens to.",
    "mails": "one mail for confirmation and receipt.",
    "traces": "a lower sampling rate.",
}


@dataclass(frozen=True)
class Line:
    """`word` names the price; `used` is for all orders that were counted."""

    word: str
    what: str
    used: Decimal

    @property
    def price(self) -> Price:
        return PRICES[self.word]


@dataclass(frozen=True)
class Bill:
    lines: Sequence[Line]
    orders: int

    def per_order(self, line: Line) -> Decimal:
        return line.used / self.orders

    def dollars(self, line: Line) -> Decimal:
        """For a million orders."""
        return self.per_order(line) * MILLION * line.price.of_one

    @property
    def total(self) -> Decimal:
        return sum((self.dollars(line) for line in self.lines), Decimal(0))

    @property
    def total_without_time(self) -> Decimal:
        """Without Lambda's duration, which is the measuring machine's and not AWS's."""
        return sum((self.dollars(line) for line in self.lines if line.word != TIME), Decimal(0))

    def by_service(self) -> dict[str, Decimal]:
        """Dollars, the dearest first."""
        found: dict[str, Decimal] = {}
        for line in self.lines:
            found[line.price.service] = found.get(line.price.service, Decimal(0)) + self.dollars(line)
        return dict(sorted(found.items(), key=lambda one: -one[1]))

    def dearest(self, count: int) -> list[Line]:
        return sorted(self.lines, key=self.dollars, reverse=True)[:count]

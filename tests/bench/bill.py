"""The bill: what was used, at list price, per order and per million orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from tests.bench.prices import PRICES, Price

MILLION = 1_000_000
TIME = "lambda time"
# By the price's name: what could be done if this item dominates.
REMEDIES = {
    "transitions": "every state is paid for, a Choice or Succeed as much as a task: fewer of them, or tasks that do "
    "two things. An Express workflow costs a fraction, but runs at most five minutes and may run twice.",
    "write units": "a transaction counts each item twice, an index each copy once: fewer items in a transaction, none "
    "where one conditional write would do, and nothing in an index that nobody reads there. Where the load is even, "
    "provisioned capacity is far cheaper.",
    "read units": "eventually consistent reads cost half; no read whose answer a condition gives.",
    TIME: "the time is this machine's; on AWS, arm64 is a fifth cheaper, and the memory wants tuning.",
    "lambda requests": "a batching window at the queues makes fewer invocations.",
    "api requests": "an HTTP API costs $1.00 a million, and lacks the REST API's own answers and throttling.",
    "log gigabytes": "a line less in each invocation; LogLevel=WARNING drops what is usual.",
    "queue requests": "a batching window at the queues makes fewer receives and deletes.",
    "events": "no event that nobody listens to.",
    "archived gigabytes": "an archive of some event types alone.",
    "mails": "fewer mails: one for the confirmation and the receipt, or a push message in place of a mail.",
    "files": "a PDF that is made when it is first asked for.",
    "traces": "a lower sampling rate.",
}


@dataclass(frozen=True)
class Line:
    """`word` names the price; `used` is the amount for all counted orders."""

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

    def more_for_single_messages(self, invocations: Decimal, polls: Decimal) -> Decimal:
        """Additional dollars for a million orders, if there were so many more invocations and receives with deletes."""
        dollars = invocations * PRICES["lambda requests"].of_one + 2 * polls * PRICES["queue requests"].of_one
        return dollars / self.orders * MILLION

    @property
    def total_without_time(self) -> Decimal:
        """The total without Lambda's duration, which depends on the measuring machine and not on AWS."""
        return sum((self.dollars(line) for line in self.lines if line.word != TIME), Decimal(0))

    def by_service(self) -> dict[str, Decimal]:
        """Dollars by service, the highest first."""
        found: dict[str, Decimal] = {}
        for line in self.lines:
            found[line.price.service] = found.get(line.price.service, Decimal(0)) + self.dollars(line)
        return dict(sorted(found.items(), key=lambda one: -one[1]))

    def dearest(self, count: int) -> list[tuple[str, Decimal]]:
        """The names of the prices and their dollars, the highest first."""
        found: dict[str, Decimal] = {}
        for line in self.lines:
            found[line.word] = found.get(line.word, Decimal(0)) + self.dollars(line)
        return sorted(found.items(), key=lambda one: -one[1])[:count]

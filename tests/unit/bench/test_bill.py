"""The arithmetic of the bill: exact, in Decimal."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.bench.bill import REMEDIES, Bill, Line
from tests.bench.bill_told import Batches, Told
from tests.bench.choices import choices, metrics_of
from tests.bench.prices import PRICES, STANDING
from tests.bench.standing import Standing, runs_of
from tests.bench.usage import Usage


def line(word: str, used: str) -> Line:
    return Line(word, word, Decimal(used))


# Ten orders.
BILL = Bill(
    [
        line("transitions", "70"),
        line("write units", "600"),
        line("lambda time", "12"),
        line("queue requests", "250"),
        line("queue requests", "50"),
        line("stream reads", "90"),
    ],
    orders=10,
)


@pytest.mark.parametrize(
    ("word", "used", "dollars"),
    [
        ("transitions", "70", "175"),
        ("write units", "600", "37.5"),
        ("read units", "5", "0.0625"),
        ("api requests", "10", "3.5"),
        ("lambda requests", "300", "6"),
        ("lambda time", "12", "20.00004"),
        ("queue requests", "250", "10"),
        ("events", "100", "10"),
        ("mails", "20", "200"),
        ("log gigabytes", "0.00002", "1"),
        ("traces", "10", "5"),
        ("discoveries", "1", "0.1"),
        ("secret calls", "1", "0.5"),
        ("parameter calls", "10", "0"),
        ("stream reads", "90", "0"),
    ],
)
def test_a_million_orders_at_the_price_of_ten(word: str, used: str, dollars: str) -> None:
    assert Bill([], 10).dollars(line(word, used)) == Decimal(dollars)


def test_the_total_is_the_sum_of_the_items_and_leaves_this_machines_time_out_where_asked() -> None:
    assert BILL.total == Decimal("175") + Decimal("37.5") + Decimal("20.00004") + Decimal("12")
    assert BILL.total_without_time == Decimal("224.5")


def test_a_services_items_are_one_slice_and_the_dearest_is_first() -> None:
    assert list(BILL.by_service().items())[:2] == [("Step Functions", Decimal("175")), ("DynamoDB", Decimal("37.5"))]
    assert BILL.by_service()["SQS"] == Decimal("12")
    assert BILL.dearest(2) == [("transitions", Decimal("175")), ("write units", Decimal("37.5"))]


def test_every_item_that_may_dominate_has_a_remedy() -> None:
    assert {word for word, price in PRICES.items() if price.dollars} - set(REMEDIES) == {
        "discoveries",
        "secret calls",
    }


def test_schedules_run_by_their_rate_in_thirty_days() -> None:
    assert runs_of(["rate(1 minute)", "rate(5 minutes)", "rate(1 hour)", "rate(30 days)"]) == 43200 + 8640 + 720 + 1


def test_a_schedule_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="cron"):
        runs_of(["cron(0 12 * * ? *)"])


def test_the_page_names_its_total_its_orders_and_every_item() -> None:
    standing = [Standing("secrets", 3, STANDING["secrets"])]
    told = Told(
        BILL, Bill([line("api requests", "10")], 10), Usage(), standing, "2026-11-22", 4, 81, Batches(126, 100, 90, 60)
    )

    page = told.page()

    assert "**A million orders: $244.50**" in page
    assert "without Lambda's time, which is the measuring machine's and not AWS's, $224.50" in page
    assert "counted on 10 real invoices with 81 lines, 4 at a time" in page
    assert '  "Step Functions" : 175.00\n' in page
    assert "| Step Functions | transitions | 7.00 | 7,000,000 | 0.025/k | 175.00 |" in page
    # 26 receives with their deletes and 56 invocations more, for ten orders
    assert "A queue's batch held 1.3 messages here, a stream's 1.5 events." in page
    assert "has one in each: $3.20 more" in page
    assert "A month without a single order: $1.20" in page
    assert told.as_json()["dollars_per_million"] == "244.5000"
    assert "| `Architecture=arm64` | a fifth of Lambda's time | -4.00 | in 1,000,000 orders |" in page
    assert "- https://aws.amazon.com/waf/pricing/\n" in page


def test_an_alarm_is_billed_by_the_metrics_that_it_reads() -> None:
    of_one = {"MetricName": "Errors"}
    of_three = {"Metrics": [{"MetricStat": {}}, {"MetricStat": {}}, {"Expression": "a / b"}, {"MetricStat": {}}]}
    assert metrics_of([of_one, of_three]) == 4


def test_what_parameters_add_is_counted_in_the_templates() -> None:
    found = {one.what: one.dollars for one in choices(BILL)}
    assert found["`ApiWaf`"] == Decimal("10.00")
    assert found["Objectives and the dashboard, in dev and prod"] == Decimal("5.60")
    assert found["Alarms on new versions, in dev and prod (`TrafficShift`)"] >= Decimal("6.10")  # a service adds some
    assert found["`ApiMetrics=method`"] % Decimal("1.50") == 0  # five metrics of each method

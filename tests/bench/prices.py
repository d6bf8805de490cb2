"""AWS's list prices: us-east-1, no free tier, no discounts, the first step of every scale.

As of PRICES_OF. Look each up on its page, and update the date when you change one.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

PRICES_OF = "2026-11-22"
REGION = "us-east-1"


_SHORT = {1: "", 1_000: "/k", 10_000: "/10k", 1_000_000: "/M"}


@dataclass(frozen=True)
class Price:
    """`dollars` is for `per` of the `unit`."""

    service: str
    unit: str
    dollars: Decimal
    per: int
    page: str

    @property
    def short(self) -> str:
        """As a price list states it: 0.625/M is for a million."""
        return f"{self.dollars.normalize():f}{_SHORT[self.per]}"

    @property
    def of_one(self) -> Decimal:
        return self.dollars / self.per


def _price(service: str, unit: str, dollars: str, per: int, page: str) -> Price:
    return Price(service, unit, Decimal(dollars), per, f"https://aws.amazon.com/{page}/pricing/")


PRICES = {
    "api requests": _price("API Gateway", "REST requests", "3.50", 1_000_000, "api-gateway"),
    "lambda requests": _price("Lambda", "requests", "0.20", 1_000_000, "lambda"),
    "lambda time": _price("Lambda", "GB-seconds (x86)", "0.0000166667", 1, "lambda"),
    "write units": _price("DynamoDB", "write request units", "0.625", 1_000_000, "dynamodb"),
    "read units": _price("DynamoDB", "read request units", "0.125", 1_000_000, "dynamodb"),
    "stream reads": _price("DynamoDB", "stream reads by Lambda", "0", 1, "dynamodb"),
    "events": _price("EventBridge", "custom events, per 64 KB", "1.00", 1_000_000, "eventbridge"),
    "archived gigabytes": _price("EventBridge", "GB taken into an archive", "0.10", 1, "eventbridge"),
    "queue requests": _price("SQS", "requests, per 64 KB", "0.40", 1_000_000, "sqs"),
    "transitions": _price("Step Functions", "state transitions", "0.025", 1_000, "step-functions"),
    "mails": _price("SES", "mails", "0.10", 1_000, "ses"),
    "files": _price("S3", "files put", "0.005", 1_000, "s3"),
    "log gigabytes": _price("CloudWatch Logs", "GB taken in", "0.50", 1, "cloudwatch"),
    "traces": _price("X-Ray", "traces recorded", "5.00", 1_000_000, "xray"),
    "discoveries": _price("Cloud Map", "DiscoverInstances calls", "1.00", 1_000_000, "cloud-map"),
    "secret calls": _price("Secrets Manager", "calls", "0.05", 10_000, "secrets-manager"),
    "parameter calls": _price("Systems Manager", "calls, standard parameters", "0", 1, "systems-manager"),
}

# The monthly cost of a shop without orders. The number of each is counted in the template.
STANDING = {
    "secrets": _price("Secrets Manager", "secrets", "0.40", 1, "secrets-manager"),
    "alarms": _price("CloudWatch", "alarms", "0.10", 1, "cloudwatch"),
    "schedules": _price("EventBridge Scheduler", "invocations", "1.00", 1_000_000, "eventbridge"),
    "instances": _price("Cloud Map", "registered instances", "0.10", 1, "cloud-map"),
}

# What a parameter or an environment adds to a month (tests/bench/choices.py).
CHOSEN = {
    "alarm metrics": _price("CloudWatch", "metrics of alarms", "0.10", 1, "cloudwatch"),
    "composite alarms": _price("CloudWatch", "composite alarms", "0.50", 1, "cloudwatch"),
    "dashboards": _price("CloudWatch", "dashboards", "3.00", 1, "cloudwatch"),
    "metrics": _price("CloudWatch", "metrics", "0.30", 1, "cloudwatch"),
    "web ACLs": _price("WAF", "web ACLs", "5.00", 1, "waf"),
    "rules": _price("WAF", "rules", "1.00", 1, "waf"),
    "checked requests": _price("WAF", "requests", "0.60", 1_000_000, "waf"),
}

"""The parts of the site, each made from the environment at its first use."""

from __future__ import annotations

import functools

from mercato.config import load
from mercato.dataclass import dataclass
from pages import SiteSettings


@dataclass(frozen=True)
class Settings(SiteSettings):
    """`currency` is the shop's. `namespace` is the shop's name, also of its dashboard. Lambda sets `aws_region`; the
    local cloud alone, which has no dashboard, sets `aws_endpoint_url`.
    """

    currency: str = "GBP"
    namespace: str = ""
    aws_region: str = ""
    aws_endpoint_url: str = ""

    @property
    def dashboard_url(self) -> str:
        """Of the dashboard in CloudWatch (infra/watch.yaml); empty where there is none."""
        if self.aws_endpoint_url or not self.namespace or not self.aws_region:
            return ""
        home = f"https://{self.aws_region}.console.aws.amazon.com/cloudwatch/home?region={self.aws_region}"
        return f"{home}#dashboards/dashboard/{self.namespace}"


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)


@functools.cache
def ports() -> Ports:
    return Ports()

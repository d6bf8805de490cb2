"""The stand-in of EasyPost as a child process of the local shop."""

from __future__ import annotations

import secrets
from typing import Any

import httpx

from infra.local.child import Child
from infra.local.cloud import Cloud
from infra.local.easypost.api import WAREHOUSE
from infra.paths import HOME

NAME = "easypost"
_MODULE = "infra.local.easypost"


class LocalEasyPost:
    """One stand-in on one port. `step_seconds` is how long a parcel takes from one scan to the next."""

    def __init__(self, port: int, step_seconds: float = 1) -> None:
        self.port = port
        self.url = f"http://localhost:{port}"
        self.key = f"EZTK{secrets.token_hex(24)}"
        self._step_seconds = step_seconds
        files = HOME / f"easypost-{port}"
        self.child = Child("the stand-in of EasyPost", _MODULE, files.with_suffix(".pid"), files.with_suffix(".log"))

    def start(self, cloud: Cloud) -> None:
        self.child.make_way(self.port, "EASYPOST_PORT")
        env = cloud.environment | {"EASYPOST_KEY": self.key}
        self.child.start(str(self.port), str(self._step_seconds), env=env, answers=self._answers, within=30)

    def stop(self) -> None:
        self.child.stop()

    def tell(self, webhook: str, secret: str) -> None:
        """Registers a webhook, as an operator does at EasyPost: it gets all reports, signed with `secret`."""
        self._ask("POST", "/v2/webhooks", {"webhook": {"url": webhook, "webhook_secret": secret}})

    def shipments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("GET", "/v2/shipments")["shipments"]
        return found

    def set_deaf(self, deaf: bool) -> None:
        """Closes each connection without an answer, until it is set to False."""
        self._ask("POST", "/_config", {"deaf": deaf})

    def _answers(self) -> bool:
        return self._ask("GET", "/v2/shipments") is not None

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(method, f"{self.url}{path}", json=body, auth=(self.key, ""), timeout=5)
        answer.raise_for_status()
        return answer.json()


def parameters(api: str) -> dict[str, str]:
    """The template's, for a shop whose parcels go by the stand-in at `api`. Both services of a new shop's rates."""
    return {
        "Carrier": NAME,
        "CarrierServices": "standard=USPS/GroundAdvantage,express=USPS/Express",
        "CarrierAddress": WAREHOUSE,
        "EasyPostApi": api,
    }

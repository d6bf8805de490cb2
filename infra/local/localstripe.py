"""localstripe: an emulator of Stripe that runs in its own process. Its state is lost when the process ends.

It ignores idempotency keys, does not limit refunds, and sends webhooks only for captures and declined cards, once each.
Its licence is the GPL, so this project runs it as a program and never imports it.
"""

from __future__ import annotations

import importlib.util
import secrets
from typing import Any

import httpx

from infra.local.child import Child
from infra.local.cloud import Cloud
from infra.paths import HOME
from infra.trouble import Trouble

_MODULE = "localstripe"
_TELLS = ["payment_intent.succeeded", "payment_intent.payment_failed"]


class LocalStripe:
    """One localstripe process on one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://localhost:{port}"
        self.key = f"sk_test_{secrets.token_hex(12)}"
        self.webhook_secret = f"whsec_{secrets.token_hex(24)}"
        files = HOME / f"{_MODULE}-{port}"
        self.child = Child(_MODULE, _MODULE, files.with_suffix(".pid"), files.with_suffix(".log"))

    def start(self, cloud: Cloud) -> None:
        if importlib.util.find_spec(_MODULE) is None:
            raise Trouble("localstripe is not installed", "Run `make clean setup`.")
        self.child.make_way(self.port, "STRIPE_PORT")
        self.child.start(
            "--from-scratch", "--port", str(self.port), env=cloud.environment, answers=self._answers, within=30
        )

    def stop(self) -> None:
        self.child.stop()

    def tell(self, webhook: str) -> None:
        """Sends all webhooks to this URL from now on, signed with `webhook_secret`."""
        body = {"url": webhook, "secret": self.webhook_secret, "events": _TELLS}
        httpx.post(f"{self.url}/_config/webhooks/mercato", json=body, timeout=5).raise_for_status()

    def get(self, path: str, **params: str | int) -> Any:
        """Returns the JSON response to a GET request, such as for /v1/payment_intents."""
        answer = httpx.get(f"{self.url}{path}", params=params, headers={"Authorization": f"Bearer {self.key}"})
        answer.raise_for_status()
        return answer.json()

    def _answers(self) -> bool:
        """Tells whether it responds and can write its file, /tmp/localstripe.pickle, which another user may own."""
        return httpx.delete(f"{self.url}/_config/data", timeout=2).status_code == 200

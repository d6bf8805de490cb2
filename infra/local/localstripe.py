"""localstripe: a Stripe of one's own, as a process beside the local cloud. It forgets all at its end.

It has no idempotency keys, does not mind how much is refunded, and tells by webhook only of captures and declined
cards, once each. Nothing here imports it: it is GPL.
"""

from __future__ import annotations

import importlib.util
import secrets
import subprocess
import sys
from typing import Any

import httpx

from infra.local import processes
from infra.local.cloud import Cloud
from infra.local.paths import HOME
from infra.local.trouble import Trouble

_MODULE = "localstripe"
_TELLS = ["payment_intent.succeeded", "payment_intent.payment_failed"]


class LocalStripe:
    """One localstripe process on one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://localhost:{port}"
        self.key = f"sk_test_{secrets.token_hex(12)}"
        self.webhook_secret = f"whsec_{secrets.token_hex(24)}"
        self.log = HOME / f"{_MODULE}-{port}.log"
        self._pid_file = HOME / f"{_MODULE}-{port}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, cloud: Cloud) -> None:
        if importlib.util.find_spec(_MODULE) is None:
            raise Trouble("localstripe is not installed", "Run `make clean setup`.")
        HOME.mkdir(exist_ok=True)
        processes.kill_leftover(self._pid_file, _MODULE)
        if not processes.wait_until(lambda: processes.is_free(self.port), 3):
            processes.require_free(self.port, _MODULE, "STRIPE_PORT")
        command = [sys.executable, "-m", _MODULE, "--from-scratch", "--port", str(self.port)]
        self._process = processes.start(command, cloud.environment, self.log, self._pid_file)
        if not processes.wait_until(self._answers, 30):
            raise Trouble("localstripe did not start", f"Its log: {self.log}\n{self.tail()}")

    def tell(self, webhook: str) -> None:
        """Send webhooks there from now on, signed with `webhook_secret`."""
        body = {"url": webhook, "secret": self.webhook_secret, "events": _TELLS}
        httpx.post(f"{self.url}/_config/webhooks/mercato", json=body, timeout=5).raise_for_status()

    def get(self, path: str, **params: str | int) -> Any:
        """What it says, as GET /v1/payment_intents."""
        answer = httpx.get(f"{self.url}{path}", params=params, headers={"Authorization": f"Bearer {self.key}"})
        answer.raise_for_status()
        return answer.json()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process)
            self._process = None
            self._pid_file.unlink(missing_ok=True)

    def _answers(self) -> bool:
        """It can also write its file, /tmp/localstripe.pickle: where that is another user's, nothing would work."""
        if not self.is_running():
            raise Trouble("localstripe ended at once", f"Its log: {self.log}\n{self.tail()}")
        try:
            return httpx.delete(f"{self.url}/_config/data", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

"""localstripe: an emulator of Stripe that runs in its own process. Its state is lost when the process ends.

It ignores idempotency keys, does not limit refunds, and sends webhooks only for captures and declined cards, once each.
It has no disputes, so that it answers 404 where Stripe lists none: a proxy in front of it answers with an empty list.
Its licence is the GPL, so this project runs it as a program and never imports it.
"""

from __future__ import annotations

import importlib.util
import json
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx

from infra.local import http_server
from infra.local.child import Child
from infra.local.cloud import Cloud
from infra.local.processes import free_port
from infra.paths import HOME
from infra.trouble import Trouble

_MODULE = "localstripe"
_DISPUTES = "/v1/disputes"
_NONE = {"object": "list", "data": [], "has_more": False, "url": _DISPUTES}
_FORWARDED = ("authorization", "content-type", "accept", "origin")
_TELLS = ["payment_intent.succeeded", "payment_intent.payment_failed"]


class LocalStripe:
    """One localstripe process, behind a proxy on one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://localhost:{port}"
        self.key = f"sk_test_{secrets.token_hex(12)}"
        self.webhook_secret = f"whsec_{secrets.token_hex(24)}"
        files = HOME / f"{_MODULE}-{port}"
        self.child = Child(_MODULE, _MODULE, files.with_suffix(".pid"), files.with_suffix(".log"))
        self._proxy = ExitStack()

    def start(self, cloud: Cloud) -> None:
        if importlib.util.find_spec(_MODULE) is None:
            raise Trouble("localstripe is not installed", "Run `make clean setup`.")
        self.child.make_way(self.port, "STRIPE_PORT")
        behind = free_port()
        self._proxy.enter_context(http_server.serving(_disputes_and(f"http://127.0.0.1:{behind}"), self.port))
        self.child.start(
            "--from-scratch", "--port", str(behind), env=cloud.environment, answers=self._answers, within=30
        )

    def stop(self) -> None:
        self.child.stop()
        self._proxy.close()

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


def _disputes_and(upstream: str) -> Callable[[str, str, dict[str, str], bytes], http_server.Answer]:
    """Answers for the list of disputes, and forwards the rest."""

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> http_server.Answer:
        if (method, path.partition("?")[0]) == ("GET", _DISPUTES):
            return 200, {"Content-Type": "application/json"}, json.dumps(_NONE).encode()
        forwarded = {name: headers[name] for name in _FORWARDED if name in headers}
        try:
            found = httpx.request(method, upstream + path, headers=forwarded, content=body, timeout=60)
        except httpx.HTTPError as error:
            return 502, {"Content-Type": "text/plain"}, f"localstripe does not answer: {error}".encode()
        return found.status_code, {"Content-Type": found.headers.get("content-type", "text/plain")}, found.content

    return answer

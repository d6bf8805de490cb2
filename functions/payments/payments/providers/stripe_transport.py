"""How Stripe's library reaches Stripe: over urllib3, which the layer has, in the time that the invocation has left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stripe
import urllib3

from mercato.invocation import deadline

_CONNECT, _READ = 2.0, 5.0  # seconds


class StripeWire(stripe.HTTPClient):
    name = "urllib3"

    def __init__(self) -> None:
        super().__init__()
        self._pool = urllib3.PoolManager(maxsize=4)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        timeout = urllib3.Timeout(connect=deadline.within(_CONNECT), read=deadline.within(_READ))
        try:
            answer = self._pool.request(
                method.upper(),
                url,
                body=post_data,
                headers=dict(headers or {}),
                timeout=timeout,
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise stripe.APIConnectionError(str(error)) from error  # type: ignore[no-untyped-call]
        return answer.data.decode(), answer.status, answer.headers

    def close(self) -> None:
        self._pool.clear()

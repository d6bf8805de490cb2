"""The meter: a proxy between the functions and the local cloud that counts their AWS calls.

It tells the functions apart by the application id that each gives in its User-Agent. It has DynamoDB say what a write
consumed: such a request is no longer what the function has signed, and is signed anew, as the operator. So this shop's
IAM is not put to the test; the e2e tests do that.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from typing import Any

import aiohttp
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from multidict import CIMultiDict
from yarl import URL

from infra.local.cloud import REGION
from infra.local.processes import free_port
from infra.local.up import LocalShop
from infra.operator.target import State
from tests.bench.capacity import WRITES
from tests.bench.usage import Call, Usage, action_of

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"})
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/([^/]+)/aws4_request")
_APP = re.compile(r"\bapp/(\S+)")
_OPERATOR = Credentials("test", "test")
_SIGNED_ANEW = frozenset({"authorization", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256"})


class Meter:
    """Runs in a thread, on 127.0.0.1. `usage` counts from the last `reset` on."""

    def __init__(self, cloud_port: int, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.usage = Usage()
        self.trouble: list[str] = []
        self._cloud, self._port = f"http://127.0.0.1:{cloud_port}", port
        self._last = time.monotonic()
        self._under_way = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="meter", daemon=True)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def stop(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)

    def reset(self) -> None:
        self.usage = Usage()

    @property
    def quiet_for(self) -> float:
        """Seconds since the last call ended, or zero during a call."""
        return 0.0 if self._under_way else time.monotonic() - self._last

    async def _open(self) -> None:
        self._client = aiohttp.ClientSession(
            auto_decompress=False, timeout=aiohttp.ClientTimeout(total=60), connector=aiohttp.TCPConnector(limit=64)
        )
        app = web.Application(client_max_size=10 * 1024 * 1024)
        app.router.add_route("*", r"/{path:[\s\S]*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _serve(self, request: web.Request) -> web.Response:
        self._under_way += 1
        try:
            return await self._pass_on(request)
        finally:
            self._under_way -= 1
            self._last = time.monotonic()

    async def _pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = CIMultiDict((name, one) for name, one in request.headers.items() if name.lower() not in _HOP_BY_HOP)
        scope = _SCOPE.search(headers.get("Authorization", ""))
        service = scope[1] if scope else ""
        action = action_of(service, request.method, request.path, headers.get("X-Amz-Target", ""), body)
        if service == "dynamodb" and action in WRITES:
            body = json.dumps(json.loads(body) | {"ReturnConsumedCapacity": "INDEXES"}).encode()
            headers = sign(headers, request.raw_path, body)
        url = URL(self._cloud + request.raw_path, encoded=True)
        async with self._client.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            told = await answer.read()
            kept = CIMultiDict((name, one) for name, one in answer.headers.items() if name.lower() not in _HOP_BY_HOP)
        self._count(headers.get("User-Agent", ""), service, action, body, answer.status, told)
        return web.Response(status=answer.status, headers=kept, body=told)

    def _count(self, agent: str, service: str, action: str, body: bytes, status: int, told: bytes) -> None:
        """Keeps an error until the end, since an incomplete bill must fail."""
        app = _APP.search(agent)
        try:
            plain = service in ("lambda", "s3")  # the body of a call to a peer, or of a file, is not counted
            call = Call(
                app[1] if app else "unnamed", service, action, {} if plain else _json(body), status,
                {} if plain else _json(told),
            )  # fmt: skip
            self.usage.count(call)
        except (ValueError, KeyError, TypeError) as error:
            self.trouble.append(f"{service} {action}: {type(error).__name__}: {error}")


def _json(text: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text) if text.strip() else {}
    return found


def sign(headers: CIMultiDict[str], path: str, body: bytes) -> CIMultiDict[str]:
    """The headers with the operator's signature instead of the function's. The Host stays."""
    kept = {name: one for name, one in headers.items() if name.lower() not in _SIGNED_ANEW}
    request = AWSRequest("POST", f"http://{headers['Host']}{path}", headers=kept, data=body)
    SigV4Auth(_OPERATOR, "dynamodb", REGION).add_auth(request)
    return CIMultiDict(request.headers.items())


class MeteredShop(LocalShop):
    """A shop whose functions call AWS through a meter."""

    def __post_init__(self) -> None:
        self.meter = Meter(self.cloud_port, free_port())
        self.functions_endpoint = self.meter.endpoint
        super().__post_init__()

    def start(self) -> State:
        self.meter.start()
        return super().start()

    def stop(self) -> None:
        super().stop()
        self.meter.stop()

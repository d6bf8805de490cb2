"""The shop's stable address: http://localhost:<port>/api/… goes to the API, whatever id it has today."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-length"})
_MAX_BODY = 10 * 1024 * 1024  # as API Gateway's


@dataclass(frozen=True)
class Served:
    """One request, as the operator wants to see it."""

    method: str
    path: str
    status: int
    seconds: float
    request_id: str


class Front:
    """A reverse proxy in a thread of its own. `find_api` returns the base URL of the API's stage, afresh."""

    def __init__(self, port: int, find_api: Callable[[], str], on_request: Callable[[Served], None]) -> None:
        self.port = port
        self._find_api = find_api
        self._on_request = on_request
        self._api = find_api()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="front", daemon=True)
        self._runner: web.AppRunner | None = None

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(10)

    def stop(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)

    async def _open(self) -> None:
        self._client = aiohttp.ClientSession(
            auto_decompress=False, timeout=aiohttp.ClientTimeout(total=60), connector=aiohttp.TCPConnector(limit=64)
        )
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await self._client.close()

    async def _serve(self, request: web.Request) -> web.Response:
        started = time.monotonic()
        body = await request.read()
        answer = await self._forward(request, body)
        if answer.status in (403, 404) and "X-Request-Id" not in answer.headers:
            # Nobody of ours said this: the API may have been deployed anew, under another id.
            api = await asyncio.to_thread(self._find_api)
            if api != self._api:
                self._api = api
                answer = await self._forward(request, body)
        request_id = answer.headers.get("X-Request-Id", "-")
        seconds = time.monotonic() - started
        self._on_request(Served(request.method, request.path_qs, answer.status, seconds, request_id))
        return answer

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = CIMultiDict(
            (name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
        )
        try:
            async with self._client.request(
                request.method,
                URL(self._api + request.raw_path, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
            ) as answer:
                kept = CIMultiDict(
                    (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
                )
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            problem = {
                "type": "urn:mercato:problem:temporarily-unavailable",
                "title": "Please try again",
                "status": 503,
                "detail": f"The local cloud did not answer: {type(error).__name__}.",
            }
            return web.Response(
                status=503,
                body=json.dumps(problem).encode(),
                headers={"Content-Type": "application/problem+json", "Retry-After": "1"},
            )

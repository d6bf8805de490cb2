"""A reverse proxy with the shop's stable address, http://localhost:<port>.

It routes /api/… to the API, /console… to the console, /media/… to the bucket, as a CDN does, and all other paths to the
storefront. The ids of the APIs may change at a deploy.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from mercato.errors import PROBLEM
from mercato.telemetry.paths import hide_capability

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-length"})
# API Gateway replaces this header with the client's real address. The emulator trusts the request's value.
_SOURCE = "X-Forwarded-For"
_MAX_BODY = 10 * 1024 * 1024  # API Gateway's limit
_MAX_HEAD = 10_240  # API Gateway's limit for the request line and the headers' values together

_OF_A_FILE = ("Content-Type", "Cache-Control", "ETag", "Last-Modified")

# Headers of responses that no function sent. They equal those of template.yaml's GatewayResponses.
_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "sandbox",
    "Content-Type": "application/problem+json",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# Problems for responses that no function sent: by status, or by the status divided by 100.
_WORDS = {
    403: ("forbidden", "Not allowed", "The cloud does not let this through."),
    404: ("not-found", "Not found", "There is nothing at this address."),
    413: ("too-large", "Too large", f"A body may have {_MAX_BODY} bytes."),
    429: ("too-many-requests", "Too many requests", "All functions are busy. Please try again."),
    431: ("headers-too-large", "Too large", f"The request line and the headers may have {_MAX_HEAD} bytes."),
    503: ("temporarily-unavailable", "Please try again", "The local cloud did not answer."),
    4: ("malformed", "The request cannot be read", "The cloud could not read this request."),
    5: ("internal-error", "Something broke on our side", "The function failed; what `mercato up` prints says how."),
}


@dataclass(frozen=True)
class Served:
    """One request, for the operator's stream. `trouble` is the response's text if no function sent the response."""

    method: str
    path: str
    status: int
    seconds: float
    request_id: str
    trouble: str = ""


class ReverseProxy:
    """A reverse proxy in a separate thread.

    `find` has a function for `api`, `console` and `shop` that returns the current base URL. `sign` returns a URL from
    which a key's file can be read.
    """

    def __init__(
        self,
        port: int,
        find: Mapping[str, Callable[[], str]],
        sign: Callable[[str], str],
        on_request: Callable[[Served], None],
    ) -> None:
        self.port = port
        self._find = find
        self._sign = sign
        self._on_request = on_request
        self._urls = {name: ask() for name, ask in find.items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="reverse proxy", daemon=True)
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
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),  # else a client that reads no gzip gets gzip
            timeout=aiohttp.ClientTimeout(total=60),
            connector=aiohttp.TCPConnector(limit=64),
        )
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_route("*", r"/{path:[\s\S]*}", self._serve)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=2,
            auto_decompress=False,
            max_line_size=_MAX_HEAD * 8,  # larger, so that `_answer` refuses what is too long
            max_field_size=_MAX_HEAD * 8,
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await self._client.close()

    async def _serve(self, request: web.Request) -> web.Response:
        started = time.monotonic()
        answer, trouble = _in_our_words(await self._answer(request), is_api=_target_of(request.path) == "api")
        request_id = answer.headers.get("X-Request-Id", "-")
        seconds = time.monotonic() - started
        self._on_request(
            Served(request.method, hide_capability(request.path_qs), answer.status, seconds, request_id, trouble)
        )
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        if len(request.raw_path) + sum(len(value) for value in request.headers.values()) > _MAX_HEAD:
            return web.Response(status=431)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        if request.path.startswith("/media/") and request.method in ("GET", "HEAD"):
            return await self._serve_media(request.path)
        name = _target_of(request.path)
        answer = await self._forward(name, request, body)
        if answer.status in (403, 404) and "X-Request-Id" not in answer.headers:
            # No function sent this response. A deploy may have given the API another id.
            url = await asyncio.to_thread(self._find[name])
            if url != self._urls[name]:
                self._urls[name] = url
                answer = await self._forward(name, request, body)
        return answer

    async def _forward(self, name: str, request: web.Request, body: bytes) -> web.Response:
        headers = CIMultiDict(
            (name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
        )
        headers.popall(_SOURCE, None)
        if name == "api":
            headers.popall("Cookie", None)  # the API accepts only tokens
        headers[_SOURCE] = request.remote or "127.0.0.1"
        try:
            async with self._client.request(
                request.method,
                URL(self._urls[name] + request.raw_path, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
            ) as answer:
                kept = CIMultiDict(
                    (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
                )
                if name == "api" and "Location" in kept:  # this address has no stage in its paths
                    stage = self._urls[name].rpartition("/")[2]
                    kept["Location"] = kept["Location"].removeprefix(f"/{stage}")
                return web.Response(status=answer.status, headers=kept, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=503, text=f"{type(error).__name__}: {error}")

    async def _serve_media(self, path: str) -> web.Response:
        try:
            async with self._client.get(URL(self._sign(path.removeprefix("/")), encoded=True)) as answer:
                kept = {name: answer.headers[name] for name in _OF_A_FILE if name in answer.headers}
                headers = kept | {"X-Content-Type-Options": "nosniff"}
                return web.Response(status=answer.status, headers=headers, body=await answer.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=503, text=f"{type(error).__name__}: {error}")


def _target_of(path: str) -> str:
    if path == "/api" or path.startswith("/api/"):
        return "api"
    return "console" if path == "/console" or path.startswith("/console/") else "shop"


def _in_our_words(answer: web.Response, *, is_api: bool) -> tuple[web.Response, str]:
    """Replaces an error that no function sent with a problem document or, for the sites, with an HTML page.

    Returns the response and the original text. Other responses are returned unchanged with an empty text.
    """
    if answer.status < 400 or "X-Request-Id" in answer.headers:  # a function or the gateway sent it
        return answer, ""
    said = answer.body.decode(errors="replace") if isinstance(answer.body, bytes) else ""
    slug, title, detail = _WORDS.get(answer.status) or _WORDS[answer.status // 100]
    request_id = answer.headers.get("x-amzn-requestid") or str(uuid.uuid4())
    problem = {
        "type": PROBLEM + slug,
        "title": title,
        "status": answer.status,
        "detail": detail,
        "request_id": request_id,
    }
    headers = _HEADERS | {"X-Request-Id": request_id}
    if answer.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if answer.status == 405 and "Allow" in answer.headers:
        headers["Allow"] = answer.headers["Allow"]
    if answer.status in (429, 503):
        headers["Retry-After"] = "1"
    if not is_api:
        headers["Content-Type"] = "text/html; charset=utf-8"
        page = f"<!doctype html><html lang=en><title>{title}</title><h1>{title}</h1><p>{detail}</p><p>{request_id}</p>"
        return web.Response(status=answer.status, text=page, headers=headers), said
    return web.Response(status=answer.status, body=json.dumps(problem).encode(), headers=headers), said

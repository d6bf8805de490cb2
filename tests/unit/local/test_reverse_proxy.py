"""The stable address in front of an API whose id may change."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from infra.local.processes import free_port
from infra.local.reverse_proxy import ReverseProxy, Served
from tests.kit.promises import Answer, broken
from tests.kit.template import load_template


class Api(BaseHTTPRequestHandler):
    """An emulator's data plane that only knows the API `new`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known = self.path.startswith("/new/")
        found = {
            "path": self.path,
            "body": body.decode(),
            "key": self.headers["Idempotency-Key"],
            "sources": self.headers.get_all("X-Forwarded-For"),
            "encodings": self.headers.get_all("Accept-Encoding"),
        }
        text = json.dumps(found).encode()
        self.send_response(202 if known else 404)
        if known:
            self.send_header("X-Request-Id", "request-1")
            self.send_header("Location", "/new/api/orders/1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        """A bucket, whose files contain the request."""
        is_there = "missing" not in self.path
        text = f"{self.path} {self.headers['Cookie']} {self.headers['Authorization']}".encode()
        self.send_response(200 if is_there else 404)
        for name, value in {"Content-Type": "image/webp", "Cache-Control": "immutable", "x-amz-meta-a": "b"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def open_proxy(apis: list[str], served: list[Served]) -> ReverseProxy:
    """Each look-up of the API returns the next of `apis`, and then the last one."""
    proxy = ReverseProxy(
        free_port(),
        dict.fromkeys(("api", "console", "shop"), lambda: apis.pop(0) if len(apis) > 1 else apis[0]),
        lambda key: f"{apis[0]}/bucket/{key}?signed",
        served.append,
    )
    proxy.start()
    return proxy


def test_a_request_goes_through_whole_and_is_shown(upstream: str) -> None:
    served: list[Served] = []
    proxy = open_proxy([f"{upstream}/new"], served)
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{proxy.port}/api/orders?a=%2F1", content=b"{}", headers={"Idempotency-Key": "k"}
        )
    finally:
        proxy.stop()

    assert answer.status_code == 202
    assert answer.headers["Location"] == "/api/orders/1"  # the API's stage is not part of the proxy's URLs
    told = answer.json()
    assert (told["path"], told["body"], told["key"]) == ("/new/api/orders?a=%2F1", "{}", "k")
    assert told["sources"] == ["127.0.0.1"]
    assert [(one.method, one.path, one.status, one.request_id) for one in served] == [
        ("POST", "/api/orders?a=%2F1", 202, "request-1")
    ]


@pytest.mark.parametrize("asked", [None, "br"])
def test_an_answer_is_compressed_only_as_the_client_asks(upstream: str, asked: str | None) -> None:
    proxy = open_proxy([f"{upstream}/new"], [])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{proxy.port}") as client:
            del client.headers["Accept-Encoding"]
            answer = client.post("/api/orders", headers={"Accept-Encoding": asked} if asked else {})
    finally:
        proxy.stop()
    assert answer.json()["encodings"] == ([asked] if asked else None)


def test_a_picture_comes_from_the_bucket_and_nothing_of_the_visitor_goes_there(upstream: str) -> None:
    proxy = open_proxy([upstream], [])
    try:
        site = f"http://127.0.0.1:{proxy.port}"
        found = httpx.get(f"{site}/media/i/d-320.webp?q=1", headers={"Cookie": "a=b", "Authorization": "Bearer t"})
        missing = httpx.get(f"{site}/media/i/missing.webp")
    finally:
        proxy.stop()

    assert (found.status_code, found.text) == (200, "/bucket/media/i/d-320.webp?signed None None")
    assert (found.headers["Content-Type"], found.headers["Cache-Control"]) == ("image/webp", "immutable")
    assert "x-amz-meta-a" not in found.headers
    assert (missing.status_code, "There is nothing at this address." in missing.text) == (404, True)


def test_no_client_says_where_it_comes_from(upstream: str) -> None:
    proxy = open_proxy([f"{upstream}/new"], [])
    try:
        forged = [("X-Forwarded-For", "198.51.100.7"), ("x-forwarded-for", "198.51.100.8")]
        answer = httpx.post(f"http://127.0.0.1:{proxy.port}/api/orders", headers=forged, content=b"{}")
    finally:
        proxy.stop()

    assert answer.json()["sources"] == ["127.0.0.1"]


def test_an_api_deployed_anew_under_another_id_is_found(upstream: str) -> None:
    proxy = open_proxy([f"{upstream}/old", f"{upstream}/new"], [])
    try:
        answer = httpx.post(f"http://127.0.0.1:{proxy.port}/api/orders", content=b"{}")
    finally:
        proxy.stop()

    assert answer.status_code == 202


def test_what_only_the_cloud_says_becomes_a_problem_with_a_request_id_and_is_shown(upstream: str) -> None:
    served: list[Served] = []
    proxy = open_proxy([f"{upstream}/old"], served)
    try:
        answer = httpx.post(f"http://127.0.0.1:{proxy.port}/api/orders", content=b"{}")
    finally:
        proxy.stop()

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert '"path": "/old/api/orders"' in served[0].trouble


@pytest.mark.parametrize("path", ["/api/%0a", "/api/products/%0d%0ax"])
def test_an_address_with_a_line_break_goes_through(upstream: str, path: str) -> None:
    proxy = open_proxy([f"{upstream}/new"], [])
    try:
        answer = httpx.post(f"http://127.0.0.1:{proxy.port}{path}", content=b"{}")
    finally:
        proxy.stop()

    assert answer.json()["path"] == "/new" + path


def test_a_body_that_lies_about_its_encoding_is_passed_on_as_it_is(upstream: str) -> None:
    proxy = open_proxy([f"{upstream}/new"], [])
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{proxy.port}/api/orders", content=b"{}", headers={"Content-Encoding": "gzip"}
        )
    finally:
        proxy.stop()

    assert answer.json()["body"] == "{}"


def test_a_body_over_the_gateways_limit_is_413(upstream: str) -> None:
    proxy = open_proxy([f"{upstream}/new"], [])
    try:
        answer = httpx.post(f"http://127.0.0.1:{proxy.port}/api/orders", content=b"x" * (10 * 1024 * 1024 + 1))
    finally:
        proxy.stop()

    assert (answer.status_code, answer.json()["type"]) == (413, "urn:mercato:problem:too-large")


def test_a_cloud_that_is_away_is_503_with_what_to_do() -> None:
    proxy = open_proxy(["http://127.0.0.1:9/new"], [])
    try:
        answer = httpx.post(f"http://127.0.0.1:{proxy.port}/api/orders", content=b"{}")
    finally:
        proxy.stop()

    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"] == "1"


def test_a_head_over_the_gateways_limit_is_answered_here_in_our_words(upstream: str) -> None:
    served: list[Served] = []
    proxy = open_proxy([f"{upstream}/new"], served)
    try:
        answers = [
            httpx.get(f"http://localhost:{proxy.port}/api/products", params={"q": "x" * 20_000}),
            httpx.get(f"http://localhost:{proxy.port}/api/products", headers={"X-Filler": "x" * 20_000}),
        ]
    finally:
        proxy.stop()

    for answer in answers:
        assert answer.status_code == 431
        assert answer.json()["type"] == "urn:mercato:problem:headers-too-large"
        assert answer.headers["X-Request-Id"] == answer.json()["request_id"]


def test_the_fronts_own_answers_keep_the_promises_of_api_gateways(upstream: str) -> None:
    proxy = open_proxy([f"{upstream}/old"], [])
    own = load_template("template.yaml")["Resources"]["Api"]["Properties"]["GatewayResponses"]["DEFAULT_4XX"]
    try:
        answers = [
            httpx.get(f"http://127.0.0.1:{proxy.port}/api/products", headers={"X-Filler": "x" * 20_000}),
            httpx.post(f"http://127.0.0.1:{proxy.port}/api/orders", content=b"x" * (10 * 1024 * 1024 + 1)),
            httpx.post(f"http://127.0.0.1:{proxy.port}/api/orders", content=b"{}"),
        ]
    finally:
        proxy.stop()
    away = open_proxy(["http://127.0.0.1:9/new"], [])
    try:
        answers.append(httpx.get(f"http://127.0.0.1:{away.port}/api/orders"))
    finally:
        away.stop()

    assert [answer.status_code for answer in answers] == [431, 413, 404, 503]
    for answer in answers:
        assert list(broken(Answer(answer.status_code, answer.headers, answer.content, by_gateway=True))) == []
        for name, value in own["ResponseParameters"]["Headers"].items():
            assert value == "context.requestId" or answer.headers[name] == value.strip("'")

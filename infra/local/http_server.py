"""A small HTTP server in a thread: for what stands in for, or in front of, a service that the shop calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

# The status, the headers and the body.
Answer = tuple[int, Mapping[str, str], bytes]


@contextmanager
def serving(answer: Callable[[str, str, dict[str, str], bytes], Answer | None], port: int = 0) -> Iterator[str]:
    """Answers each request with what `answer` returns for its method, path, headers (by lower-case name) and body.

    After None it closes the connection without an answer. Yields the server's URL. `port`: any free one if it is 0.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answered = answer(self.command, self.path, headers, body)
            if answered is None:
                self.close_connection = True
                return
            status, told, content = answered
            self.send_response(status)
            for name, value in {**told, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - as http.server names them

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: the service behind it has a log."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()

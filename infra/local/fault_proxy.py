"""The process of the fault proxy: microburst with the client's Host header.

microburst replaces Host with the upstream's name. SigV4 signs Host and the local cloud verifies it, so this proxy keeps
the original value.
"""

from __future__ import annotations

import sys

from aiohttp import web
from microburst.app import make_app
from microburst.core.pipeline import Microburst
from microburst.forward import Upstream


class Transparent(Upstream):  # type: ignore[misc]
    """Forwards requests with the client's Host header. microburst has no type hints."""

    def _outbound_headers(self, request: web.Request) -> dict[str, str]:
        headers: dict[str, str] = super()._outbound_headers(request)
        return headers | {"host": request.headers["Host"]}


def main(port: int, endpoint: str) -> None:
    proxy = Microburst(endpoint)
    proxy.upstream = Transparent(endpoint, stats=proxy.stats)
    web.run_app(make_app(proxy), host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

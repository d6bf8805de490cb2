"""The process behind the fault proxy: microburst, but transparent to signatures.

microburst puts the upstream's name into Host. The local cloud verifies SigV4, which signs Host: ours keeps it.
"""

from __future__ import annotations

import sys

from aiohttp import web
from microburst.app import make_app
from microburst.core.pipeline import Microburst
from microburst.forward import Upstream


class Transparent(Upstream):  # type: ignore[misc]
    """microburst has no types."""

    def _outbound_headers(self, request: web.Request) -> dict[str, str]:
        headers: dict[str, str] = super()._outbound_headers(request)
        return headers | {"host": request.headers["Host"]}


def main(port: int, endpoint: str) -> None:
    proxy = Microburst(endpoint)
    proxy.upstream = Transparent(endpoint, stats=proxy.stats)
    web.run_app(make_app(proxy), host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

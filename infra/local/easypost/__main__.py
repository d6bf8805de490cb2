"""The process of the stand-in: `python -m infra.local.easypost <port> <seconds of a step>`, its key in EASYPOST_KEY."""

from __future__ import annotations

import logging
import os
import sys

from infra.local.easypost.api import running
from infra.local.easypost.courier import Courier, post


def main(port: int, step_seconds: float) -> None:
    logging.basicConfig(format="%(asctime)s %(message)s")
    with running(port, os.environ["EASYPOST_KEY"]) as easypost:
        Courier(easypost, post).run(step_seconds, easypost.stopped)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))

"""The process of the local cloud, `python -m infra.local.emulator`: MiniStack with two things of ours.

It notes the permissions that are used, and its functions' Runtime API answers at once: that server writes headers and
body apart, and with Nagle's algorithm the body of each event waits 40 ms for a delayed acknowledgement of the headers.
"""

from __future__ import annotations

import os
import socketserver
from pathlib import Path

from ministack import app
from ministack.core import iam_evaluator

from infra.local.iam.recording import noting

if __name__ == "__main__":
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    iam_evaluator.evaluate = noting(iam_evaluator.evaluate, Path(os.environ["MERCATO_IAM_USED"]))
    app.main()

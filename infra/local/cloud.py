"""The local cloud: MiniStack, an AWS emulator, with IAM enforced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from infra.local import processes
from infra.local.paths import HOME
from infra.local.trouble import Trouble

REGION = "us-east-1"
# Two cores do not like sixty cold starts at once.
_CONCURRENT_FUNCTIONS = 32
_MODULE = "infra.local.emulator"


class Cloud:
    """One MiniStack process on one port. Its files are in .mercato/cloud-<port>."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.endpoint = f"http://localhost:{port}"
        self.home = HOME / f"cloud-{port}"
        self.log = self.home / "cloud.log"
        self.used_permissions = self.home / "iam-used.jsonl"
        self._pid_file = HOME / f"cloud-{port}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What makes any AWS tool speak to this cloud, and to no other."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            # `sam build` takes the python that it finds first: the project's, also where nobody has activated it.
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        }

    def client(self, service: str) -> Any:
        make: Any = self._session.client
        return make(
            service,
            endpoint_url=self.endpoint,
            config=Config(retries={"mode": "standard", "total_max_attempts": 4}, inject_host_prefix=False),
        )

    @cached_property
    def _session(self) -> boto3.session.Session:
        return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)

    def start(self) -> None:
        HOME.mkdir(exist_ok=True)
        processes.kill_leftover(self._pid_file, _MODULE)
        if not processes.wait_until(lambda: processes.is_free(self.port), 3):
            processes.require_free(self.port, "the local cloud", "CLOUD_PORT")
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        (self.home / "tmp").mkdir()
        env = self.environment | {
            "GATEWAY_PORT": str(self.port),
            "AUTH": "true",
            "CLOUDTRAIL_RECORDING": "0",
            "LAMBDA_ACCOUNT_CONCURRENCY": str(_CONCURRENT_FUNCTIONS),
            "LOG_LEVEL": "WARNING",
            "MERCATO_IAM_USED": str(self.used_permissions),
            "S3_DATA_DIR": str(self.home / "s3"),
            "STATE_DIR": str(self.home / "state"),
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONPYCACHEPREFIX": str(HOME / "pycache"),
        }
        self._process = processes.start([sys.executable, "-m", _MODULE], env, self.log, self._pid_file)
        if not processes.wait_until(self._answers, 60):
            raise Trouble("the local cloud did not start", f"Its log: {self.log}\n{self.tail()}")

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise Trouble("the local cloud ended at once", f"Its log: {self.log}\n{self.tail()}")
        try:
            return httpx.get(f"{self.endpoint}/_ministack/ready", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def stop(self) -> None:
        if self._process is not None:
            processes.stop(self._process)
            self._process = None
            self._pid_file.unlink(missing_ok=True)
            shutil.rmtree(self.home / "tmp", ignore_errors=True)

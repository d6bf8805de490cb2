"""The local cloud: MiniStack, an AWS emulator, with IAM enforced."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config

from infra.local import reload
from infra.local.child import Child
from infra.paths import HOME

REGION = "us-east-1"
# Sixty concurrent cold starts overload a machine with two cores.
_CONCURRENT_FUNCTIONS = 32
_MODULE = "infra.local.emulator"


class Cloud:
    """One MiniStack process on one port. Its files are in .mercato/cloud-<port>."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.endpoint = f"http://localhost:{port}"
        self.home = HOME / f"cloud-{port}"
        self.used_permissions = self.home / "iam-used.jsonl"
        self.mesh_proof = secrets.token_urlsafe(24)  # shows that a request has come through the mesh's ingress
        self.child = Child("the local cloud", _MODULE, HOME / f"cloud-{port}.pid", self.home / "cloud.log")

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that make AWS tools use this cloud only."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # with it, each start would compile the emulator
        return kept | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            # `sam build` uses the first python on the PATH. It must be the project's, even if .venv is not activated.
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
        self.child.make_way(self.port, "CLOUD_PORT")
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
            "MERCATO_MESH_PROOF": self.mesh_proof,
            "MERCATO_RELOAD": str(reload.folder(self.port)),
            "S3_DATA_DIR": str(self.home / "s3"),
            "STATE_DIR": str(self.home / "state"),
            "TMPDIR": str(self.home / "tmp"),
            "PYTHONPYCACHEPREFIX": str(HOME / "pycache"),
        }
        self.child.start(env=env, answers=self._answers)

    def stop(self) -> bool:
        """Stops the cloud and returns True. Returns False if this object never started it: it may be another shop's."""
        was_started = self.child.stop()
        if was_started:
            shutil.rmtree(self.home / "tmp", ignore_errors=True)
        return was_started

    def _answers(self) -> bool:
        return httpx.get(f"{self.endpoint}/_ministack/ready", timeout=1).status_code == 200

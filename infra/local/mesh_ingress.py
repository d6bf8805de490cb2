"""The process of the mesh's local ingress: an Envoy with its configuration, and what keeps its certificates fresh.

API Gateway is told of each version of the trust store. This ingress reads it, and its certificate, every ten seconds.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.local.mesh import envoy
from infra.local.processes import die_with_parent
from infra.mesh import policy
from infra.mesh.envoy import ingress

_FRESH = 10.0  # seconds
_TRUST = "authorities.pem"
_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # the name of a type


def main(port: int, cloud_port: int, folder: Path, identity: str, bucket: str) -> int:
    files = folder / "files"
    files.mkdir(parents=True, mode=0o700)
    fills = {
        "LISTEN_ADDRESS": "127.0.0.1",
        "LISTEN_PORT": str(port),
        "CLOUD_ADDRESS": "127.0.0.1",
        "CLOUD_PORT": str(cloud_port),
        "ADMIN": str(folder / "admin.sock"),
        "PROOF": os.environ["MERCATO_MESH_PROOF"],
        "WATCHED": str(files),
        "IDENTITY_FILE": str(files / "identity.json"),
        "TRUST_FILE": str(files / "trust.json"),
    }
    config = folder / "envoy.json"
    config.touch(mode=0o600)
    config.write_text(re.sub("@([A-Z_]+)@", lambda found: fills[found[1]], json.dumps(ingress(policy.read()))))
    known = _refreshed(files, "", identity, bucket)
    command = [envoy(), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"]
    command += ["--file-flush-interval-msec", "100"]  # of its log, instead of ten seconds
    process = subprocess.Popen(command, preexec_fn=die_with_parent)
    while True:
        try:
            return process.wait(_FRESH)
        except subprocess.TimeoutExpired:
            known = _refreshed(files, known, identity, bucket)


def _refreshed(files: Path, known: str, identity: str, bucket: str) -> str:
    """Writes what differs from `known`, and returns what there is. What cannot be read stays as it was."""
    try:
        text = boto3.client("secretsmanager").get_secret_value(SecretId=identity)["SecretString"]
        trusted = boto3.client("s3").get_object(Bucket=bucket, Key=_TRUST)["Body"].read().decode()
    except (BotoCoreError, ClientError) as error:
        if not known:
            raise
        sys.stdout.write(json.dumps({"message": "the certificates were not read", "reason": str(error)}) + "\n")
        return known
    if (found := text + trusted) != known:
        own = json.loads(text)
        pair = {
            "certificate_chain": {"inline_string": own["certificate"]},
            "private_key": {"inline_string": own["key"]},
        }
        _put(files, "trust", {"validation_context": {"trusted_ca": {"inline_string": trusted}}})
        _put(files, "identity", {"tls_certificate": pair})
    return found


def _put(files: Path, name: str, part: dict[str, Any]) -> None:
    """Envoy reads a file when another is moved in its place."""
    unfinished = files / f".{name}"
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps({"resources": [{"@type": _SECRET, "name": name, **part}]}))
    unfinished.rename(files / f"{name}.json")


if __name__ == "__main__":
    listen, cloud, place, secret, store = sys.argv[1:]
    sys.exit(main(int(listen), int(cloud), Path(place), secret, store))

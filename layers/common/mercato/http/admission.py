"""Admits calls that come through the mesh's ingress: an HTTP API whose domain requires a client certificate.

The certificate and the IAM signature must name the same service, and the policy must list the call. A stolen
certificate or stolen keys alone do nothing. No header counts: the ingress's event states both proofs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mercato import config
from mercato.dataclass import dataclass
from mercato.errors import Forbidden
from mercato.http.mesh_calls import CALLS, IDENTITIES
from mercato.telemetry.logs import log

_SUBJECT = re.compile(r"CN=([a-z][a-z-]{0,30})")
_ASSUMED = re.compile(r"arn:[a-z-]+:sts::(\d{12}):assumed-role/[^/]+/([^/]+)")


@dataclass(frozen=True)
class Settings:
    """`mesh_ingress` is `<shop>/<API id of the ingress>`; empty where the mesh is off."""

    mesh_ingress: str = ""


def _ingress() -> tuple[str, str]:
    """Returns the shop and the ingress's API id. The id is empty where the mesh is off."""
    shop, _, api = config.load(Settings).mesh_ingress.partition("/")
    return shop, api


def is_from_ingress(event: Mapping[str, Any]) -> bool:
    """Whether the event, of payload 2.0, comes from the mesh's ingress."""
    _, api = _ingress()
    return bool(api) and (event.get("requestContext") or {}).get("apiId") == api


def path_of(event: Mapping[str, Any]) -> str:
    """The path behind `/<service>/<version>`, which is the ingress's own part."""
    return "/" + ((event.get("pathParameters") or {}).get("proxy") or "")


def identify(context: Mapping[str, Any], arn: str) -> str:
    """Returns the calling service. Raises Forbidden unless certificate and IAM caller name the same one.

    The issuer writes the service as the only name of the certificate's subject. Lambda names a function's session as
    the function, so the caller's ARN tells which function calls.
    """
    subject = ((context.get("authentication") or {}).get("clientCert") or {}).get("subjectDN") or ""
    certified = found[1] if (found := _SUBJECT.fullmatch(subject)) else ""
    signed = _signer(arn, context.get("accountId") or "")
    if not certified:
        raise _refusal("This call came without a certificate of the mesh.", subject, arn)
    if not signed:
        raise _refusal("This call was not signed by a function that may call peers.", subject, arn)
    if signed != certified:
        raise _refusal("The certificate and the signature of this call name different services.", subject, arn)
    return certified


def _signer(arn: str, account: str) -> str:
    """The identity of the function that has signed; empty for any other caller, and for other accounts and shops."""
    assumed = _ASSUMED.fullmatch(arn)
    shop, _ = _ingress()
    if assumed is None or assumed[1] != account or not assumed[2].startswith(f"{shop}-"):
        return ""
    return IDENTITIES.get(assumed[2].removeprefix(f"{shop}-"), "")


def refuse_way_around(arn: str) -> None:
    """Raises Forbidden for a peer's call to the function URL where the mesh is on."""
    _, api = _ingress()
    if api:
        raise _refusal("Peers call this service through the mesh only.", "", arn)


def require_listed(service: str, caller: str, method: str, path: str) -> None:
    """Raises Forbidden unless the mesh's policy lists the call."""
    for listed, pattern in CALLS.get(service, {}).get(caller, []):
        if listed == method and re.fullmatch(pattern, path):
            return
    raise _refusal("The mesh's policy does not list this call.", f"CN={caller}", "", service=service, method=method)


def _refusal(reason: str, subject: str, arn: str, **about: str) -> Forbidden:
    """Writes the audit line, and returns the error."""
    log.warning("mesh call refused", extra={"reason": reason, "subject": subject, "peer_arn": arn} | about)
    return Forbidden(reason)

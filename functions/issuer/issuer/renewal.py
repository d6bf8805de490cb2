"""MeshIssuer, every hour: renews the leaves that are six hours old, and changes the authority when its key is another.

A change of the authority has three steps, each a run or more after the one before: the new authority joins the trust
store; when the ingress knows it and callers have had the time to read it, leaves are issued by it; when all leaves of
the old one have expired, the old one is removed.

Safe when repeated, concurrent, or interrupted anywhere: the trust store and each secret are replaced on the condition
that they are as they were read, and each run begins with what is stored. A caller whose renewal fails does not stop the
others, and fails the run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from issuer import stack
from issuer.authority import LIFE, is_key_of, issue, issued_at, make_authority
from issuer.identities import Identity, IdentitySecret, Stored
from issuer.trust import Bundle, Ingress, TrustStore
from issuer.wiring import ports
from mercato.clock import rfc3339, utc_now
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.invocation.schedule import scheduled
from mercato.telemetry.logs import log

RENEWED_AFTER = timedelta(hours=6)
LATE = timedelta(hours=12)  # left of a leaf's 24 hours
# Callers read their secret again when it is an hour old, so by then all of them trust the new authority.
SETTLED_AFTER = timedelta(hours=3)
FORGOTTEN_AFTER = LIFE + timedelta(hours=2)
AUTHORITY_RENEWED_BEFORE = timedelta(days=90)
_TRIES_FOR_STACK, _PAUSE_FOR_STACK = 3, 2.0  # seconds
_LONGEST_RUN = 40.0  # seconds of the function's 120, with an AWS service that answers at the third attempt


class RenewalLate(TransientError):
    """A leaf was not renewed for 12 hours, and has at most as many left."""


@dataclass(frozen=True)
class Issuer:
    key: ec.EllipticCurvePrivateKey
    store: TrustStore
    ingress: Ingress
    trust_domain: str

    def renew(self, secrets: Mapping[str, IdentitySecret], now: datetime) -> dict[str, str]:
        """Returns the outcome by service. Raises TransientError, after all were tried, if one of them failed."""
        bundle = self._keep_authorities(now)
        outcomes, left = dict[str, str](), list[timedelta]()
        failed: list[str] = []
        is_known = False
        try:
            is_known = self.ingress.trusts(bundle.version)
        except TransientError as error:  # the leaves of an authority that the ingress knows are renewed nevertheless
            failed.append("the ingress")
            log.error("the ingress was not told of the trust store", extra={"reason": str(error)})
        for service, secret in secrets.items():
            try:
                stored = secret.load()
                wanted = self._wanted(service, stored, bundle, now, is_known=is_known)
                outcomes[service] = "unchanged"
                if wanted is not None:
                    done = secret.replace(wanted, stored.version)
                    stored = Stored(wanted, stored.version) if done else secret.load()
                    outcomes[service] = "renewed" if done else "renewed by another run"
                left.append((stored.ends_at() or now) - now)
            except (TransientError, ValueError) as error:  # ValueError: what is stored is no identity
                failed.append(service)
                log.error("an identity was not renewed", extra={"caller": service, "reason": str(error)})
        if failed:
            raise TransientError(f"not renewed, or not told: {', '.join(failed)}")
        if min(left, default=LIFE) <= LATE:
            raise RenewalLate(f"a leaf ends in {min(left)}; is the ingress still not told of the authority?")
        return outcomes

    def report(self, secrets: Mapping[str, IdentitySecret]) -> dict[str, Any]:
        """Returns the authorities and the leaves, without keys. A leaf that cannot be read has its problem instead."""
        bundle = self.store.load()
        leaves: dict[str, dict[str, str]] = {}
        for service, secret in secrets.items():
            try:
                identity = secret.load().identity
                leaves[service] = _told(identity.leaf) if identity else {"problem": "not issued yet"}
            except (TransientError, ValueError) as error:
                leaves[service] = {"problem": str(error)}
        return {"authorities": [_told(one) for one in bundle.authorities], "leaves": leaves}

    def _keep_authorities(self, now: datetime) -> Bundle:
        """Adds an authority of this key, unless the newest is of it, and removes those whose leaves have expired."""
        bundle = self.store.load()
        newest = bundle.newest
        kept = bundle.authorities
        if newest is None or not is_key_of(newest, self.key) or _ends_soon(newest, now):
            newest = make_authority(self.key, now)
            kept = (*kept, newest)
        elif now - issued_at(newest) >= FORGOTTEN_AFTER:
            kept = (newest,)
        if kept == bundle.authorities:
            return bundle
        log.info("the trust store changes", extra={"authorities": [one.subject.rfc4514_string() for one in kept]})
        return self.store.replace(bundle, kept)

    def _wanted(
        self, service: str, stored: Stored, bundle: Bundle, now: datetime, *, is_known: bool
    ) -> Identity | None:
        """Returns the identity to store, or None if the stored one is as it should be."""
        authority = bundle.newest
        if authority is None or not is_key_of(authority, self.key):
            # Another run has another key, which is newer or older than ours: one of the two is about to end.
            raise TransientError("the newest authority has another key")
        trusted = bundle.to_pem()
        current = stored.identity
        if current is None or current.leaf.not_valid_after_utc <= now:
            return self._issued(authority, service, trusted, now)
        is_alone = len(bundle.authorities) == 1
        may_issue = is_alone or (is_known and now - issued_at(authority) >= SETTLED_AFTER)
        is_old = now - issued_at(current.leaf) >= RENEWED_AFTER or current.leaf.issuer != authority.subject
        if may_issue and is_old:
            return self._issued(authority, service, trusted, now)
        if current.authorities != trusted:
            return Identity(current.certificate, current.key, trusted)
        return None

    def _issued(self, authority: x509.Certificate, service: str, trusted: str, now: datetime) -> Identity:
        leaf, key = issue(authority, self.key, service, f"spiffe://{self.trust_domain}/{service}", now)
        return Identity.make(leaf, key, trusted)


def _ends_soon(authority: x509.Certificate, now: datetime) -> bool:
    return authority.not_valid_after_utc - now < AUTHORITY_RENEWED_BEFORE


def _told(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "issued_at": rfc3339(issued_at(certificate)),
        "ends_at": rfc3339(certificate.not_valid_after_utc),
    }


@scheduled
def handler(event: dict[str, Any]) -> dict[str, Any]:
    """Event: {"report": true} only tells what there is; any other event renews, also CloudFormation's."""
    if event.get("report") is True:
        return ports().issuer.report(ports().secrets)
    if stack.asks(event):
        return _for_stack(event)
    return _renew()


def _for_stack(event: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation waits for the answer, also of a run that fails. There is nothing to do when it deletes."""
    try:
        outcomes = {} if event["RequestType"] == "Delete" else _renew_for_stack()
    except TransientError as error:
        stack.tell(event, failure=str(error))
        raise
    stack.tell(event)
    return outcomes


def _renew_for_stack() -> dict[str, Any]:
    """A failure rolls the whole deploy back, and no schedule comes again: a run that failed for now is repeated."""
    for _ in range(_TRIES_FOR_STACK - 1):
        try:
            return _renew()
        except TransientError as error:
            if deadline.left() < _LONGEST_RUN:
                raise
            log.warning("the identities are tried again", extra={"reason": str(error)})
            time.sleep(_PAUSE_FOR_STACK)
    return _renew()


def _renew() -> dict[str, Any]:
    outcomes = ports().issuer.renew(ports().secrets, utc_now())
    log.info("identities renewed", extra={"outcomes": outcomes})
    return outcomes

"""Makes keys and tokens, valid and forged, as an attacker would."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER, AUDIENCE = "https://mercato.example", "mercato-api"


class Mint:
    """One key pair, and tokens signed with it. `claims` and `header` are those of the valid token."""

    def __init__(self, key_id: str = "key-1") -> None:
        self.key_id = key_id
        self.private = ec.generate_private_key(ec.SECP256R1())
        public: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        self.public = public | {"kid": key_id, "use": "sig", "alg": "ES256"}

    @property
    def jwks(self) -> str:
        return json.dumps({"keys": [self.public]})

    @property
    def claims(self) -> dict[str, Any]:
        now = int(time.time())
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "ada",
            "role": "customer",
            "iat": now,
            "nbf": now,
            "exp": now + 900,
            "jti": "token-1",
        }

    def token(self, *, header: dict[str, Any] | None = None, without: str = "", **claims: Any) -> str:
        payload = self.claims | claims
        payload.pop(without, None)
        return self.sign({"alg": "ES256", "typ": "JWT", "kid": self.key_id} | (header or {}), payload)

    def sign(self, header: dict[str, Any], payload: Any) -> str:
        """Signs with the private key, whatever the header and the payload are."""
        signed = f"{encode(header)}.{encode(payload)}"
        signature = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(signed.encode(), self.private)
        return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def encode(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")

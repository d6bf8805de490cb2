"""Explains AWS's errors to the operator, with a remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

from infra.trouble import Trouble

_EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "RequestExpired",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
_ACTION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")


def explain(error: ClientError | BotoCoreError) -> str:
    """Returns the reason of the refusal and the remedy in one or two lines."""
    if isinstance(error, _NO_CREDENTIALS):
        return f"there are no valid AWS credentials ({error}). Log in to AWS, such as with `aws sso login`."
    if not isinstance(error, ClientError):
        return str(error)
    code, said = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in _EXPIRED:
        return f"AWS does not take your credentials any more ({code}). Log in to AWS, such as with `aws sso login`."
    if code in _DENIED:
        found = _ACTION.search(said)
        action = found[1] if found else error.operation_name
        return (
            f"your AWS credentials lack the permission {action}. docs/runbook.md lists what each command needs. {said}"
        )
    return str(error)


@contextmanager
def as_trouble(remedy: str) -> Iterator[None]:
    """Converts AWS's errors to Trouble. `remedy` says how to continue after the cause is removed."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise Trouble(f"AWS refused: {explain(error)}", remedy) from error

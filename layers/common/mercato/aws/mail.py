"""E-mail through Amazon SES."""

from __future__ import annotations

from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from mercato import aws
from mercato.telemetry import correlation

# SES's errors about a single message. An error about the whole account (paused, over its quota, the sender's domain not
# verified) is the operator's to repair, so the message waits in the queue and then in its DLQ.
_REFUSALS = frozenset({"MessageRejected", "BadRequestException", "InvalidParameterValue"})


class MailRefused(Exception):
    """This message will never be sent."""


class MailNotSent(Exception):
    """The message was certainly not sent; a retry may succeed."""


class MailUncertain(Exception):
    """No answer came: the message may have been sent."""


class Mailer(Protocol):
    def send(self, to: str, subject: str, body: str) -> None:
        """Returns when SES has accepted the message. Raises MailRefused, MailNotSent or MailUncertain."""


class SesMailer:
    def __init__(self, from_address: str) -> None:
        self._from = from_address

    def send(self, to: str, subject: str, body: str) -> None:
        content = {
            "Simple": {
                "Subject": {"Data": subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": body, "Charset": "UTF-8"}},
                "Headers": [{"Name": "X-Correlation-Id", "Value": correlation.current().correlation_id}],
            }
        }
        try:
            # One attempt: botocore's retry after a lost answer would send a second mail.
            aws.client("sesv2", attempts=1).send_email(
                FromEmailAddress=self._from, Destination={"ToAddresses": [to]}, Content=content
            )
        except ClientError as error:
            self._raise_for(error)
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise MailNotSent(str(error)) from error
        except BotoCoreError as error:
            raise MailUncertain(str(error)) from error

    @staticmethod
    def _raise_for(error: ClientError) -> None:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code in _REFUSALS:
            raise MailRefused(f"{code}: {message}") from error
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) >= 500:
            raise MailUncertain(f"{code}: {message}") from error
        raise MailNotSent(f"{code}: {message}") from error

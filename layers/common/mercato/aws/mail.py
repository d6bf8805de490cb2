"""E-mail through Amazon SES."""

from __future__ import annotations

import re
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from mercato import aws
from mercato.aws.sending import MessageNotSent, MessageRefused, MessageUncertain
from mercato.telemetry import correlation, metrics

# SES's errors about a single message. Every other error concerns the whole shop.
_REFUSALS = frozenset({"MessageRejected", "BadRequestException", "InvalidParameterValue"})
# MessageRejected also means that an identity is not verified, the sender's or in SES's sandbox the recipient's: "Email
# address is not verified. The following identities failed the check in region EU-WEST-1: shop@example.com".
_NOT_VERIFIED = "not verified"
# SES takes this mail later without an operator's help.
_BUSY = frozenset({"TooManyRequestsException", "Throttling", "ThrottlingException"})
# Such an error, too, but it lasts until the next day, or until AWS grants a higher quota:
# https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html
_QUOTA_USED_UP = "Daily message quota exceeded"
# SES's message may name the recipient, and the errors below end in logs and events, which hold no addresses.
_ADDRESS = re.compile(r"[^\s/:<>,;]+@[^\s/:<>,;]+")


class MailRefused(MessageRefused):
    """This message will never be sent. The text is SES's answer without the recipient."""


class MailNotSent(MessageNotSent):
    """The message was certainly not sent; a retry may succeed.

    If an operator has to repair something first (an identity that is not verified, paused sending, a quota, a missing
    permission), the metric `MailsRefused` counts it, and the message waits in the queue and then in its DLQ. The text
    is SES's answer without the recipient.
    """


class MailUncertain(MessageUncertain):
    """No answer came: the message may have been sent."""


class Mailer(Protocol):
    def send(self, to: str, subject: str, body: str, unsubscribe: str = "") -> None:
        """Returns when SES has accepted the message. `unsubscribe` is the address at which one click ends such mails.
        Raises MailRefused, MailNotSent or MailUncertain.
        """


class SesMailer:
    """`configuration_set` is the name of SES's set of rules for the shop's mails (infra/mail.yaml)."""

    def __init__(self, from_address: str, configuration_set: str) -> None:
        self._from = from_address
        self._configuration_set = configuration_set

    def send(self, to: str, subject: str, body: str, unsubscribe: str = "") -> None:
        headers = {"X-Correlation-Id": correlation.current().correlation_id}
        if unsubscribe:  # RFC 8058, which the large mail providers require
            headers |= {"List-Unsubscribe": f"<{unsubscribe}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
        content = {
            "Simple": {
                "Subject": {"Data": subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": body, "Charset": "UTF-8"}},
                "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
            }
        }
        try:
            # One attempt: botocore's retry after a lost answer would send a second mail.
            aws.client("sesv2", attempts=1).send_email(
                FromEmailAddress=self._from,
                Destination={"ToAddresses": [to]},
                Content=content,
                ConfigurationSetName=self._configuration_set,
            )
        except ClientError as error:
            self._raise_for(error)
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise MailNotSent(str(error)) from error
        except BotoCoreError as error:
            raise MailUncertain(str(error)) from error

    def _raise_for(self, error: ClientError) -> None:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        answer = _ADDRESS.sub(lambda found: found[0] if found[0] == self._from else "‹recipient›", f"{code}: {message}")
        if code in _REFUSALS and _NOT_VERIFIED not in message:
            raise MailRefused(answer) from error
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) >= 500:
            raise MailUncertain(answer) from error
        if code not in _BUSY or _QUOTA_USED_UP in message:
            metrics.count("MailsRefused")
            metrics.flush()
        raise MailNotSent(answer) from error

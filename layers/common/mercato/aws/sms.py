"""Text messages through AWS End User Messaging."""

from __future__ import annotations

import re
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from mercato import aws
from mercato.aws.sending import MessageNotSent, MessageRefused, MessageUncertain
from mercato.telemetry import metrics

# https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
_BUSY = "ThrottlingException"
_INVALID = "ValidationException"
_OPTED_OUT = "DESTINATION_PHONE_NUMBER_OPTED_OUT"
# Reasons of errors that concern one number alone. Every other error concerns the whole shop.
_OF_THE_NUMBER = frozenset(
    {
        "COUNTRY_CODE_MISMATCH",
        "COUNTRY_NOT_ENABLED",
        "DESTINATION_COUNTRY_BLOCKED",
        "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION",
        "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE",
        "FIELD_VALIDATION_FAILED",
        "INTERNATIONAL_SENDING_NOT_SUPPORTED",
        "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY",
        "INVALID_PARAMETER",
        "PRICE_OVER_THRESHOLD",
    }
)
_NUMBER = re.compile(r"\+?\d{7,}")  # AWS's message may name the number, and errors end in logs and events


class SmsRefused(MessageRefused):
    """This message will never be sent. The text is AWS's answer without the number."""


class SmsOptedOut(SmsRefused):
    """The number's owner has asked AWS for no more messages, such as by STOP."""


class SmsNotSent(MessageNotSent):
    """The message was certainly not sent; a retry may succeed.

    If an operator has to repair something first (a spend limit, a missing permission, an unknown origination
    identity), the metric `SmsRefused` counts it.
    """


class SmsUncertain(MessageUncertain):
    """No answer came: the message may have been sent."""


class Texter(Protocol):
    def send(self, to: str, body: str) -> None:
        """Returns when AWS has accepted the message. `to` is in E.164 format. Raises SmsRefused, SmsOptedOut,
        SmsNotSent or SmsUncertain.
        """


class EndUserMessaging:
    """`origination` is the phone number, pool or sender id that messages come from, by its id or ARN."""

    def __init__(self, origination: str) -> None:
        self._origination = origination

    def send(self, to: str, body: str) -> None:
        try:
            # One attempt: botocore's retry after a lost answer would send a second message.
            aws.client("pinpoint-sms-voice-v2", attempts=1).send_text_message(
                DestinationPhoneNumber=to,
                OriginationIdentity=self._origination,
                MessageBody=body,
                MessageType="TRANSACTIONAL",
            )
        except ClientError as error:
            _raise_for(error)
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            raise SmsNotSent(str(error)) from error
        except BotoCoreError as error:
            raise SmsUncertain(str(error)) from error


def _raise_for(error: ClientError) -> None:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    reason = str(error.response.get("Reason", ""))
    answer = _NUMBER.sub("‹number›", f"{code}: {reason} {message}".strip())
    if reason == _OPTED_OUT:
        raise SmsOptedOut(answer) from error
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400) >= 500:
        raise SmsUncertain(answer) from error
    if code == _BUSY:
        raise SmsNotSent(answer) from error
    if reason not in _OF_THE_NUMBER:
        metrics.count("SmsRefused")
        metrics.flush()
    if code == _INVALID or reason in _OF_THE_NUMBER:
        raise SmsRefused(answer) from error
    raise SmsNotSent(answer) from error

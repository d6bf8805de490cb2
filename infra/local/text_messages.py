"""AWS End User Messaging as far as the shop uses it: MiniStack has no such service.

It speaks the service's JSON protocol, so that functions call it with boto3 and their own permissions. It keeps messages
instead of sending them; `/_ministack/sms/messages` lists them, as `/_ministack/ses/messages` lists mails. A number that
PutOptedOutNumber has named is refused, as on AWS.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from ministack.core import iam_actions, router

_SERVICE, _TARGET = "sms-voice", "PinpointSMSVoiceV2"
_INSPECTION = "/_ministack/sms/messages"
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_Answer = tuple[int, dict[str, str], bytes]
_Inspect = Callable[..., Coroutine[Any, Any, _Answer | None]]


@dataclass
class EndUserMessaging:
    messages: list[dict[str, str]] = field(default_factory=list)
    opted_out: set[str] = field(default_factory=set)

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> _Answer:
        del method, path, query
        asked, action = json.loads(body or b"{}"), headers.get("x-amz-target", "").partition(".")[2]
        if action == "SendTextMessage":
            return self._send(asked)
        if action == "PutOptedOutNumber":
            self.opted_out.add(asked["OptedOutNumber"])
            return _reply(200, {"OptedOutNumber": asked["OptedOutNumber"], "EndUserOptedOut": False})
        return _refusal("ValidationException", "UNKNOWN_OPERATION", f"the local cloud does not know {action}")

    def _send(self, asked: dict[str, Any]) -> _Answer:
        to = asked["DestinationPhoneNumber"]
        if not _NUMBER.fullmatch(to):
            return _refusal("ValidationException", "INVALID_PARAMETER", "The destination phone number is not valid")
        if to in self.opted_out:
            return _refusal("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT", "The number has opted out")
        found = {"MessageId": str(uuid.uuid4()), "To": to, "From": asked["OriginationIdentity"]}
        self.messages.append(found | {"Body": asked["MessageBody"]})
        return _reply(200, {"MessageId": found["MessageId"]})


def listing(inspect: _Inspect, service: EndUserMessaging) -> _Inspect:
    """Lists the text messages beside the mails that MiniStack lists itself."""

    async def answer(method: str, path: str, *about: Any) -> _Answer | None:
        if (method, path) == ("GET", _INSPECTION):
            return _reply(200, {"messages": service.messages})
        return await inspect(method, path, *about)

    return answer


def add_to(app: Any) -> None:
    """Adds the service to MiniStack's routing, and its actions to those that need a permission."""
    service = EndUserMessaging()
    app.SERVICE_HANDLERS[_SERVICE] = service.answer
    router.SERVICE_PATTERNS[_SERVICE] = {"target_prefixes": [_TARGET], "host_patterns": [r"sms-voice\."]}
    iam_actions.SERVICE_TO_IAM_NAMESPACE[_SERVICE] = _SERVICE
    app._handle_ses_messages_request = listing(app._handle_ses_messages_request, service)


def _reply(status: int, body: dict[str, Any]) -> _Answer:
    return status, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(body).encode()


def _refusal(kind: str, reason: str, message: str) -> _Answer:
    return _reply(400, {"__type": kind, "Reason": reason, "Message": message})

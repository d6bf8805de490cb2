"""What SES reports of mails that were sent: bounces and complaints, as EventBridge delivers them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from mercato.events import Reads
from notifications.stops import Reason, Stop

# https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
_FOR_GOOD = "Permanent"  # not Transient, such as a full mailbox, nor Undetermined
_NO_COMPLAINT = "not-spam"  # the reader says that a mail which was taken for spam is none


class _Mail(Reads):
    """The shop sends each mail to one address. A mail that was forwarded may bounce at another one."""

    destination: list[str] = Field(min_length=1)


class _Bounce(Reads):
    bounce_type: str = Field(alias="bounceType")
    bounce_sub_type: str = Field("", alias="bounceSubType")
    timestamp: datetime


class _Complaint(Reads):
    feedback_type: str | None = Field(None, alias="complaintFeedbackType")
    timestamp: datetime


class Bounced(Reads):
    bounce: _Bounce
    mail: _Mail

    def stops(self) -> list[Stop]:
        if self.bounce.bounce_type != _FOR_GOOD:
            return []
        about: Any = (Reason.BOUNCE, self.bounce.bounce_sub_type, self.bounce.timestamp)
        return [Stop(email, *about) for email in self.mail.destination]


class Complained(Reads):
    complaint: _Complaint
    mail: _Mail

    def stops(self) -> list[Stop]:
        if self.complaint.feedback_type == _NO_COMPLAINT:
            return []
        about: Any = (Reason.COMPLAINT, self.complaint.feedback_type or "", self.complaint.timestamp)
        return [Stop(email, *about) for email in self.mail.destination]

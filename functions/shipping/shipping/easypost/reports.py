"""What EasyPost reports of a parcel: its tracker, by signed webhook or when it is asked."""

import hashlib
import hmac
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from mercato.dataclass import dataclass
from mercato.webhooks import InvalidSignature
from shipping.domain import Progress, Status

# EasyPost's statuses (docs.easypost.com/docs/trackers) and the stops of a parcel. unknown, pre_transit and error say
# nothing of the parcel's way. A label that was cancelled in EasyPost's dashboard brings no parcel.
_STOPS = {
    "in_transit": Status.IN_TRANSIT,
    "out_for_delivery": Status.IN_TRANSIT,
    "available_for_pickup": Status.IN_TRANSIT,
    "delivered": Status.DELIVERED,
    "return_to_sender": Status.FAILED,
    "failure": Status.FAILED,
    "cancelled": Status.FAILED,
}
HAS_LEFT = frozenset(_STOPS) - {"cancelled"}
_REASONS = {
    "return_to_sender": "the parcel comes back to the sender",
    "failure": "the carrier could not deliver the parcel",
    "cancelled": "the label was cancelled at EasyPost",
}
_MOST_REASON = 500
NAME = "easypost"
_SCHEME = "hmac-sha256-hex="


_LENIENT = ConfigDict(frozen=True, extra="ignore", defer_build=True)  # EasyPost adds fields as it likes


class Tracker(BaseModel):
    """`status` is one of docs.easypost.com/docs/trackers, and text, since EasyPost may add one."""

    model_config = _LENIENT

    status: str = "unknown"
    status_detail: str | None = None
    tracking_code: str | None = None
    carrier: str | None = None
    public_url: str | None = None


class TrackerNews(BaseModel):
    """The object of an event. Events of other objects are ignored."""

    model_config = _LENIENT

    object: Any = None
    status: Any = None
    status_detail: Any = None
    tracking_code: Any = None
    shipment_id: Any = None


class EasyPostEvent(BaseModel):
    model_config = _LENIENT

    id: Annotated[str, Field(min_length=1, max_length=200)]
    description: str
    result: TrackerNews


@dataclass(frozen=True)
class ParcelNews:
    """A tracker of the carrier's parcel `parcel_id`."""

    parcel_id: str
    tracker: Tracker


def verify(secret: str, headers: Mapping[str, str], body: bytes) -> None:
    """X-Hmac-Signature: hmac-sha256-hex=<HMAC of the raw body>, with the secret in Unicode's form NFKD, as EasyPost's
    own libraries check it. It signs no time, so a replay passes, and must change nothing. Raises InvalidSignature.
    """
    key = unicodedata.normalize("NFKD", secret).encode()
    expected = _SCHEME + hmac.new(key, body, hashlib.sha256).hexdigest()
    told = headers.get("x-hmac-signature", "").strip().lower().encode()
    if not (secret and hmac.compare_digest(expected.encode(), told)):
        raise InvalidSignature("The webhook's signature is not valid.")


def news_of(event: EasyPostEvent) -> ParcelNews | None:
    """None for events about anything but the tracker of a parcel that was made here."""
    found = event.result
    if event.description.partition(".")[0] != "tracker" or found.object != "Tracker":
        return None
    if not (isinstance(found.shipment_id, str) and found.shipment_id and isinstance(found.status, str)):
        return None
    code, detail = found.tracking_code, found.status_detail
    tracker = Tracker(
        status=found.status,
        status_detail=detail if isinstance(detail, str) else None,
        tracking_code=code if isinstance(code, str) else None,
    )
    return ParcelNews(found.shipment_id, tracker)


def progress_of(shipment_id: str, tracker: Tracker) -> Progress | None:
    """None for a status that moves no parcel."""
    stop = _STOPS.get(tracker.status)
    if stop is None:
        return None
    reason = _REASONS.get(tracker.status)
    if reason and tracker.status_detail not in (None, "", "status_update", "unknown"):
        reason = f"{reason} ({tracker.status_detail})"[:_MOST_REASON]
    return Progress(shipment_id, stop, tracker.tracking_code or "", reason)

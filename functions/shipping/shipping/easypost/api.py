"""EasyPost's API of shipments (docs.easypost.com), in the parts that the shop uses.

| EasyPost answers                                   | the call raises                                              |
|----------------------------------------------------|--------------------------------------------------------------|
| 401, 403: our key is wrong                         | CarrierUnavailable, and the key is read again                |
| 402: the account's balance is used up              | CarrierUnavailable                                           |
| 429: too many requests                             | CarrierUnavailable with its Retry-After                      |
| 5xx, no answer, an answer that cannot be read      | CarrierTimeout: it may have been done                        |
| 400, 404, 422 and the rest                         | Refused with EasyPost's code, such as ADDRESS.VERIFY.FAILURE |
| the same for the look at a parcel that it has made | NotShown: nothing is known of the parcel, now or for good    |

What is raised ends in logs, so it names the fields of an answer and not their values, which may be a person's address.
A Refused has EasyPost's message, for the shop's staff alone.
"""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.peers.transport import Answer, NoAnswer, NotSent, Sender
from shipping.easypost.reports import Tracker

API = "https://api.easypost.com"
# Seconds. A label takes as long as its carrier does; what takes longer is found by the next attempt.
_CREATE, _BUY, _READ = 5.0, 8.0, 3.0
_LENIENT = ConfigDict(frozen=True, extra="ignore", defer_build=True)  # EasyPost adds fields as it likes
_MOST_WAIT = 300.0


class CarrierTimeout(TransientError):
    """No answer came. The call may have succeeded; the parcel's state shows it."""


class NotShown(CarrierTimeout):
    """EasyPost refuses to show a parcel that it has made: for a moment, or for good."""


class CarrierUnavailable(TransientError):
    """The carrier's system takes no calls of ours now. Nothing was done."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Refused(Exception):
    """EasyPost refuses this request, and would refuse it again. `code` is EasyPost's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Rate(BaseModel):
    model_config = _LENIENT

    id: str
    carrier: str
    service: str


class PostageLabel(BaseModel):
    model_config = _LENIENT

    label_url: Annotated[str, Field(pattern="^https://")]


class Message(BaseModel):
    """Why a carrier offers no rate."""

    model_config = _LENIENT

    carrier: str = ""
    message: Any = ""


class Place(BaseModel):
    model_config = _LENIENT

    country: str | None = None


class Parcel(BaseModel):
    """A Shipment of EasyPost's. It costs nothing until its label is bought."""

    model_config = _LENIENT

    id: str
    from_address: Place = Place()
    to_address: Place = Place()
    tracking_code: str | None = None
    refund_status: str | None = None
    selected_rate: Rate | None = None
    postage_label: PostageLabel | None = None
    tracker: Tracker | None = None
    rates: list[Rate] = []
    messages: list[Message] = []


class _Rates(BaseModel):
    model_config = _LENIENT

    rates: list[Rate]


class _Error(BaseModel):
    model_config = _LENIENT

    code: Any = ""
    message: Any = ""
    errors: list[Any] | None = None


class _Problem(BaseModel):
    model_config = _LENIENT

    error: _Error | str


class EasyPostApi:
    """`read_key` returns the API key. `forget_key` is called if EasyPost refuses it."""

    def __init__(self, read_key: Callable[[], str], forget_key: Callable[[], None], wire: Sender, api: str) -> None:
        self._read_key = read_key
        self._forget_key = forget_key
        self._wire = wire
        self._api = api

    def create(self, shipment: Mapping[str, Any]) -> Parcel:
        return self._ask(Parcel, "POST", "/v2/shipments", _CREATE, {"shipment": shipment})

    def find(self, parcel_id: str) -> Parcel:
        try:
            return self._ask(Parcel, "GET", f"/v2/shipments/{parcel_id}", _READ)
        except Refused as refused:
            raise NotShown(f"EasyPost does not show {parcel_id}: {refused.code}") from None

    def rate_again(self, parcel_id: str) -> list[Rate]:
        """EasyPost's offers of another day are not for sale any more."""
        try:
            return self._ask(_Rates, "POST", f"/v2/shipments/{parcel_id}/rerate", _CREATE, {}).rates
        except Refused as refused:
            raise NotShown(f"EasyPost does not rate {parcel_id} again: {refused.code}") from None

    def buy(self, parcel_id: str, rate_id: str) -> Parcel:
        return self._ask(Parcel, "POST", f"/v2/shipments/{parcel_id}/buy", _BUY, {"rate": {"id": rate_id}})

    def refund(self, parcel_id: str) -> Parcel:
        """Asks the carrier to void the label and to give its price back."""
        return self._ask(Parcel, "POST", f"/v2/shipments/{parcel_id}/refund", _CREATE, {})

    def _ask[M: BaseModel](
        self, model: type[M], method: str, path: str, seconds: float, body: Mapping[str, Any] | None = None
    ) -> M:
        headers = {
            "Authorization": "Basic " + base64.b64encode(f"{self._read_key()}:".encode()).decode(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        content = json.dumps(body).encode() if body is not None else b""
        timeout = deadline.within(seconds)
        try:
            answer = self._wire.send(method, self._api + path, body=content, headers=headers, timeout=timeout)
        except NotSent as error:
            raise CarrierUnavailable(f"EasyPost cannot be reached: {error}") from error
        except NoAnswer as error:
            raise CarrierTimeout(f"EasyPost gives no answer: {error}") from error
        if not 200 <= answer.status < 300:
            self._raise_for(answer)
        try:
            return model.model_validate_json(answer.body)
        except ValidationError as error:
            fields = [".".join(str(part) for part in found["loc"]) for found in error.errors(include_input=False)]
            raise CarrierTimeout(f"EasyPost's answer to {method} {path} cannot be read: {fields}") from None

    def _raise_for(self, answer: Answer) -> None:
        code, message = _read_problem(answer.body)
        what = f"{answer.status} {code}".strip()
        if answer.status in (401, 403):
            self._forget_key()
            raise CarrierUnavailable(f"EasyPost refuses our key; see EasyPostKey in Secrets Manager: {what}")
        if answer.status == 402:
            raise CarrierUnavailable(f"EasyPost sells no labels to this account; see its balance: {what}")
        if answer.status == 429:
            raise CarrierUnavailable(f"EasyPost takes no more requests now: {what}", _wait_of(answer))
        if answer.status >= 500:
            raise CarrierTimeout(f"EasyPost fails: {what}")
        raise Refused(code, message or what)


def _wait_of(answer: Answer) -> float | None:
    told = answer.headers.get("retry-after", "")
    return min(float(told), _MOST_WAIT) if told.isdecimal() else None


def _read_problem(body: bytes) -> tuple[str, str]:
    """The code, and the message with the breakdown by fields, which comes as objects or as texts."""
    try:
        found = _Problem.model_validate_json(body).error
    except ValidationError:
        return "", ""
    if isinstance(found, str):
        return "", found
    parts = [str(found.message)] + [_text_of(one) for one in found.errors or []]
    return str(found.code), "; ".join(dict.fromkeys(part for part in parts if part))


def _text_of(detail: Any) -> str:
    return str(detail.get("message") or "") if isinstance(detail, dict) else str(detail)

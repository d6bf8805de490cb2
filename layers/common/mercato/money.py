"""Money is an integer of minor units and an ISO 4217 code, never a float."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from mercato.errors import Invalid

# Minor units per major unit, as a power of ten, where it is not two: ISO 4217, list one.
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE, _FOUR = "BHD IQD JOD KWD LYD OMR TND", "CLF UYW"
_EXPONENTS = {code: exponent for exponent, codes in ((0, _NONE), (3, _THREE), (4, _FOUR)) for code in codes.split()}
MAX_AMOUNT = 10**12

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["GBP"])]


class CurrencyMismatch(ValueError):
    """A sum of amounts in different currencies."""


class InvalidAmount(ValueError):
    """A text is not an amount of its currency; the message says why."""


class AmountTooLarge(Invalid):
    """A sum is larger than the largest amount of money."""


class Money(BaseModel):
    """An amount in minor units (pence, cents) of one currency."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    amount: Annotated[StrictInt, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT, examples=[1250])]
    currency: Currency

    @classmethod
    def zero(cls, currency: str) -> Self:
        return cls(amount=0, currency=currency)

    @classmethod
    def parse(cls, text: str, currency: str) -> Self:
        """Reads decimal text in major units: "2.55" GBP is 255. Refuses more decimals than the currency has."""
        match = re.fullmatch(r"-?[0-9]{1,15}(?:\.([0-9]{1,15}))?", text)
        if not match:
            raise InvalidAmount(f"{text[:20]!r} is not an amount, such as 2.55")
        exponent = _EXPONENTS.get(currency, 2)
        if len(match[1] or "") > exponent:
            raise InvalidAmount(f"{text} has more than the {exponent} decimals of {currency}")
        amount = int(Decimal(text).scaleb(exponent))
        if abs(amount) > MAX_AMOUNT:
            raise InvalidAmount(f"{text} {currency} is too large")
        return cls(amount=amount, currency=currency)

    @classmethod
    def sum(cls, amounts: Iterable[Money], currency: str) -> Money:
        total = cls.zero(currency)
        for amount in amounts:
            total += amount
        return total

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return self._with(self.amount + other.amount)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return self._with(self.amount - other.amount)

    def __mul__(self, count: int) -> Money:
        return self._with(self.amount * count)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount <= other.amount

    def __str__(self) -> str:
        exponent = _EXPONENTS.get(self.currency, 2)
        if exponent == 0:
            return f"{self.amount} {self.currency}"
        sign, digits = ("-" if self.amount < 0 else ""), str(abs(self.amount)).rjust(exponent + 1, "0")
        return f"{sign}{digits[:-exponent]}.{digits[-exponent:]} {self.currency}"

    def _with(self, amount: int) -> Money:
        if isinstance(amount, int) and abs(amount) > MAX_AMOUNT:
            raise AmountTooLarge(f"{amount} is more than an amount may be.", limit=MAX_AMOUNT)
        return Money(amount=amount, currency=self.currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"cannot combine {self.currency} with {other.currency}")

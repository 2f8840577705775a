"""``prices.toml``: a currency, the day the table was put together, and one price a meter with its source."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.domain.errors import DomainError
from shared.domain.prices import Meter, Price, PriceTable


class _Price(BaseModel):
    model_config = ConfigDict(extra="forbid")

    meter: Meter
    amount: Decimal = Field(ge=0)
    per: int = Field(ge=1)
    source: str = Field(min_length=1)
    as_of: date


class _PriceFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    as_of: date
    price: list[_Price] = []


def read_price_file(content: bytes) -> PriceTable:
    """The table in a file.

    Raises:
        DomainError: It is no TOML, or a price is incomplete or given twice (code ``prices_invalid``).
    """
    try:
        file = _PriceFile.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        first = error.errors()[0]
        raise _invalid(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    except ValueError as error:
        raise _invalid(str(error)) from error
    prices = {price.meter: Price(**price.model_dump()) for price in file.price}
    if len(prices) < len(file.price):
        raise _invalid("a meter has two prices")
    return PriceTable(currency=file.currency, as_of=file.as_of, prices=prices)


def _invalid(why: str) -> DomainError:
    return DomainError(f"prices.toml: {why}", code="prices_invalid")

"""``trust.toml``: bins, thresholds and expiries of the index, in one file that key holders and the service share."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from shared.domain.errors import DomainError
from shared.trust.policy import Expiries, TrustPolicy

_DURATION = re.compile(r"([1-9][0-9]{0,4})([hd])")
_HOURS = {"h": 1, "d": 24}


class PolicyInvalid(DomainError):
    """The file cannot be used; the message names every field at fault."""

    code = "trust_policy_invalid"


def read_duration(text: object) -> timedelta:
    """``36h`` or ``90d`` as a duration.

    Raises:
        ValueError: It is neither.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('give hours or days, such as "36h" or "90d"')
    return timedelta(hours=int(match[1]) * _HOURS[match[2]])


type _Duration = Annotated[timedelta, BeforeValidator(read_duration)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Owned(_Part):
    threshold: int | None = None
    expires: _Duration | None = None


class _Online(_Part):
    expires: _Duration | None = None


class _File(_Part):
    bins: int = TrustPolicy().bins
    refresh_every: _Duration = Expiries().refresh_every
    root: _Owned = _Owned()
    targets: _Owned = _Owned()
    bin: _Online = _Online()
    snapshot: _Online = _Online()
    timestamp: _Online = _Online()


def read_trust_policy(content: bytes) -> TrustPolicy:
    """The policy in a ``trust.toml``; what it leaves out has the defaults of ``TrustPolicy``.

    Raises:
        PolicyInvalid: It is no TOML, or fields are unknown or out of bounds.
    """
    try:
        return _to_policy(_File.model_validate(tomllib.loads(content.decode())))
    except ValidationError as error:
        raise PolicyInvalid("trust.toml: " + "; ".join(_complaint(problem) for problem in error.errors())) from error
    except ValueError as error:
        raise PolicyInvalid(f"trust.toml: {error}") from error


def _to_policy(file: _File) -> TrustPolicy:
    default = TrustPolicy()
    parts: dict[str, _Owned | _Online] = {"root": file.root, "targets": file.targets, "bins": file.bin}
    parts |= {"snapshot": file.snapshot, "timestamp": file.timestamp}
    given = {role: part.expires for role, part in parts.items() if part.expires is not None}
    return TrustPolicy(
        bins=file.bins,
        root_threshold=default.root_threshold if file.root.threshold is None else file.root.threshold,
        targets_threshold=default.targets_threshold if file.targets.threshold is None else file.targets.threshold,
        expiries=Expiries(refresh_every=file.refresh_every, **given),
    )


def _complaint(problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"])
    return f"{field}: {problem['msg'].removeprefix('Value error, ')}"

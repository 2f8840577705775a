"""Access keys of the function app: made once, kept in a file, compared in constant time."""

import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path


class AuthLevel(StrEnum):
    ANONYMOUS = "anonymous"
    FUNCTION = "function"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionKeys:
    """The keys of one app.

    Attributes:
        master: opens everything, the admin API included.
        host: opens every function of level `function`.
        event_grid: the `eventgrid_extension` system key, opens the Event Grid webhook.
    """

    master: str
    host: str
    event_grid: str

    def admits(self, level: AuthLevel, key: str | None) -> bool:
        """Whether `key` may call something of this level."""
        accepted = {
            AuthLevel.ANONYMOUS: (),
            AuthLevel.FUNCTION: (self.host, self.master),
            AuthLevel.ADMIN: (self.master,),
        }[level]
        return level is AuthLevel.ANONYMOUS or _is_one_of(key, accepted)

    def admits_event_grid(self, key: str | None) -> bool:
        return _is_one_of(key, (self.event_grid, self.master))


def _is_one_of(key: str | None, accepted: tuple[str, ...]) -> bool:
    given = (key or "").encode()
    return any(hmac.compare_digest(given, each.encode()) for each in accepted)


def load_or_make_keys(path: Path) -> FunctionKeys:
    """Read the keys from `path`; make and write them (mode 0600) when it does not exist."""
    if path.exists():
        return FunctionKeys(**json.loads(path.read_text(encoding="utf-8")))
    keys = FunctionKeys(
        master=secrets.token_urlsafe(40), host=secrets.token_urlsafe(40), event_grid=secrets.token_urlsafe(40)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(keys)), encoding="utf-8")
    return keys

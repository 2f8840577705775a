"""The issuer's public keys over HTTP, kept for a while and fetched again when a token names one that is not known."""

from __future__ import annotations

import json
import logging
import time
import urllib.request
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from shared.ports.errors import Unavailable
from shared.trust.tokens import TokenKey, read_token_keys

log = logging.getLogger(__name__)

FRESH_S = 3_600.0
"""A key that the issuer took back is believed no longer than this, as long as the issuer answers."""

KEPT_S = 86_400.0
"""While the issuer does not answer, the keys known last serve this long."""

AGAIN_S = 10.0
"""Unknown key ids make the keys be fetched this often at most: anybody can send tokens with ids made up."""

_TIMEOUT_S = 5.0
_MAX_BYTES = 262_144


class JwksKeys:
    """``TokenKeys`` from a JSON Web Key Set; one instance serves all threads of a process.

    Args:
        uri: Where the set is.
        fetch: Gets the document of a URI; may raise OSError or ValueError.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        uri: str,
        *,
        fetch: Callable[[str], Mapping[str, Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = uri
        self._fetch = fetch or _fetch
        self._clock = clock
        self._lock = Lock()
        self._keys: Mapping[str, TokenKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def find(self, key_id: str) -> TokenKey | None:
        with self._lock:
            if (key_id not in self._keys or not self._younger(FRESH_S)) and self._may_try():
                self._refresh()
            if not self._younger(KEPT_S):
                raise Unavailable("the keys of the token issuer cannot be had")
            return self._keys.get(key_id)

    def _may_try(self) -> bool:
        return self._tried_at is None or self._clock() - self._tried_at >= AGAIN_S

    def _younger(self, age_s: float) -> bool:
        return self._fetched_at is not None and self._clock() - self._fetched_at < age_s

    def _refresh(self) -> None:
        self._tried_at = self._clock()
        try:
            keys = read_token_keys(self._fetch(self._uri))
        except (OSError, ValueError) as error:
            log.warning("the keys of the token issuer cannot be fetched: %s", error)
            return
        if not keys:
            log.warning("the token issuer names no usable key")
            return
        self._keys, self._fetched_at = keys, self._tried_at


def _fetch(uri: str) -> Mapping[str, Any]:
    with urllib.request.urlopen(uri, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the settings allow https only
        document = json.loads(answer.read(_MAX_BYTES))
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return document

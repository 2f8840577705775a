"""Waits for the local cloud to say that a blob event was queued, instead of polling storage."""

import asyncio
import logging

import aiohttp

log = logging.getLogger("host.blob")
_LONG_POLL_S = 20
_OUTAGE_PAUSE_S = 0.5


class BlobSignal:
    """A counter in the local cloud that rises with every queued blob event.

    Args:
        control_url: the local cloud's control API.
    """

    def __init__(self, control_url: str) -> None:
        self._url = f"{control_url}/signals/blob-events"
        self._seen = 0
        self._http = aiohttp.ClientSession()

    async def wait(self) -> None:
        """Return when there may be new events, at the latest after 20 seconds."""
        query = {"after": self._seen, "wait": _LONG_POLL_S}
        try:
            async with self._http.get(self._url, params=query) as answer:
                self._seen = int((await answer.json())["count"])
        except (aiohttp.ClientError, OSError) as error:
            log.warning("no signal: %s", error)
            await asyncio.sleep(_OUTAGE_PAUSE_S)

    async def close(self) -> None:
        await self._http.close()

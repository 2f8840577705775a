"""Metadata files served to a TUF client without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface


class FilesFetcher(FetcherInterface):
    """Serves what a mapping of file names holds."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = url.rpartition("/")[2]
        if name not in self._files:
            raise DownloadHTTPError(f"no {name}", 404)
        return iter([self._files[name]])

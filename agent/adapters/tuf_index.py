"""The index through ``tuf.ngclient``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
from tuf.api.exceptions import DownloadError, DownloadHTTPError, ExpiredMetadataError, RepositoryError
from tuf.api.metadata import Metadata, Targets
from tuf.ngclient import FetcherInterface, Updater

from agent.decisions import IndexView
from agent.index_records import IndexRecordRefused, read_package
from agent.ports import IndexRefused, IndexUnavailable
from shared.trust.authorities import Authorities, AuthoritiesUnreadable, read_authorities

_PIECE_BYTES = 1 << 16


class RequestsFetcher(FetcherInterface):
    """Fetches metadata over the agent's own HTTP session, so that it trusts the same authorities."""

    def __init__(self, http: requests.Session, timeout_s: float) -> None:
        self._http = http
        self._timeout_s = timeout_s

    def _fetch(self, url: str) -> Iterator[bytes]:
        response = self._http.get(url, stream=True, timeout=self._timeout_s)
        if response.status_code >= 400:
            response.close()
            raise DownloadHTTPError(f"{url} answered {response.status_code}", response.status_code)
        return self._pieces(response)

    @staticmethod
    def _pieces(response: requests.Response) -> Iterator[bytes]:
        with response:
            yield from response.iter_content(_PIECE_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class TufIndex:
    """Implements ``agent.ports.IndexClient``.

    Attributes:
        folder: Where verified metadata is kept, so that an older index is recognised after a restart.
        base_url: Of the metadata.
        root: The root metadata the agent was born with.
    """

    folder: Path
    base_url: str
    root: bytes
    http: requests.Session
    timeout_s: float = 30.0

    def look_up(self, path: str) -> IndexView:
        """The refreshed, verified index's word on a package.

        Raises:
            IndexUnavailable: Something could not be fetched, or has expired.
            IndexRefused: Something must not be believed.
        """
        try:
            return self._look_up(path)
        except (DownloadError, requests.RequestException) as error:
            raise IndexUnavailable(f"the index cannot be fetched: {error}") from error
        except ExpiredMetadataError as error:
            # A late refresh, or a clock not yet set, mends itself; nothing expired is believed meanwhile.
            raise IndexUnavailable(f"the index has expired, or this clock is wrong: {error}") from error
        except RepositoryError as error:
            raise IndexRefused(f"the index must not be believed: {type(error).__name__}: {error}") from error
        except (IndexRecordRefused, AuthoritiesUnreadable) as error:
            raise IndexRefused(error.message) from error

    def _look_up(self, path: str) -> IndexView:
        self.folder.mkdir(parents=True, exist_ok=True)
        fetcher = RequestsFetcher(self.http, self.timeout_s)
        updater = Updater(str(self.folder), self.base_url, fetcher=fetcher, bootstrap=self.root)
        updater.refresh()
        target = updater.get_targetinfo(path)
        return IndexView(
            authorities=self._authorities(),
            package=read_package(target) if target is not None else None,
        )

    def _authorities(self) -> Authorities:
        # Read from the targets role alone, just verified and kept: get_targetinfo would also believe a bin, whose key
        # is online and must not be able to name anybody.
        return read_authorities(Metadata[Targets].from_file(str(self.folder / "targets.json")).signed)

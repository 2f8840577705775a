"""The index through ``tuf.ngclient``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import requests
from tuf.api.exceptions import DownloadError, ExpiredMetadataError, RepositoryError
from tuf.api.metadata import Metadata, Targets
from urllib3.exceptions import HTTPError

from agent.adapters.index_updater import SLOWEST_FILE_S, IndexPaused, ReferenceUpdater, RequestsFetcher
from agent.adapters.reference_time import ReferenceTime
from agent.decisions import IndexView
from agent.exchange import read_retry_after
from agent.fetching import LONGEST_PAUSE_S
from agent.index_records import IndexRecordRefused, read_package
from agent.ports import IndexRefused, IndexUnavailable
from shared.trust.authorities import Authorities, AuthoritiesUnreadable, read_authorities


@dataclass(frozen=True, slots=True, kw_only=True)
class TufIndex:
    """Implements ``agent.ports.IndexClient``.

    Attributes:
        folder: Where verified metadata is kept, so that an older index is recognised after a restart.
        base_url: Of the metadata.
        root: The root metadata the agent was born with.
        time: What expiry is judged by.
        slowest_s: The longest that one file may take.
    """

    folder: Path
    base_url: str
    root: bytes
    http: requests.Session
    time: ReferenceTime
    timeout_s: float = 30.0
    slowest_s: float = SLOWEST_FILE_S

    def look_up(self, path: str) -> IndexView:
        """The refreshed, verified index's word on a package.

        Raises:
            IndexUnavailable: Something could not be fetched, or has expired.
            IndexRefused: Something must not be believed.
        """
        try:
            return self._look_up(path)
        except IndexPaused as error:
            raise IndexUnavailable(f"the index cannot be fetched: {error}", self._pause_s(error)) from error
        except (DownloadError, requests.RequestException, HTTPError) as error:
            raise IndexUnavailable(f"the index cannot be fetched: {error}") from error
        except ExpiredMetadataError as error:
            # A late refresh, or a clock not yet set, mends itself; nothing expired is believed meanwhile.
            raise IndexUnavailable(f"the index has expired, or this clock is wrong: {error}") from error
        except RepositoryError as error:
            raise IndexRefused(f"the index must not be believed: {type(error).__name__}: {error}") from error
        except (IndexRecordRefused, AuthoritiesUnreadable) as error:
            raise IndexRefused(error.message) from error

    def _look_up(self, path: str) -> IndexView:
        updater = self.make_updater()
        updater.refresh()
        target = updater.get_targetinfo(path)
        return IndexView(
            authorities=self._authorities(),
            package=read_package(target) if target is not None else None,
        )

    def make_updater(self) -> ReferenceUpdater:
        """A TUF client over the folder, judged by reference time.

        Raises:
            OSError, RepositoryError: As ``tuf.ngclient.Updater``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        fetcher = RequestsFetcher(self.http, self.timeout_s, self.slowest_s)
        return ReferenceUpdater(self.folder, self.base_url, fetcher=fetcher, root=self.root, time_=self.time)

    def _pause_s(self, error: IndexPaused) -> float:
        if error.retry_after is None:
            return 0.0
        return min(read_retry_after(error.retry_after, now=self.time.now()), LONGEST_PAUSE_S)

    def _authorities(self) -> Authorities:
        # Read from the targets role alone, just verified and kept: get_targetinfo would also believe a bin, whose key
        # is online and must not be able to name anybody.
        return read_authorities(Metadata[Targets].from_file(str(self.folder / "targets.json")).signed)

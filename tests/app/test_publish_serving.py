"""Serving the index's metadata to any TUF client."""

from __future__ import annotations

import gzip

import pytest

from shared.domain.errors import NotFound
from shared.handlers.serve_repository import serve_repository
from tests.support.repository import Repository


@pytest.mark.parametrize("name", ["1.root.json", "1.snapshot.json", "1.targets.json", "1.bin-0.json"])
def test_versioned_files_never_change_and_may_be_kept(name: str) -> None:
    store = Repository().store
    served = serve_repository(name, store)
    assert served.content == store.files[name].value
    assert "immutable" in served.cache_control


def test_timestamp_is_asked_for_again_soon() -> None:
    served = serve_repository("timestamp.json", Repository().store)
    assert "max-age=5" in served.cache_control
    assert served.is_known(served.etag)
    assert served.is_known(f'"other", W/{served.etag}')
    assert not served.is_known('"other"')


@pytest.mark.parametrize(
    "name", ["", "root.json", "2.root.json", "0.root.json", "../packages/x", "1.bin-zz.json", "1.root.json/", "x.pem"]
)
def test_everything_else_is_not_found(name: str) -> None:
    with pytest.raises(NotFound):
        serve_repository(name, Repository().store)


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.5", "GZIP"])
def test_large_files_are_compressed_for_those_who_accept_it(accepted: str) -> None:
    plain = serve_repository("1.targets.json", Repository(bins=64).store)
    served = plain.encoded_for(accepted)
    assert served.encoding == "gzip"
    assert gzip.decompress(served.content) == plain.content
    assert len(served.content) < len(plain.content) / 4
    assert served.etag != plain.etag
    assert served.is_known(served.etag)
    assert not served.is_known(plain.etag)
    assert plain.encoded_for(accepted) == served


@pytest.mark.parametrize("accepted", ["", "br", "identity", "gzip;q=0", "gzip; q=0.0"])
def test_nobody_else_gets_them_compressed(accepted: str) -> None:
    plain = serve_repository("1.targets.json", Repository(bins=64).store)
    assert plain.encoded_for(accepted) == plain


def test_small_files_stay_as_they_are() -> None:
    plain = serve_repository("timestamp.json", Repository().store)
    assert plain.encoded_for("gzip") == plain

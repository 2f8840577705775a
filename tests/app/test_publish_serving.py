"""Serving the index's metadata to any TUF client."""

from __future__ import annotations

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

"""The composition root: what is missing delays work and loses none."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.domain.ids import CampaignId, DeviceId
from shared.domain.waves import DeviceBatch
from shared.ports.errors import Unavailable
from shared.settings import read_settings
from shared.wire.messages import BatchPurpose, BatchWork
from shared.wiring.service import Service
from tests.support.settings import complete_environment

BATCH = DeviceBatch(wave=1, shard=0, number=0, first=DeviceId("a"), last=DeviceId("b"), count=2)
WORK = BatchWork(campaign=CampaignId("spring"), batch=BATCH, purpose=BatchPurpose.OFFER, step=1)


def test_work_waits_for_a_signing_key_that_is_not_there(tmp_path: Path) -> None:
    service = Service(read_settings(complete_environment() | {"KEYS_URI": f"file:{tmp_path}"}))

    with pytest.raises(Unavailable, match=r"intents\.pem"):
        service.dispatch(WORK)

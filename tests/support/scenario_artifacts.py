"""What a scenario does with artifacts: drop them, and see what became of them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.storage.blob import BlobServiceClient
from securesystemslib.signer import Signer

from agent.selftest import TELLTALE
from shared.domain.ids import package_name
from shared.domain.packages import Package, PackageKind
from shared.domain.versions import Version
from shared.trust.signature_files import write_signature_file
from tests.support.artifacts import uimage
from tests.support.scenario_tables import Row, Tables
from tests.support.waiting import wait_until

NEW_VERSION = "2.0.0"


def image(name: str, version: str, *, fails_selftest: bool = False, size_bytes: int = 20_000) -> bytes:
    """A firmware image whose content follows from its name and version alone."""
    content = random.Random(f"{name} {version}").randbytes(size_bytes)
    return uimage("image", content + (TELLTALE if fails_selftest else b""))


@dataclass(frozen=True, kw_only=True)
class Artifacts:
    """The artifacts of one scenario, which all make versions of one package.

    Attributes:
        name: The package, and the first folder of each artifact.
    """

    name: str
    blobs: BlobServiceClient
    tables: Tables
    publisher: Signer

    def drop(
        self, content: bytes, version: str = NEW_VERSION, *, file: str = "image", hardware: Sequence[str] = ()
    ) -> str:
        """Upload an artifact and, before it, what its publisher signed; the blob's name."""
        name = f"{self.name}/{version}/{file}"
        self.upload(f"{name}.sig", self.sign(content, version, hardware=hardware))
        self.upload(name, content)
        return name

    def sign(self, content: bytes, version: str, *, hardware: Sequence[str] = ()) -> bytes:
        """The signature file for an artifact."""
        package = Package(
            name=package_name(self.name),
            version=Version(version),
            kind=PackageKind.FIRMWARE,
            length_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            created=datetime.now(UTC),
            compatibility={"hardware": tuple(hardware)} if hardware else {},
        )
        return write_signature_file(package, self.publisher)

    def upload(self, name: str, content: bytes, metadata: dict[str, str] | None = None) -> None:
        """Upload a blob into ``incoming`` as it is."""
        self.blobs.get_blob_client("incoming", name).upload_blob(content, overwrite=True, metadata=metadata)

    def publish(self, version: str = NEW_VERSION, *, hardware: Sequence[str] = (), fails_selftest: bool = False) -> Row:
        """Drop a firmware image; its row, once it is published."""
        self.drop(image(self.name, version, fails_selftest=fails_selftest), version, hardware=hardware)
        return self.wait_for_package(version)

    def packages(self, version: str = NEW_VERSION) -> list[Row]:
        """The package rows of the version."""
        where = "name eq @name and version eq @version and RowKey lt '~'"
        return self.tables.query("packages", where, name=self.name, version=version)

    def wait_for_package(self, version: str = NEW_VERSION, *, state: str = "published") -> Row:
        """The package row of the version, as soon as it is in the state."""

        def in_state() -> list[Row]:
            return [row for row in self.packages(version) if row["state"] == state]

        return wait_until(in_state, timeout_s=20, what=f"{self.name} {version} to be {state}")[0]

    def waiting(self) -> list[str]:
        """What still lies in ``incoming``."""
        listed = self.blobs.get_container_client("incoming").list_blobs(name_starts_with=f"{self.name}/")
        return [blob.name for blob in listed]

    def refusals(self) -> list[dict[str, Any]]:
        """The reasons beside what lies in ``quarantine``."""
        quarantine = self.blobs.get_container_client("quarantine")
        names = [blob.name for blob in quarantine.list_blobs() if blob.name.endswith(".reason.json")]
        notes = [json.loads(quarantine.download_blob(name).readall()) for name in names]
        return [note for note in notes if note["artifact"].startswith(f"{self.name}/")]

    def wait_for_refusal(self) -> dict[str, Any]:
        """The only refusal, as soon as there is one."""
        return wait_until(self.refusals, timeout_s=20, what=f"an artifact of {self.name} in quarantine")[0]

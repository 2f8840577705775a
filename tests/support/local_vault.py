"""The local cloud's vault, with its owner and with the app's identity, through the real SDKs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import KeyClient
from securesystemslib.signer import Key

from emulator.app_environment import app_environment
from emulator.local import LocalCloud
from shared.adapters.key_vault import VaultKeyRing
from shared.trust.signers import KeyRole
from tests.support.cloud import write_config


class LocalVault:
    """A vault. ``owner`` may do everything, the credential what an app may."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.url = cloud.settings["KEY_VAULT_URI"]
        self.owner = KeyClient(
            self.url, ManagedIdentityCredential(client_id=cloud.settings["KEY_OWNER_CLIENT_ID"]), retry_status=0
        )

    def credential(self) -> ManagedIdentityCredential:
        return ManagedIdentityCredential()

    def ring(self) -> VaultKeyRing:
        return VaultKeyRing(self.url, self.credential())

    def new_key(self, role: KeyRole) -> Key:
        """A new version of the role's key; its public part."""
        made = self.owner.create_ec_key(role, curve="P-256")
        for key in self.ring().public_keys(role):
            signer = self.ring().signer(role, [key])
            if self._version(signer) == made.properties.version:
                return key
        raise AssertionError("the vault does not show the key that was just made")

    def disable(self, role: KeyRole) -> None:
        """Disable every version of the role's key."""
        for version in self.owner.list_properties_of_key_versions(role):
            self.owner.update_key_properties(role, version.version, enabled=False)

    def empty(self) -> None:
        for key in list(self.owner.list_properties_of_keys()):
            self.owner.begin_delete_key(key.name).result()

    def signatures(self, role: KeyRole) -> int:
        """How often the vault has signed with the role's key."""
        return int(self.cloud.control.status()["vault"]["signatures"].get(role, 0))

    @staticmethod
    def _version(signer: object) -> str:
        return str(signer._client.key_id).rpartition("/")[2]  # type: ignore[attr-defined]


@contextmanager
def running_vault(folder: Path) -> Iterator[LocalVault]:
    """A local cloud with nothing to do but keep keys."""
    with LocalCloud(config=write_config(folder), state_dir=folder / "state") as cloud, app_environment(cloud.settings):
        yield LocalVault(cloud)

"""The local cloud's vault and managed identity, through the real Key Vault and identity SDKs."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential, ManagedIdentityCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from emulator.app_environment import app_environment
from emulator.identity import TokenIssuer, TokenRefusedError
from emulator.local import LocalCloud
from tests.support.cloud import write_config
from tests.support.local_vault import LocalVault, running_vault

DIGEST = hashlib.sha256(b"payload").digest()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalVault]:
    with running_vault(tmp_path_factory.mktemp("vault")) as vault:
        yield vault


@pytest.fixture
def vault(running: LocalVault) -> LocalVault:
    running.empty()
    running.cloud.control.clear_vault_faults()
    return running


@pytest.fixture
def app(vault: LocalVault) -> KeyClient:
    """What an app gets that asks for nothing but its own identity."""
    return KeyClient(vault.url, DefaultAzureCredential(), retry_status=0)


def refusal(error: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str]:
    assert error.value.error is not None
    inner = error.value.error.innererror or {}
    return error.value.status_code, str(inner.get("code") or error.value.error.code)


@pytest.mark.parametrize(
    ("curve", "algorithm", "digest"),
    [
        ("P-256", SignatureAlgorithm.es256, "sha256"),
        ("P-384", SignatureAlgorithm.es384, "sha384"),
        ("P-521", SignatureAlgorithm.es512, "sha512"),
    ],
)
def test_what_the_vault_signs_the_sdk_verifies(
    vault: LocalVault, app: KeyClient, curve: str, algorithm: SignatureAlgorithm, digest: str
) -> None:
    vault.owner.create_ec_key("a-key", curve=curve)
    hashed = hashlib.new(digest, b"payload").digest()
    client = app.get_cryptography_client("a-key")
    signed = client.sign(algorithm, hashed)
    assert client.verify(algorithm, hashed, signed.signature).is_valid
    assert not client.verify(algorithm, hashlib.new(digest, b"other").digest(), signed.signature).is_valid


def test_rotation_makes_a_version_and_keeps_the_old_one(vault: LocalVault, app: KeyClient) -> None:
    first = vault.owner.create_ec_key("a-key", curve="P-256")
    second = vault.owner.rotate_key("a-key")
    assert app.get_key("a-key").id == second.id
    assert app.get_key("a-key", first.properties.version).id == first.id
    versions = [each.version for each in app.list_properties_of_key_versions("a-key")]
    assert versions == [first.properties.version, second.properties.version]
    assert [each.name for each in app.list_properties_of_keys()] == ["a-key"]


def test_imported_key_signs_as_it_did_outside(vault: LocalVault, app: KeyClient) -> None:
    from azure.keyvault.keys import JsonWebKey  # noqa: PLC0415

    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    public = numbers.public_numbers
    web_key = JsonWebKey(
        kty="EC",
        crv="P-256",
        x=public.x.to_bytes(32),
        y=public.y.to_bytes(32),
        d=numbers.private_value.to_bytes(32),
        key_ops=["sign", "verify"],
    )
    imported = vault.owner.import_key("brought", web_key)
    assert imported.key.x == public.x.to_bytes(32)
    assert imported.key.d is None
    client = CryptographyClient(imported, DefaultAzureCredential())
    assert client.verify(
        SignatureAlgorithm.es256, DIGEST, app.get_cryptography_client("brought").sign("ES256", DIGEST).signature
    ).is_valid


def test_an_app_may_sign_and_not_make_keys(vault: LocalVault, app: KeyClient) -> None:
    vault.owner.create_ec_key("a-key", curve="P-256")
    for forbidden in (
        lambda: app.create_ec_key("a-key"),
        lambda: app.rotate_key("a-key"),
        lambda: app.update_key_properties("a-key", enabled=False),
        lambda: app.begin_delete_key("a-key"),
    ):
        with pytest.raises(HttpResponseError) as error:
            forbidden()
        assert refusal(error) == (403, "ForbiddenByRbac")
    assert app.get_cryptography_client("a-key").sign(SignatureAlgorithm.es256, DIGEST).signature


def test_disabled_key_does_not_sign(vault: LocalVault, app: KeyClient) -> None:
    vault.owner.create_ec_key("a-key", curve="P-256")
    client = app.get_cryptography_client("a-key", retry_status=0)
    client.sign(SignatureAlgorithm.es256, DIGEST)
    vault.owner.update_key_properties("a-key", enabled=False)
    with pytest.raises(HttpResponseError) as error:
        client.sign(SignatureAlgorithm.es256, DIGEST)
    assert refusal(error) == (403, "KeyDisabled")


def test_unknown_keys_and_misfits_are_refused(vault: LocalVault, app: KeyClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        app.get_key("none-such")
    vault.owner.create_ec_key("a-key", curve="P-256")
    with pytest.raises(ResourceNotFoundError):
        app.get_key("a-key", "0" * 32)
    with pytest.raises(HttpResponseError, match="Invalid length"):
        app.get_cryptography_client("a-key").sign(SignatureAlgorithm.es256, b"short")


def test_throttled_vault_says_how_long(vault: LocalVault, app: KeyClient) -> None:
    vault.owner.create_ec_key("a-key", curve="P-256")
    client = app.get_cryptography_client("a-key", retry_status=0)
    client.sign(SignatureAlgorithm.es256, DIGEST)
    vault.cloud.control.set_vault_fault(429, operation="sign", retry_after_s=3)
    with pytest.raises(HttpResponseError) as error:
        client.sign(SignatureAlgorithm.es256, DIGEST)
    assert error.value.status_code == 429
    assert client.sign(SignatureAlgorithm.es256, DIGEST).signature


def test_nobody_gets_a_token_without_the_header(vault: LocalVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    with pytest.raises((CredentialUnavailableError, HttpResponseError, Exception)) as refused:
        ManagedIdentityCredential().get_token("https://vault.example/.default")
    assert "X-IDENTITY-HEADER" in str(refused.value)
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(f"{vault.cloud.settings['IDENTITY_ENDPOINT']}?resource=x")  # noqa: S310
    assert answer.value.code == 401


def test_tokens_of_others_for_others_or_of_the_past_are_refused(tmp_path: Path) -> None:
    issuer, stranger = TokenIssuer(tmp_path / "one.pem"), TokenIssuer(tmp_path / "two.pem")
    assert issuer.verify(issuer.issue("app", "https://vault"), "https://vault")["appid"] == "app"
    for token, audience in (
        (stranger.issue("app", "https://vault"), "https://vault"),
        (issuer.issue("app", "https://other"), "https://vault"),
        (issuer.issue("app", "https://vault", lifetime_s=-1), "https://vault"),
        ("nonsense", "https://vault"),
    ):
        with pytest.raises(TokenRefusedError):
            issuer.verify(token, audience)
    assert (tmp_path / "one.pem").stat().st_mode & 0o777 == 0o600


def test_keys_outlive_a_restart_and_lie_in_a_private_file(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    with LocalCloud(config=config, state_dir=tmp_path / "state") as cloud, app_environment(cloud.settings):
        made = LocalVault(cloud).owner.create_ec_key("a-key", curve="P-256")
    assert (tmp_path / "state/vault.json").stat().st_mode & 0o777 == 0o600
    with LocalCloud(config=config, state_dir=tmp_path / "state") as cloud, app_environment(cloud.settings):
        kept = LocalVault(cloud).owner.get_key("a-key")
    assert (kept.properties.version, kept.key.x) == (made.properties.version, made.key.x)

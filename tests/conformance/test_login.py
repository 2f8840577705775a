"""The local issuer of tokens, as clients that know nothing of it see it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from aiohttp import web

from emulator.addresses import free_port
from emulator.identity import TENANT
from emulator.login import LoginApi, SigningKeys
from emulator.login.api import AUDIENCE

SECRET = "only the cloud knows"


@contextmanager
def issuer(folder: Path) -> Iterator[LoginApi]:
    """An issuer that is served until the block ends; its keys stay in the folder."""
    port, started = free_port(), threading.Event()
    login = LoginApi(SigningKeys(folder / "keys.json"), SECRET, url=f"http://127.0.0.1:{port}")
    loop = asyncio.new_event_loop()

    async def serve() -> web.AppRunner:
        app = web.Application()
        login.add_routes(app)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        started.set()
        return runner

    runner = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield login
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()


def ask(login: LoginApi, **form: str) -> requests.Response:
    return requests.post(login.token_url, data={"client_secret": SECRET, **form}, timeout=10)


def verified(login: LoginApi, token: str) -> dict[str, Any]:
    """The claims, checked by what a client finds out by discovery alone."""
    discovered = requests.get(f"{login.issuer}/.well-known/openid-configuration", timeout=10).json()
    key = jwt.PyJWKClient(discovered["jwks_uri"]).get_signing_key_from_jwt(token)
    algorithms = discovered["id_token_signing_alg_values_supported"]
    claims: dict[str, Any] = jwt.decode(
        token, key.key, algorithms=algorithms, audience=AUDIENCE, issuer=discovered["issuer"]
    )
    return claims


def test_a_client_finds_the_keys_by_discovery_and_believes_a_token(tmp_path: Path) -> None:
    with issuer(tmp_path) as login:
        answer = ask(login, username="Ada", roles="operator reader").json()
        claims = verified(login, answer["access_token"])
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
        assert (claims["name"], claims["tid"], claims["roles"]) == ("Ada", TENANT, ["operator", "reader"])
        again = verified(login, ask(login, username="ada").json()["access_token"])
        assert again["oid"] == claims["oid"], "the same person has the same id, however the name is written"
        assert "scp" not in verified(login, ask(login, roles="operator").json()["access_token"])


@pytest.mark.parametrize("secret", ["", "guessed"])
def test_who_does_not_know_the_secret_gets_nothing(tmp_path: Path, secret: str) -> None:
    with issuer(tmp_path) as login:
        refused = ask(login, client_secret=secret, username="ada", roles="admin")
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        rotation = login.token_url.replace("oauth2/v2.0/token", "keys/rotate")
        assert requests.post(rotation, data={"client_secret": secret}, timeout=10).status_code == 401
        assert len(requests.get(login.jwks_uri, timeout=10).json()["keys"]) == 1


def test_keys_outlive_the_process_and_can_be_taken_back(tmp_path: Path) -> None:
    with issuer(tmp_path) as login:
        old = ask(login, username="ada").json()["access_token"]
        public = requests.get(login.jwks_uri, timeout=10).json()
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
    assert {name for key in public["keys"] for name in key} == {"kty", "use", "kid", "n", "e"}
    keys = SigningKeys(tmp_path / "keys.json")
    assert keys.public_set() == public
    keys.rotate()
    assert len(keys.public_set()["keys"]) == 2
    keys.drop_old()
    [kept] = keys.public_set()["keys"]
    assert kept["kid"] != jwt.get_unverified_header(old)["kid"]

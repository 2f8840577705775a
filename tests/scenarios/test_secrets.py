"""I10: no key or credential enters a twin, a table, a log or an error body."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from cli.local import LocalStack
from tests.support.scenario import functions_log
from tests.support.scenario_scene import Scene

TABLES = ("packages", "campaigns", "rollout", "devices", "audit", "budget")
_KEY_FIELD = re.compile(r"(?:AccountKey|SharedAccessKey)=([^;]+)")
SIGNATURE = "sig="
PRIVATE_KEY = "PRIVATE KEY"


def read_secrets(stack: LocalStack, devices: list[str]) -> dict[str, str]:
    """Every secret that the service or a device was given, by the name of what opens with it."""
    settings = stack.settings
    found = {name: match[1] for name, text in settings.items() if (match := _KEY_FIELD.search(text))}
    found |= {name: text for name, text in settings.items() if name.endswith("_TOPIC_KEY")}
    found |= {f"ticket key {name}": key for name, key in json.loads(settings["TICKET_KEYS"])["keys"].items()}
    found |= {"host key": stack.cloud.host_key, "master key": stack.cloud.master_key}
    found |= {"event grid key": stack.cloud.keys.event_grid}
    for device in devices:
        match = _KEY_FIELD.search(stack.cloud.device_connection_string(device))
        assert match is not None
        found[device] = match[1]
    found |= {"identity header": settings["IDENTITY_HEADER"]}
    found |= {path.name: path.read_text().splitlines()[1] for path in stack.root_json.parent.glob("*.pem")}
    found |= read_vault(stack.cloud.vault_path)
    return found


def read_vault(path: Path) -> dict[str, str]:
    """The vault's private keys, each by its first line after the heading."""
    kept = json.loads(path.read_text())
    return {
        f"vault key {name}/{version['version']}": version["private_pem"].splitlines()[1]
        for name, versions in kept.items()
        for version in versions
    }


def read_places(scene: Scene, devices: list[str]) -> Iterator[tuple[str, str]]:
    """Where no secret may be, each with all that stands there."""
    for table in TABLES:
        yield f"table {table}", repr(scene.tables.query(table))
    for device in devices:
        yield f"twin of {device}", json.dumps(scene.registry.get_twin(device).as_dict(), default=str)
    yield "functions.log", functions_log(scene.stack)
    for path in ("campaigns/none-such", f"repository/metadata/{'x' * 300}", "downloads/x"):
        yield f"error of {path}", scene.http.get(f"{scene.stack.api}/{path}", timeout=10).text
    yield "error of a post", scene.post("campaigns", {"name": 1}).text


def test_no_secret_is_where_anybody_may_read_it(scene: Scene) -> None:
    """I10: every secret there is, looked for in every place after a campaign that went through all of them."""
    devices = scene.devices(4)
    scene.artifacts.publish()
    with scene.fleet(devices):
        campaign = scene.start(devices, waves=[{"count": 1}, {"rest": True}])
        scene.wait_for_campaign(campaign, "completed")
    secrets = read_secrets(scene.stack, devices)
    assert len(secrets) >= 15

    found = [
        f"{name} in {place}"
        for place, text in read_places(scene, devices)
        for name, secret in [*secrets.items(), ("a signature", SIGNATURE), ("a private key", PRIVATE_KEY)]
        if secret in text
    ]

    assert found == []
    # The search does find what is there.
    assert any(scene.name in text for _, text in read_places(scene, devices))

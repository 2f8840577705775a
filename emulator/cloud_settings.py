"""What the local cloud tells an app, and the keys it makes for itself."""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path

from emulator.cloud_config import CloudConfig, SubscriptionConfig
from emulator.grid.schedule import RetryLimits
from emulator.grid.subscriptions import Subscription
from emulator.hub import HubServer
from emulator.identity import TENANT, TOKEN_PATH
from emulator.login import LoginApi
from emulator.login.api import AUDIENCE
from emulator.names import KEY_NAME
from emulator.provisioning import ProvisioningServer
from emulator.provisioning.attestation import SymmetricKeys


def storage_settings(connection_string: str) -> dict[str, str]:
    return {"Storage": connection_string, "AzureWebJobsStorage": connection_string}


def hub_settings(hub: HubServer) -> dict[str, str]:
    """How to reach the hub, and the CA that every client has to trust for it."""
    ca = str(hub.ca_path)
    trust = dict.fromkeys(("CA_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), ca)
    return {"IotHub": hub.service_connection_string, "IOT_HUB_DEVICE_HOST": hub.mqtt_host, **trust}


def provisioning_settings(service: ProvisioningServer | None) -> dict[str, str]:
    """Where devices enrol, and the key of the group that is there from the start; nothing without a service."""
    if service is None:
        return {}
    settings = {"PROVISIONING_HOST": service.address, "PROVISIONING_ID_SCOPE": service.store.config.id_scope}
    group = service.store.groups.get(service.store.config.group)
    if group is not None and isinstance(group.attestation, SymmetricKeys):
        settings["PROVISIONING_GROUP_KEY"] = group.attestation.primary
    return settings


def event_hub_connection_string(port: int, key: str) -> str:
    """The event hubs' address in the usual form; what is behind it speaks HTTP, and no AMQP."""
    endpoint = f"Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName={KEY_NAME}"
    return f"{endpoint};SharedAccessKey={key};UseDevelopmentEmulator=true;"


def topic_settings(control_url: str, keys: Mapping[str, str]) -> dict[str, str]:
    """`<TOPIC>_TOPIC_ENDPOINT` and `<TOPIC>_TOPIC_KEY` for each topic."""
    settings: dict[str, str] = {}
    for topic, key in keys.items():
        name = topic.upper().replace("-", "_")
        settings[f"{name}_TOPIC_ENDPOINT"] = f"{control_url}/topics/{topic}/api/events"
        settings[f"{name}_TOPIC_KEY"] = key
    return settings


def identity_settings(control_url: str, header: str) -> dict[str, str]:
    """Where an app gets tokens for its identity, as App Service tells it."""
    return {"IDENTITY_ENDPOINT": f"{control_url}{TOKEN_PATH}", "IDENTITY_HEADER": header}


def login_settings(login: LoginApi, secret: str) -> dict[str, str]:
    """Whose tokens an API should believe, and for its callers where to get one."""
    believed = {"ENTRA_TENANT_ID": TENANT, "ENTRA_AUDIENCE": AUDIENCE, "ENTRA_ISSUER": login.issuer}
    asked = {"ENTRA_JWKS_URI": login.jwks_uri, "LOGIN_TOKEN_URL": login.token_url, "LOGIN_SECRET": secret}
    return believed | asked


def open_subscription(config: SubscriptionConfig, *, webhook: str, retry_scale: float) -> Subscription:
    """A subscription that delivers to its endpoint, or to its function by way of the host's webhook."""
    limits = RetryLimits(
        max_attempts=config.max_delivery_attempts,
        time_to_live_s=config.time_to_live_minutes * 60,
        scale=retry_scale,
    )
    return Subscription(
        name=config.name,
        topic=config.topic,
        url=config.endpoint or f"{webhook}&functionName={config.function}",
        event_types=frozenset(config.event_types),
        subject_begins_with=config.subject_begins_with,
        limits=limits,
        dead_letter_container=config.dead_letter_container,
    )


def load_or_make_secrets(path: Path, config: CloudConfig) -> dict[str, str]:
    """Keys of the bus, the event hubs and each topic: 32 random bytes in base64, made once."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    names = ["bus", "event-hubs", "identity", "login", *(f"topic:{topic}" for topic in config.topics)]
    kept = {name: known.get(name) or base64.b64encode(secrets.token_bytes(32)).decode() for name in names}
    write_private(path, kept)
    return kept


def write_private(path: Path, content: Mapping[str, str]) -> None:
    """Write JSON that only this user can read, all at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(dict(content), indent=2), encoding="utf-8")
    part.replace(path)

"""Who a simulated device is at the hub, from its connection string."""

from __future__ import annotations

import time
from dataclasses import dataclass

from agent.config import parse_connection_string
from agent.sas import sign_token
from shared.domain.ids import DeviceId, device_id

API_VERSION = "2021-04-12"
_TOKEN_LIFE_S = 3600
MQTTS_PORT = 8883


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a device needs to connect.

    Attributes:
        hub: The hub's own name, which user name and token carry.
        host: Where to connect; differs from the hub behind a gateway.
        port: As in ``host:port`` of the gateway or hub name; IoT Hub's own is 8883.
    """

    device: DeviceId
    hub: str
    host: str
    port: int
    key: str

    def __repr__(self) -> str:
        return f"Credentials({self.device})"

    @property
    def user_name(self) -> str:
        """The MQTT user name (IoT Hub developer guide, MQTT support)."""
        return f"{self.hub}/{self.device}/?api-version={API_VERSION}"

    def new_token(self) -> str:
        """A SAS token for an hour, the MQTT password."""
        return sign_token(f"{self.hub}/devices/{self.device}", self.key, expires_s=int(time.time()) + _TOKEN_LIFE_S)


def read_credentials(connection_string: str, gateway_host: str | None = None) -> Credentials:
    """The credentials in a device connection string.

    Raises:
        ValueError: It lacks host name, device id or key.
    """
    fields = parse_connection_string(connection_string)
    try:
        hub, device, key = fields["HostName"], device_id(fields["DeviceId"]), fields["SharedAccessKey"]
    except KeyError as error:
        raise ValueError(f"the connection string lacks {error}") from error
    host, _, port = (gateway_host or fields.get("GatewayHostName") or hub).partition(":")
    return Credentials(device=device, hub=hub, host=host, port=int(port or MQTTS_PORT), key=key)

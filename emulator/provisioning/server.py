"""A provisioning service on its socket: MQTT over TLS for devices. Enrolments are put into its store."""

import ssl
from collections.abc import Sequence

from emulator.hub.clock import Clock, utc_now
from emulator.hub.mqtt.listener import MqttListener
from emulator.pki import LocalAuthority
from emulator.provisioning.attestation import Certificates
from emulator.provisioning.config import ProvisioningConfig
from emulator.provisioning.connection import ProvisioningConnection
from emulator.provisioning.enrolments import Enrolment, read_enrolment
from emulator.provisioning.faults import ProvisioningFaults
from emulator.provisioning.links import LinkedHub
from emulator.provisioning.requests import DeviceRequests
from emulator.provisioning.store import ProvisioningStore

MQTT_PORT = 8883
"""Hard-coded in the device SDK."""


class ProvisioningServer:
    """One provisioning service. All of it lives in the running loop; nothing in it blocks.

    Args:
        hubs: where it assigns devices to.
        authority: signs the certificate that devices must trust.
        host: a loopback address; another one is taken where the port is not free there.
    """

    def __init__(
        self,
        config: ProvisioningConfig,
        hubs: Sequence[LinkedHub],
        authority: LocalAuthority,
        *,
        host: str = "127.0.0.1",
        port: int = MQTT_PORT,
        clock: Clock = utc_now,
    ) -> None:
        self._authority = authority
        self.host, self.port = host, port
        self.store = ProvisioningStore(config, hubs, clock=clock)
        self.faults = ProvisioningFaults()
        requests = DeviceRequests(self.store, self.faults)
        self._listener = MqttListener(lambda: ProvisioningConnection(requests), self._context_for)
        self._tls: ssl.SSLContext | None = None

    async def start(self) -> None:
        """Listen. Afterwards ``host`` and ``port`` say where.

        Raises:
            OSError: the port is taken.
        """
        group = self.store.config.group
        if group and group not in self.store.groups:
            self.put(read_enrolment(group, {"attestation": {"type": "symmetricKey"}}, of_group=True))
        try:
            self.host, self.port = await self._listener.start(self.host, self.port)
        except OSError:
            # Some systems have one loopback address, and the hub has its port.
            self.host, self.port = await self._listener.start(self.host, 0)

    async def stop(self) -> None:
        """Close the socket and all connections."""
        await self._listener.stop()

    def put(self, enrolment: Enrolment) -> None:
        """Make or replace an enrolment; its certificates are believed by TLS from the next connection on."""
        self.store.put(enrolment)
        if self._tls is not None:
            _believe(self._tls, enrolment)

    @property
    def address(self) -> str:
        """For devices: with the port only where it is not the usual one."""
        return self.host if self.port == MQTT_PORT else f"{self.host}:{self.port}"

    def _context_for(self, address: str) -> ssl.SSLContext:
        self._tls = context = self._authority.server_context({"127.0.0.1", address})
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        for enrolment in (*self.store.groups.values(), *self.store.individuals.values()):
            _believe(context, enrolment)
        return context


def _believe(context: ssl.SSLContext, enrolment: Enrolment) -> None:
    if isinstance(enrolment.attestation, Certificates):
        for pem in enrolment.attestation.pem:
            context.load_verify_locations(cadata=pem)

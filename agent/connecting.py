"""Which device this is, and the hub it speaks to: as configured, or as the Device Provisioning Service assigns it."""

from __future__ import annotations

from dataclasses import dataclass

from agent.adapters.clock import SystemClock
from agent.adapters.enrolled_channel import EnrolledChannel
from agent.adapters.iot_hub import HubAddress, IotHubChannel
from agent.adapters.provisioning import DpsRegistrar, Enrolment
from agent.backoff import Backoff
from agent.config import AgentConfig
from agent.enrolment.assignment_file import AssignmentFile
from agent.enrolment.enroller import Enroller, EnrolManner
from agent.enrolment.settings import DpsConfig
from agent.inbox import Inbox
from agent.ports import Assignment, TwinChannel
from shared.domain.ids import DeviceId


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLink:
    """The device and its channel."""

    device: DeviceId
    channel: TwinChannel


class Connector:
    """Makes links, one after the other where the device gets another id; remembers what was registered and when."""

    def __init__(self, config: AgentConfig) -> None:
        config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._config = config
        self._enroller = None if config.dps is None else _enroller(config, config.dps)

    @property
    def is_assigned(self) -> bool:
        """Whether the device knows who it is without asking."""
        return self._enroller is None or self._enroller.assignment is not None

    def make_blind_link(self, device: DeviceId) -> HubLink:
        """A link for what needs no hub; it cannot be opened."""
        return HubLink(device=device, channel=IotHubChannel(_address(self._config, "")))

    def find_link(self, inbox: Inbox) -> HubLink | None:
        """The link, as soon as the device knows who it is; None where the process shall end first."""
        config = self._config
        if config.device_id is not None and config.connection_string is not None:
            address = _address(config, config.connection_string.get_secret_value())
            return HubLink(device=config.device_id, channel=IotHubChannel(address))
        return None if self._enroller is None else self._find_enrolled(self._enroller, inbox)

    def _find_enrolled(self, enroller: Enroller, inbox: Inbox) -> HubLink | None:
        assignment = enroller.await_assignment(inbox)
        if assignment is None:
            return None
        hub = IotHubChannel(self._address_of(assignment))
        channel = EnrolledChannel(hub, enroller, assignment.device, self._address_of)
        return HubLink(device=assignment.device, channel=channel)

    def _address_of(self, assignment: Assignment) -> HubAddress:
        text = f"HostName={assignment.hub};DeviceId={assignment.device}"
        dps = self._config.dps
        key = dps.symmetric_key if dps is not None else None
        return _address(self._config, text if key is None else f"{text};SharedAccessKey={key.get_secret_value()}")


def find_assignment(config: AgentConfig) -> Assignment | None:
    """What was assigned last; None where nothing was, or nothing is to be."""
    return None if config.dps is None else _assignment_file(config, config.dps).read()


def _address(config: AgentConfig, connection_string: str) -> HubAddress:
    return HubAddress(
        connection_string=connection_string,
        certificate=config.certificate,
        ca_pem=config.hub_ca_file.read_text() if config.hub_ca_file else None,
        keep_alive_s=config.hub.keep_alive_s,
        timeout_s=config.hub.timeout_s,
    )


def _enroller(config: AgentConfig, dps: DpsConfig) -> Enroller:
    enrolment = Enrolment(
        host=dps.provisioning_host,
        id_scope=dps.id_scope,
        registration=dps.registration_id,
        key=dps.symmetric_key.get_secret_value() if dps.symmetric_key else None,
        certificate=config.certificate,
        ca_file=dps.ca_file or config.hub_ca_file,
        payload=_payload(config, dps),
        timeout_s=dps.timeout_s,
    )
    manner = EnrolManner(
        backoff=Backoff(initial_s=dps.retry_initial_s, longest_s=dps.retry_longest_s),
        refusals=dps.refusals,
        unreachable_s=dps.unreachable_s,
    )
    return Enroller(DpsRegistrar(enrolment), _assignment_file(config, dps), SystemClock(), manner)


def _payload(config: AgentConfig, dps: DpsConfig) -> dict[str, object]:
    """What the device is, for custom allocation, and whatever else the configuration says."""
    hardware = config.properties.get("hardware")
    return ({"hardware": hardware} if hardware else {}) | dps.payload


def _assignment_file(config: AgentConfig, dps: DpsConfig) -> AssignmentFile:
    return AssignmentFile(config.state_dir / "assignment.json", (dps.id_scope, dps.registration_id))

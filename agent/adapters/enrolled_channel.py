"""The twin at the hub that the device was assigned to, wherever that is today."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent.adapters.iot_hub import HubAddress
from agent.enrolment.enroller import Enroller
from agent.ports import Assignment, ChannelDown, ChannelUnauthorized, Event, Reassigned, TwinChannel
from shared.domain.ids import DeviceId

log = logging.getLogger(__name__)


class MovableChannel(TwinChannel, Protocol):
    """A channel that can be told to connect elsewhere."""

    def move(self, address: HubAddress) -> None:
        """Connect there from the next ``open`` on."""


class EnrolledChannel:
    """Implements ``agent.ports.TwinChannel``; asks where it belongs when the hub does not know the device any more."""

    def __init__(
        self,
        channel: MovableChannel,
        enroller: Enroller,
        device: DeviceId,
        address_of: Callable[[Assignment], HubAddress],
    ) -> None:
        self._channel = channel
        self._address_of = address_of
        self._enroller = enroller
        self._device = device

    def open(self, on_event: Callable[[Event], None]) -> int:
        """Connect, after having registered again where that is due; the number of this connection.

        Raises:
            ChannelDown: The hub cannot be reached, or refuses the device.
            Reassigned: The device has another id from now on.
        """
        if self._enroller.is_in_doubt:
            self._enrol_again()
        try:
            session = self._channel.open(on_event)
        except ChannelUnauthorized:
            self._enroller.note_refusal()
            raise
        except ChannelDown:
            self._enroller.note_outage()
            raise
        self._enroller.note_connection()
        return session

    def get_twin(self) -> Mapping[str, Any]:
        """As ``agent.ports.TwinChannel``."""
        return self._channel.get_twin()

    def report(self, document: Mapping[str, Any]) -> None:
        """As ``agent.ports.TwinChannel``."""
        self._channel.report(document)

    def introduce(self, hardware: str) -> None:
        """As ``agent.ports.TwinChannel``."""
        self._channel.introduce(hardware)

    def close(self) -> None:
        """End the connection, if there is one."""
        self._channel.close()

    def _enrol_again(self) -> None:
        log.warning("the hub has refused or missed the device for long: asking where it belongs")
        assignment = self._enroller.try_enrol()
        if assignment is None:
            return
        if assignment.device != self._device:
            raise Reassigned(f"{self._device} is {assignment.device} from now on")
        self._channel.move(self._address_of(assignment))

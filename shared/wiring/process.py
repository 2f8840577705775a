"""What there is one of in a process: the service, built when the first event comes."""

from __future__ import annotations

import os
from threading import Lock

from shared.adapters.azure_bus import AzureBus
from shared.ports.bus import MessageSender
from shared.settings import AuthMode, read_auth_mode, read_bus_connection, read_settings
from shared.wiring.clients import open_bus
from shared.wiring.handler_ports import APP_FOLDER
from shared.wiring.service import Service

_service: Service | None = None
_stand_in: MessageSender | None = None
_building = Lock()


def service() -> Service:
    """The process's service.

    Raises:
        SettingsError: Settings are missing or wrong; the next call looks again.
    """
    global _service  # noqa: PLW0603 - one per process, built when the first event comes
    with _building:
        if _service is None:
            _service = Service(read_settings(os.environ, app_folder=APP_FOLDER))
        return _service


def stand_in_sender() -> MessageSender:
    """The queues, sending side, for a process whose settings are wrong, so that no service can be had.

    Raises:
        SettingsError: The bus is among what is missing; then no trigger receives from it either.
    """
    global _stand_in  # noqa: PLW0603 - one per process, built when the first message has to be put off
    with _building:
        if _stand_in is None:
            _stand_in = AzureBus(open_bus(*read_bus_connection(os.environ)))
        return _stand_in


def tokens_are_demanded() -> bool:
    """Whether our own code keeps the door, so that the host need not ask for a function key."""
    return read_auth_mode(os.environ) is AuthMode.ENTRA

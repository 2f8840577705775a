"""Queue functions: the service takes their messages, or they wait until there is one that can.

While settings are wrong no message can be handled, and none may be given back either: redelivery has no pause, and
after ten of them, within seconds, the queue sets a message aside. It is sent again for later instead, with nothing but
the connection by which the trigger itself received it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import azure.functions as func

from shared.edge.messages import Inbox, consume, consume_each, send_later
from shared.ports.bus import Queue
from shared.settings import SettingsError
from shared.wiring import Service, service, stand_in_sender, utc_now

MEND_S = 30.0
"""How long a message waits for somebody to mend the settings, before it is looked at again."""


def take[M](
    queue: Queue,
    messages: Sequence[func.ServiceBusMessage],
    *,
    read: Callable[[bytes], M],
    handle: Callable[[Service, Sequence[M]], None],
) -> None:
    """Hand messages to the service together.

    Raises:
        PortError: The host must redeliver.
    """
    if (ready := _service_for(queue, messages)) is not None:
        consume(_inbox(queue, ready), messages, read=read, handle=partial(handle, ready))


def take_each[M](
    queue: Queue,
    messages: Sequence[func.ServiceBusMessage],
    *,
    read: Callable[[bytes], M],
    handle: Callable[[Service, M], None],
) -> None:
    """Hand messages to the service one by one.

    Raises:
        PortError: The host must redeliver.
    """
    if (ready := _service_for(queue, messages)) is not None:
        consume_each(_inbox(queue, ready), messages, read=read, handle=partial(handle, ready))


def _service_for(queue: Queue, messages: Sequence[func.ServiceBusMessage]) -> Service | None:
    """The service; None where settings are wrong, and the messages were put off."""
    try:
        return service()
    except SettingsError as error:
        send_later(queue, messages, error.message, sender=stand_in_sender(), now=utc_now(), wait_s=MEND_S)
        return None


def _inbox(queue: Queue, ready: Service) -> Inbox:
    return Inbox(queue=queue, parking=ready.parking, sender=ready.sender, clock=ready.clock)

"""Queue messages: read once, handled, and parked where no retry can mend them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import azure.functions as func

from shared.domain.errors import DomainError, MalformedMessage
from shared.ports.bus import Parking
from shared.ports.errors import QuotaExceeded

log = logging.getLogger(__name__)


def consume[M](
    source: str,
    messages: Sequence[func.ServiceBusMessage],
    *,
    read: Callable[[bytes], M],
    handle: Callable[[Sequence[M]], None],
    parking: Parking,
) -> None:
    """Hand the readable messages to the handler and park the others.

    Raises:
        PortError: The host must redeliver the whole batch; parking a message twice keeps it once.
    """
    readable: list[tuple[bytes, M]] = []
    for message in messages:
        body = message.get_body()
        try:
            readable.append((body, read(body)))
        except MalformedMessage as error:
            _park(parking, source, body, error)
    if readable:
        _handle(source, readable, handle, parking)


def consume_each[M](
    source: str,
    messages: Sequence[func.ServiceBusMessage],
    *,
    read: Callable[[bytes], M],
    handle: Callable[[M], None],
    parking: Parking,
) -> None:
    """Hand each readable message to the handler by itself and park those that no retry can mend.

    Raises:
        PortError: The host must redeliver.
    """

    def handle_each(readable: Sequence[M]) -> None:
        for message in readable:
            handle(message)

    consume(source, messages, read=read, handle=handle_each, parking=parking)


def _handle[M](
    source: str, readable: Sequence[tuple[bytes, M]], handle: Callable[[Sequence[M]], None], parking: Parking
) -> None:
    try:
        handle([message for _, message in readable])
    except DomainError as error:
        if len(readable) > 1:
            # One message spoils the batch: take them one by one, so that only it is parked.
            for pair in readable:
                _handle(source, [pair], handle, parking)
            return
        _park(parking, source, readable[0][0], error)
    except QuotaExceeded:
        log.error("%s: the IoT Hub's daily quota is used up", source)
        raise


def _park(parking: Parking, source: str, body: bytes, error: DomainError) -> None:
    log.error("%s: parked a message: %s: %s", source, error.code, error.message)
    parking.park(source=source, body=body, code=error.code, reason=error.message)

"""The twin through ``azure-iot-device``.

The SDK's calls wait without a limit, so each runs on a thread of its own that may be left behind; a client whose call
ran out of time is thrown away. Its own reconnecting is off, because after a reconnect the twin must be read again.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.iot.device import X509, IoTHubDeviceClient
from azure.iot.device.exceptions import ClientError, CredentialError, OperationCancelled, OperationTimeout, ServiceError
from azure.iot.device.iothub.pipeline import exceptions as inner

from agent.config import parse_connection_string
from agent.ports import (
    ChannelDown,
    ChannelLost,
    ChannelRefused,
    ChannelThrottled,
    ChannelUnauthorized,
    DesiredChanged,
    Event,
)
from shared.wire.twins import DEVICE_PROPERTY, PROPERTY, write_device_section

log = logging.getLogger(__name__)

_FAREWELL_S = 5.0

_STATUS = re.compile(r"status (\d{3})")
# What the same request will always get: not understood, or too large. All else may pass: 403 is the day's quota.
_FINAL = (400, 413)

# Subscribing lets the errors of the SDK's inner layers through, which its other calls translate.
_DOWN = (
    ClientError,
    OperationCancelled,
    OperationTimeout,
    inner.PipelineException,
    inner.ConnectionFailedError,
    inner.ConnectionDroppedError,
    inner.NoConnectionError,
    inner.UnauthorizedError,
    inner.ProtocolClientError,
    inner.TlsExchangeAuthError,
    inner.ProtocolProxyError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubAddress:
    """Where and as whom to connect.

    Attributes:
        connection_string: With a SharedAccessKey where the device has no certificate.
        certificate: The device's certificate and its key, PEM files; None: it signs in with its key.
        ca_pem: Certificates to trust instead of the system's, as PEM text; None for the system's.
    """

    connection_string: str
    certificate: tuple[Path, Path] | None = None
    ca_pem: str | None = None
    keep_alive_s: int = 60
    timeout_s: float = 30.0

    def __repr__(self) -> str:
        return "HubAddress(…)"


class IotHubChannel:
    """Implements ``agent.ports.TwinChannel``, with one SDK client per connection."""

    def __init__(self, address: HubAddress) -> None:
        self._address = address
        self._client: Any = None
        self._session = 0

    def move(self, address: HubAddress) -> None:
        """Connect there from the next ``open`` on."""
        self._address = address

    def open(self, on_event: Callable[[Event], None]) -> int:
        """Connect and subscribe to desired patches; the number of this connection.

        Raises:
            ChannelDown: The hub cannot be reached.
            ChannelUnauthorized: It refuses the device.
        """
        self.close()
        self._session += 1
        session = self._session
        client = self._make_client()
        self._client = client
        self._call(client.connect)
        self._call(lambda: _subscribe(client, lambda patch: on_event(DesiredChanged(patch=patch))))

        def tell_loss() -> None:
            if not client.connected:
                on_event(ChannelLost(session=session))

        client.on_connection_state_change = tell_loss
        if not client.connected:
            raise ChannelDown("the connection was lost at once")
        return session

    def get_twin(self) -> Mapping[str, Any]:
        """The twin as ``{"desired": …, "reported": …}``.

        Raises:
            ChannelDown: There is no connection.
            ChannelThrottled: The hub refused for now.
        """
        twin: Mapping[str, Any] = self._call(self._connected().get_twin)
        return twin

    def report(self, document: Mapping[str, Any]) -> None:
        """Patch ``update`` of the reported properties and return once the hub accepted.

        Raises:
            ChannelDown: There is no connection.
            ChannelThrottled: The hub refused for now.
            ChannelRefused: The hub refused for good.
        """
        client = self._connected()
        self._call(lambda: client.patch_twin_reported_properties({PROPERTY: dict(document)}))

    def introduce(self, hardware: str) -> None:
        """Say in the reported properties what the device is; returns and raises as ``report``."""
        client = self._connected()
        self._call(lambda: client.patch_twin_reported_properties({DEVICE_PROPERTY: write_device_section(hardware)}))

    def close(self) -> None:
        """End the connection, if there is one."""
        client, self._client = self._client, None
        if client is None:
            return
        client.on_connection_state_change = None
        finished = _run_apart(client.shutdown)
        try:
            finished.result(_FAREWELL_S)
        except (FutureTimeout, *_DOWN) as error:
            log.debug("the hub client did not end in order: %r", error)

    def _make_client(self) -> Any:
        client = _new_client(
            self._address,
            server_verification_cert=self._address.ca_pem,
            keep_alive=self._address.keep_alive_s,
            auto_connect=False,
            connection_retry=False,
            ensure_desired_properties=False,
        )
        client.on_background_exception = lambda error: log.debug("hub client: %r", error)
        return client

    def _connected(self) -> Any:
        if self._client is None:
            raise ChannelDown("there is no connection")
        return self._client

    def _call[T](self, function: Callable[[], T]) -> T:
        try:
            return _run_apart(function).result(self._address.timeout_s)
        except ServiceError as error:
            raise _refusal(error) from error
        except FutureTimeout as error:
            raise ChannelDown(f"the hub did not answer within {self._address.timeout_s:g} s") from error
        except CredentialError as error:
            raise ChannelUnauthorized(f"the hub does not let the device in: {error}") from error
        except _DOWN as error:
            if (answer := _find_answer(error)) is not None:
                raise _refusal(answer) from error
            raise ChannelDown(f"{type(error).__name__}: {error}") from error


def _find_answer(error: BaseException | None) -> BaseException | None:
    """The hub's answer behind an error: azure-iot-device 2.14 wraps it in a ClientError "Unexpected failure"."""
    while error is not None and not isinstance(error, ServiceError):
        error = error.__cause__ or error.__context__
    return error


def _refusal(answer: BaseException) -> ChannelThrottled | ChannelRefused:
    # The SDK tells the status in the text alone ("twin operation returned status 400").
    told = _STATUS.search(str(answer))
    status = int(told[1]) if told else 0
    return ChannelRefused(str(answer)) if status in _FINAL else ChannelThrottled(str(answer))


def _new_client(address: HubAddress, **options: Any) -> IoTHubDeviceClient:
    if address.certificate is None:
        return IoTHubDeviceClient.create_from_connection_string(address.connection_string, **options)
    fields = parse_connection_string(address.connection_string)
    if gateway := fields.get("GatewayHostName"):
        options["gateway_hostname"] = gateway
    certificate, key = address.certificate
    return IoTHubDeviceClient.create_from_x509_certificate(
        X509(str(certificate), str(key)), fields["HostName"], fields["DeviceId"], **options
    )


def _subscribe(client: Any, on_patch: Callable[[Mapping[str, Any]], None]) -> None:
    client.on_twin_desired_properties_patch_received = on_patch


def _run_apart[T](function: Callable[[], T]) -> Future[T]:
    """Run on a thread that does not keep the process alive."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001, RUF100 - handed to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="hub-call").start()
    return future

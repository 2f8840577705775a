"""Loopback addresses and ports, remembered in the state folder so that URLs survive a restart."""

import json
import random
import socket
from collections.abc import Collection
from pathlib import Path

MQTT_PORT = 8883  # fixed in the device SDK
SERVER_PORTS = range(10_000, 32_768)
"""Below those that systems give to connections going out, which may take one before its server listens."""
_TRIES = 50
_CHANCE = random.SystemRandom()  # not the generator that tests seed


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port(*, but: Collection[int] = ()) -> int:
    """A port of 127.0.0.1 that nobody listens on, and that no connection going out will be given.

    Args:
        but: ports that were given to others, who do not listen yet.

    Raises:
        OSError: all that were tried are taken.
    """
    for _ in range(_TRIES):
        port = _CHANCE.choice(SERVER_PORTS)
        if port not in but and is_free("127.0.0.1", port):
            return port
    raise OSError(f"no free port in {_TRIES} tries between {SERVER_PORTS.start} and {SERVER_PORTS.stop - 1}")


class AddressBook:
    """Hands out ports and addresses by name, the same ones again while they are free.

    Args:
        path: JSON file to remember them in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, int | str] = json.loads(path.read_text()) if path.exists() else {}

    def port(self, name: str) -> int:
        """The port for `name`; a new one when the remembered one is taken."""
        known = self._known.get(name)
        if isinstance(known, int) and is_free("127.0.0.1", known):
            return known
        given = [port for port in self._known.values() if isinstance(port, int)]
        return self._remember(name, free_port(but=given))

    def mqtt_address(self, name: str) -> str:
        """A loopback address whose MQTT port is free, so that several hubs can run side by side."""
        known = self._known.get(name)
        if isinstance(known, str) and is_free(known, MQTT_PORT):
            return known
        for _ in range(_TRIES):
            address = f"127.{_CHANCE.randint(1, 254)}.{_CHANCE.randint(1, 254)}.{_CHANCE.randint(1, 254)}"
            if is_free(address, MQTT_PORT):
                return self._remember(name, address)
        return "127.0.0.1"  # some systems have only this one

    def _remember[T: (int, str)](self, name: str, address: T) -> T:
        self._known[name] = address
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._known))
        return address

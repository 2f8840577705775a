"""Azurite as a child process: blobs, queues and tables on loopback."""

import asyncio
import base64
import ctypes
import os
import re
import secrets
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ACCOUNT = "localcloud"
_SCRIPT = Path(__file__).resolve().parents[2] / Path("node_modules/azurite/dist/src/azurite.js")
_LISTENING = re.compile(r"Azurite (Blob|Queue|Table) service is successfully listening at (http://\S+)")
_START_S = 20.0
_STOP_S = 10.0
_PR_SET_PDEATHSIG = 1


class AzuriteError(RuntimeError):
    """Azurite is not installed (`npm ci`), did not start, or ended by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AzuritePorts:
    """Ports to listen on; 0 lets the system choose."""

    blob: int = 0
    queue: int = 0
    table: int = 0


class Azurite:
    """Runs Azurite below `location` and reports every line it logs.

    Args:
        location: folder for its data; what is in it survives a stop.
        ports: where to listen.
        on_line: called with each line of its output, access log included.
        log_path: file for the lines that are no table or queue accesses.
        keeps: file descriptors that it inherits.
    """

    def __init__(
        self,
        *,
        location: Path,
        ports: AzuritePorts,
        on_line: Callable[[str], None],
        log_path: Path,
        keeps: Sequence[int] = (),
    ) -> None:
        self._location = location
        self._ports = ports
        self._on_line = on_line
        self._log_path = log_path
        self._keeps = tuple(keeps)
        self._key = load_or_make_key(location / "account.key")
        self._endpoints: dict[str, str] = {}
        self._listening = asyncio.Event()
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def connection_string(self) -> str:
        """Connection string of the account, once started."""
        endpoints = "".join(f"{kind}Endpoint={url}/{ACCOUNT};" for kind, url in self._endpoints.items())
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={self._key};{endpoints}"

    @property
    def ports(self) -> AzuritePorts:
        """The ports it listens on, once started."""
        taken = {kind.lower(): int(url.rsplit(":", 1)[1]) for kind, url in self._endpoints.items()}
        return AzuritePorts(**taken)

    async def start(self) -> None:
        """Start and wait until all three services listen.

        Raises:
            AzuriteError: it is not installed or does not come up; its output is in the message's log.
        """
        if not _SCRIPT.exists():
            raise AzuriteError(f"{_SCRIPT} is missing: run `npm ci`")
        self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{self._key}"},
            preexec_fn=_end_with_parent,
            start_new_session=True,
            pass_fds=self._keeps,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        await self._until_listening(self._reader)

    async def _until_listening(self, reader: asyncio.Task[None]) -> None:
        listening = asyncio.create_task(self._listening.wait())
        await asyncio.wait({listening, reader}, timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
        if not self._listening.is_set():
            listening.cancel()
            await self.stop()
            raise AzuriteError(f"Azurite did not start, see {self._log_path}")

    def _command(self) -> list[str]:
        services = {"blob": self._ports.blob, "queue": self._ports.queue, "table": self._ports.table}
        where = [f"--{kind}Host=127.0.0.1" for kind in services]
        where += [f"--{kind}Port={port}" for kind, port in services.items()]
        fixed = ["--disableTelemetry", "--skipApiVersionCheck", f"--location={self._location}"]
        return ["node", str(_SCRIPT), *fixed, *where]

    async def _read(self, process: Process) -> None:
        if process.stdout is None:
            raise AzuriteError("no output to read")
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("a", encoding="utf-8", buffering=1) as log:
            async for raw in process.stdout:
                self._take(raw.decode("utf-8", errors="replace").rstrip("\n"), log)

    def _take(self, line: str, log: IO[str]) -> None:
        if found := _LISTENING.search(line):
            self._endpoints[found[1]] = found[2]
            if len(self._endpoints) == 3:
                self._listening.set()
        if ' "' not in line:
            log.write(line + "\n")
        self._on_line(line)

    async def stop(self) -> None:
        """Stop with SIGTERM, on which it writes everything to disk (on SIGKILL up to 5 s are lost)."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_S)
        except TimeoutError:
            self._process.kill()
        if self._reader is not None:
            await self._reader


def load_or_make_key(path: Path) -> str:
    """The account's key, made at first start: 64 random bytes in base64, as Azure's keys are."""
    if path.exists():
        return path.read_text(encoding="ascii")
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(key, encoding="ascii")
    return key


def _end_with_parent() -> None:
    """In the child, before exec: get SIGTERM when the parent dies, however it dies (Linux only)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

"""The local cloud as an object: starts the processes, knows their settings, ends them."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from emulator.child import Child, ChildFailedError
from emulator.control_client import ControlClient, Faults
from emulator.host.keys import FunctionKeys, load_or_make_keys
from emulator.names import KEYS_FILE, SETTINGS_FILE, VAULT_FILE
from emulator.state_lock import CloudRunsError, StateLock

_START_S = 30.0
_STOP_S = 15.0


class LocalCloud:
    """A cloud process with Azurite below it and, when asked for, a functions host beside it.

    Use it as a context manager; nothing is left running after it, not even when this process is killed.

    Attributes:
        settings: what points an app at it: connection strings, endpoints, keys (once entered).
        control: status, throttles, waiting until all is quiet.
        faults: faults for twin events.
    """

    settings: dict[str, str]
    control: ControlClient
    faults: Faults

    def __init__(self, config: Path, state_dir: Path) -> None:
        self._config = config.resolve()
        self._state_dir = state_dir.resolve()
        self._lock = StateLock(self._state_dir)
        self._cloud: Child | None = None
        self._functions: Child | None = None
        self._last_start: tuple[Path, dict[str, str]] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the cloud process and wait until everything listens.

        Raises:
            ChildFailedError: it did not come up; the message holds the end of its log.
            CloudRunsError: another one runs over the same state folder.
        """
        self._lock.acquire()
        ready = self._state_dir / SETTINGS_FILE
        ready.unlink(missing_ok=True)
        held = self._lock.descriptor
        arguments = ["--config", str(self._config), "--state", str(self._state_dir), "--lock", str(held)]
        self._cloud = Child("emulator.cloud", arguments, log_path=self.logs_dir / "cloud.log", keeps=[held])
        try:
            self._cloud.wait_until(ready.exists, timeout_s=_START_S)
        except BaseException:
            self.stop()
            raise
        self.settings = json.loads(ready.read_text(encoding="utf-8"))
        self.control = ControlClient(self.settings["CONTROL_URL"])
        self.faults = Faults(self.control)

    def stop(self) -> None:
        """End the functions host, then the cloud."""
        self.stop_functions()
        if self._cloud is not None:
            self._cloud.stop(timeout_s=_STOP_S)
            self._cloud = None
        self._lock.release()

    def kill(self) -> None:
        """End the functions host and the cloud with SIGKILL, in the middle of whatever they do.

        Storage notices that the cloud is gone, and ends by itself; a start waits for it.
        """
        self.kill_functions()
        if self._cloud is not None:
            self._cloud.kill()
            self._cloud = None
        self._lock.release()

    @property
    def logs_dir(self) -> Path:
        """Folder of cloud.log, azurite.log and functions.log."""
        return self._state_dir / "logs"

    @property
    def functions_url(self) -> str:
        """Base URL of the functions host; the same over all its restarts."""
        return self.settings["FUNCTIONS_URL"]

    @property
    def vault_path(self) -> Path:
        """The file with the vault's private keys, to look for where they must not be."""
        return self._state_dir / VAULT_FILE

    @property
    def keys(self) -> FunctionKeys:
        return load_or_make_keys(self._state_dir / KEYS_FILE)

    @property
    def host_key(self) -> str:
        """Opens every HTTP function of level `function`."""
        return self.keys.host

    @property
    def master_key(self) -> str:
        """Opens everything, the admin API included."""
        return self.keys.master

    def start_functions(self, app_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        """Start the functions host and wait until its app is indexed and served.

        Args:
            app_dir: folder of function_app.py and host.json.
            settings: app settings, merged over the cloud's own.

        Raises:
            ChildFailedError: the app cannot be indexed; the message holds the traceback.
        """
        if self._functions is not None:
            raise RuntimeError("the functions host is already running")
        merged = self.settings | dict(settings or {})
        self._last_start = (app_dir, dict(settings or {}))
        path = self._state_dir / "app-settings.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(merged), encoding="utf-8")
        self._functions = Child(
            "emulator.host",
            self._host_arguments(app_dir, path),
            log_path=self.logs_dir / "functions.log",
            keeps=[self._lock.descriptor],
        )
        try:
            self._functions.wait_until(self._functions_answer, timeout_s=_START_S)
        except BaseException:
            self.stop_functions()
            raise

    def _host_arguments(self, app_dir: Path, settings: Path) -> list[str]:
        port = self.functions_url.rsplit(":", 1)[1]
        keys = self._state_dir / KEYS_FILE
        app = ["--app", str(app_dir.resolve()), "--settings", str(settings), "--keys", str(keys)]
        return [*app, "--control", self.settings["CONTROL_URL"], "--port", port]

    def _functions_answer(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.functions_url}/admin/host/ping", timeout=5):  # noqa: S310
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop_functions(self) -> None:
        """End the functions host gently: what runs may finish for ten seconds."""
        if self._functions is not None:
            self._functions.stop(timeout_s=_STOP_S)
            self._functions = None

    def kill_functions(self) -> None:
        """End the functions host with SIGKILL, in the middle of whatever it does."""
        if self._functions is not None:
            self._functions.kill()
            self._functions = None

    def restart_functions(self) -> None:
        """Start the host again with the last app and settings; a running one is stopped first."""
        if self._last_start is None:
            raise RuntimeError("the functions host was never started")
        self.stop_functions()
        self.start_functions(*self._last_start)

    @property
    def functions_running(self) -> bool:
        return self._functions is not None and self._functions.is_running

    def device_connection_string(self, device_id: str) -> str:
        """Connection string of a registered device, for the device SDK.

        Raises:
            KeyError: no such device.
        """
        return self.control.device_connection_string(device_id)

    def wait_until_quiet(self, *, timeout_s: float = 30.0) -> None:
        """Wait until no queue, event hub or subscription has anything left to do.

        Raises:
            TimeoutError: something is still going on.
        """
        self.control.wait_until_quiet(timeout_s=timeout_s)


__all__ = ["ChildFailedError", "CloudRunsError", "LocalCloud"]

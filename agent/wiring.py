"""Builds the worker from a configuration: the only place that knows every adapter."""

from __future__ import annotations

import requests

from agent.adapters.clock import SystemClock
from agent.adapters.health_command import HealthCommand
from agent.adapters.http_logs import HttpLogUpload
from agent.adapters.http_transfer import HttpTransfer
from agent.adapters.journal_file import FileJournal
from agent.adapters.reference_time import ReferenceTime
from agent.adapters.restart import CommandRestarter, ExecRestarter
from agent.adapters.tuf_index import TufIndex
from agent.backoff import Backoff, Patience
from agent.config import AgentConfig
from agent.connecting import HubLink
from agent.failure_log import FailureLogSender, LogFile
from agent.inbox import Inbox
from agent.install.debian import DebianHandler
from agent.install.firmware import FirmwareHandler
from agent.install.registry import register
from agent.install.slots import FolderSlots
from agent.installer import Device
from agent.ports import Restarter
from agent.resuming import Limits
from agent.worker import Manner, Outside, Worker
from shared.domain.windows import find_zone


def build_worker(config: AgentConfig, inbox: Inbox, hub: HubLink) -> Worker:
    """The agent as configured; lays out state folder and slots on a new device."""
    config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    http = requests.Session()
    if config.service_ca_file is not None:
        http.verify = str(config.service_ca_file)
    outside, sender = _outside(config, http, hub), _failure_log(config, http)
    return Worker(hub.device, outside, _device(config, http), _manner(config), inbox, failure_log=sender)


def failure_log_file(config: AgentConfig) -> LogFile | None:
    """Where the agent keeps its log, so that its end can be sent; None where it is not to be."""
    if config.failure_log_bytes == 0:
        return None
    return LogFile(path=config.state_dir / "agent.log", limit_bytes=config.failure_log_bytes)


def _failure_log(config: AgentConfig, http: requests.Session) -> FailureLogSender | None:
    file = failure_log_file(config)
    if file is None:
        return None
    upload = HttpLogUpload(service_url=config.service_url.rstrip("/"), http=http, timeout_s=config.download.timeout_s)
    return FailureLogSender(file, upload, config.state_dir / "failure-log-sent")


def _outside(config: AgentConfig, http: requests.Session, hub: HubLink) -> Outside:
    clock = ReferenceTime(SystemClock(), config.state_dir / "index" / "issued.json")
    index = TufIndex(
        folder=config.state_dir / "index",
        base_url=f"{config.service_url.rstrip('/')}/repository/metadata/",
        root=config.root_file.read_bytes(),
        http=http,
        time=clock,
        timeout_s=config.download.timeout_s,
    )
    return Outside(
        channel=hub.channel,
        index=index,
        journal=FileJournal(config.state_dir / "journal.json"),
        clock=clock,
    )


def _device(config: AgentConfig, http: requests.Session) -> Device:
    slots = FolderSlots(top=config.slots)
    slots.prepare(config.installed)
    transfer = HttpTransfer(
        service_url=config.service_url.rstrip("/"),
        folder=config.state_dir / "downloads",
        http=http,
        timeout_s=config.download.timeout_s,
    )
    debian = DebianHandler(options=config.deb.options, timeout_s=config.deb.timeout_s)
    return Device(
        slots=slots,
        handlers=register([FirmwareHandler(), debian]),
        transfer=transfer,
        health=HealthCommand(command=config.health.command, timeout_s=config.health.timeout_s),
        restarter=_restarter(config),
        limits=Limits(installs=config.limits.installs, boots=config.limits.boots),
    )


def _restarter(config: AgentConfig) -> Restarter:
    if config.restart.mode == "exec":
        return ExecRestarter()
    return CommandRestarter(command=config.restart.command, boot_id_file=config.restart.boot_id_file)


def _manner(config: AgentConfig) -> Manner:
    fetching = Backoff(initial_s=config.download.retry_initial_s, longest_s=config.download.retry_longest_s)
    limit_s = config.download.give_up_after_s
    return Manner(
        properties=config.properties,
        zone=find_zone(config.time_zone),
        states=config.report_states,
        hub_backoff=Backoff(initial_s=config.hub.retry_initial_s, longest_s=config.hub.retry_longest_s),
        index_patience=Patience(attempts=config.download.index_attempts, give_up_after_s=limit_s, backoff=fetching),
        download_patience=Patience(attempts=config.download.attempts, give_up_after_s=limit_s, backoff=fetching),
        farewell_s=config.restart.farewell_s,
    )

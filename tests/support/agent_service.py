"""A signed index made with python-tuf and an HTTP server for it and for package contents, with faults on demand."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from aiohttp import web
from securesystemslib.signer import CryptoSigner, Signer
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
)

from shared.domain.packages import Package
from shared.trust.authorities import Authorities, Publisher, write_authorities
from shared.trust.index import make_timestamp
from shared.trust.publishers import sign_package
from shared.wire.targets import write_target_custom

BINS = tuple("0123456789abcdef")
TOP_ROLES = ("root", "targets", "snapshot", "timestamp")


def new_signer() -> Signer:
    return CryptoSigner.generate_ecdsa()


class SignedIndex:
    """A TUF repository in memory: ``files`` maps the name under ``metadata/`` to the bytes served.

    Attributes:
        root: The root that devices are born with.
        versions: Role to a version that it gets next in place of the common one.
    """

    def __init__(self, *, root_keys: int = 1, root_threshold: int = 1) -> None:
        self.signers = {role: new_signer() for role in (*TOP_ROLES, "bins")}
        self.root_signers = [self.signers["root"], *(new_signer() for _ in range(root_keys - 1))]
        self.root_threshold = root_threshold
        self.intent_signer = new_signer()
        self.publisher = new_signer()
        self.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=7)
        self.version = 0
        self.versions: dict[str, int] = {}
        self.issued: datetime | None = None
        self.files: dict[str, bytes] = {}
        self.authorities_in_bin = False
        self._packages: list[TargetFile] = []
        self.root_version = 0
        self.root = self.sign_root()
        self.publish()

    def sign_root(self, *, also: Sequence[Signer] = (), expires: datetime | None = None) -> bytes:
        """The next root over the present signers, signed by all root signers and by ``also``."""
        self.root_version += 1
        root = Root(version=self.root_version, expires=expires or self.expires, consistent_snapshot=True)
        for role in TOP_ROLES[1:]:
            root.add_key(self.signers[role].public_key, role)
        for signer in self.root_signers:
            root.add_key(signer.public_key, "root")
        root.roles["root"].threshold = self.root_threshold
        metadata = Metadata(root)
        for signer in (*self.root_signers, *also):
            metadata.sign(signer, append=True)
        self.files[f"{self.root_version}.root.json"] = metadata.to_bytes()
        return metadata.to_bytes()

    def rotate(self, *roles: str) -> None:
        """New keys for these roles, named by a new root; what stands is signed anew with them."""
        for role in roles:
            self.signers[role] = new_signer()
        self.sign_root()
        self.publish()

    def withdraw(self, package: Package) -> None:
        """Take a package out of the index."""
        self._packages = [target for target in self._packages if target.path != package.path]
        self.publish()

    def add(self, package: Package) -> Package:
        """Publish a package, signed by its publisher unless it is already; the package as published."""
        if package.publisher is None:
            package = replace(package, publisher=sign_package(package, self.publisher))
        custom = write_target_custom(package)
        self._packages.append(
            TargetFile(package.length_bytes, {"sha256": package.sha256}, package.path, {"custom": custom})
        )
        self.publish()
        return package

    def publish(self) -> None:
        """Write a new version of everything but the root."""
        self.version += 1
        metas = {f"bin-{name}.json": self._write(f"bin-{name}", self._bin(name), "bins") for name in BINS}
        metas["targets.json"] = self._write("targets", self._targets(), "targets")
        snapshot = self._write(
            "snapshot", Snapshot(expires=self.expires, version=self._next("snapshot"), meta=metas), "snapshot"
        )
        issued = self.issued or datetime.now(UTC)
        timestamp = make_timestamp(self._next("timestamp"), self.expires, snapshot, issued=issued)
        self._write("timestamp", timestamp, "timestamp")
        self.files["timestamp.json"] = self.files[f"{timestamp.version}.timestamp.json"]

    def _next(self, role: str) -> int:
        return self.versions.get(role, self.version)

    def _write(self, name: str, signed: Any, signer: str) -> MetaFile:
        metadata = Metadata(signed)
        metadata.sign(self.signers[signer])
        self.files[f"{signed.version}.{name}.json"] = metadata.to_bytes()
        return MetaFile(signed.version)

    def _bin(self, name: str) -> Targets:
        mine = {
            target.path: target
            for target in self._packages
            if hashlib.sha256(target.path.encode()).hexdigest().startswith(name)
        }
        if self.authorities_in_bin:
            mine |= self._authorities()
        return Targets(expires=self.expires, version=self.version, targets=mine)

    def _targets(self) -> Targets:
        key = self.signers["bins"].public_key
        roles = {
            f"bin-{name}": DelegatedRole(f"bin-{name}", [key.keyid], 1, True, path_hash_prefixes=[name])
            for name in BINS
        }
        keys = {} if self.authorities_in_bin else self._authorities()
        return Targets(
            expires=self.expires,
            version=self.version,
            targets=keys,
            delegations=Delegations({key.keyid: key}, roles),
        )

    def _authorities(self) -> dict[str, TargetFile]:
        acme = Publisher(name="acme", keys=(self.publisher.public_key,))
        return write_authorities(Authorities(intent_keys=(self.intent_signer.public_key,), publishers=(acme,)))


@dataclass
class Faults:
    """What the server does wrong next.

    Attributes:
        answers: (status, headers) given to the next ticket exchanges instead of a redirect.
        unavailable: How many of the next requests for metadata are answered 503.
        cut_after_bytes: How much each next answer carries before the connection is dropped.
        endless: Names of metadata files whose answers never end.
        trickling: Names of metadata files that come a byte at a time.
        bombs: Names of metadata files that come compressed and expand to gigabytes.
        headers: Sent with each 503.
        hold_at_byte: Where an answer stops until ``released`` is set; None: nowhere.
    """

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    unavailable: int = 0
    cut_after_bytes: list[int] = field(default_factory=list)
    endless: set[str] = field(default_factory=set)
    trickling: set[str] = field(default_factory=set)
    bombs: set[str] = field(default_factory=set)
    headers: dict[str, str] = field(default_factory=dict)
    hold_at_byte: int | None = None
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


@cache
def _bomb() -> bytes:
    """A gibibyte of spaces, compressed to about a mebibyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(b" " * (1 << 20)) for _ in range(1 << 10)), packer.flush()])


class PackageService:
    """The service as a device sees it, on a thread of its own: metadata, ticket exchange, storage with ranges."""

    def __init__(self, index: SignedIndex) -> None:
        self.index = index
        self.contents: dict[str, bytes] = {}
        self.tickets: set[str] = set()
        self.faults = Faults()
        self.exchanges = 0
        self.asked: list[str] = []
        self.poured = 0
        self.on_cut: Callable[[], None] = lambda: None
        self.ranges: list[str | None] = []
        self.logs: list[bytes] = []
        self.log_answers: list[int] = []
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def __enter__(self) -> PackageService:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.faults.released.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self._app(), shutdown_timeout=0.1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/repository/metadata/{name}", self._metadata)
        app.router.add_get("/api/downloads/{path:.+}", self._exchange)
        app.router.add_get("/storage/{path:.+}", self._storage)
        app.router.add_put("/api/logs", self._log)
        return app

    async def _never_end(self, request: web.Request, name: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b" " * (1 << 16) if name in self.faults.endless else b" ")
            self.poured += 1
            await asyncio.sleep(0 if name in self.faults.endless else 0.02)
        return response

    async def _metadata(self, request: web.Request) -> web.StreamResponse:
        if self.faults.unavailable > 0:
            self.faults.unavailable -= 1
            return web.Response(status=503, headers=self.faults.headers)
        name = request.match_info["name"]
        self.asked.append(name)
        if name in self.faults.endless | self.faults.trickling:
            return await self._never_end(request, name)
        if name in self.faults.bombs:
            return web.Response(body=_bomb(), headers={"Content-Encoding": "gzip"})
        content = self.index.files.get(name)
        return web.Response(body=content) if content is not None else web.Response(status=404)

    async def _log(self, request: web.Request) -> web.Response:
        content = await request.read()
        if self.log_answers:
            return web.Response(status=self.log_answers.pop(0))
        if request.headers.get("Groundswell-Ticket") not in self.tickets:
            return web.Response(status=401)
        self.logs.append(content)
        return web.Response(status=204)

    async def _exchange(self, request: web.Request) -> web.Response:
        self.exchanges += 1
        if self.faults.answers:
            status, headers = self.faults.answers.pop(0)
            return web.Response(status=status, headers=headers)
        if request.headers.get("Groundswell-Ticket") not in self.tickets:
            return web.Response(status=401)
        return web.Response(status=307, headers={"Location": f"/storage/{request.match_info['path']}?sig=x"})

    async def _storage(self, request: web.Request) -> web.StreamResponse:
        content = self.contents[request.match_info["path"]]
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        assert "Groundswell-Ticket" not in request.headers, "a ticket is no business of the storage"
        start = 0
        if asked and request.headers.get("If-Range") == etag:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
        headers = {"ETag": etag, "Content-Length": str(len(content) - start)}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        await response.prepare(request)
        await self._pour(request, response, content, start)
        return response

    async def _pour(self, request: web.Request, response: web.StreamResponse, content: bytes, start: int) -> None:
        cut = self.faults.cut_after_bytes.pop(0) if self.faults.cut_after_bytes else None
        hold = self.faults.hold_at_byte
        stop = len(content) if cut is None else start + cut
        if hold is not None and start < hold:
            await response.write(content[start:hold])
            self.faults.held.set()
            while not self.faults.released.is_set():
                await asyncio.sleep(0.02)
            start = hold
        await response.write(content[start:stop])
        if cut is not None and request.transport is not None:
            request.transport.abort()
            self.on_cut()

"""Bulk registry calls: ``POST /devices`` with up to 100 entries, each with an ``importMode`` of its own.

Modes: IoT Hub developer guide, "Import and export IoT Hub device identities in bulk". What a bulk call costs is not
documented: here each ``updateTwin`` entry is one twin update and all other entries together one registry operation.
``updateTwin`` merges, as a single PATCH does, unless the hub is set up otherwise (``BulkTwins``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from emulator.hub.config import BulkTwins
from emulator.hub.devices import read_identity
from emulator.hub.documents import Json, without_nulls
from emulator.hub.errors import Code, HubError, invalid
from emulator.hub.registry import ANY_ETAG
from emulator.hub.service_api import ServiceApi
from emulator.hub.throttle import Operation
from emulator.hub.twins import read_service_patch

MAX_ENTRIES = 100


class ImportMode(StrEnum):
    """What to do with an entry."""

    CREATE = "create"
    CREATE_OR_UPDATE = "createOrUpdate"
    CREATE_OR_UPDATE_IF_MATCH = "createOrUpdateIfMatchETag"
    UPDATE = "update"
    UPDATE_IF_MATCH = "updateIfMatchETag"
    DELETE = "delete"
    DELETE_IF_MATCH = "deleteIfMatchETag"
    UPDATE_TWIN = "updateTwin"
    UPDATE_TWIN_IF_MATCH = "updateTwinIfMatchETag"


_TWIN_MODES = frozenset({ImportMode.UPDATE_TWIN, ImportMode.UPDATE_TWIN_IF_MATCH})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry, with its mode read."""

    device_id: str
    mode: ImportMode
    document: Mapping[str, Any]

    def etag(self, key: str) -> str:
        """The etag to match, where the mode asks for one."""
        if not self.mode.endswith("IfMatchETag"):
            return ANY_ETAG
        etag = self.document.get(key)
        if not etag:
            raise invalid(f"{self.mode} needs {key}")
        return str(etag)


def read_entries(document: object) -> list[Entry]:
    """The entries of a request body.

    Raises:
        HubError: 413003 for more than 100; 400004.
    """
    if not isinstance(document, list):
        raise invalid("the body must be an array of devices")
    if len(document) > MAX_ENTRIES:
        raise HubError(Code.TOO_MANY_DEVICES, f"A bulk call takes at most {MAX_ENTRIES} devices")
    return [_read_entry(entry) for entry in document]


def _read_entry(document: object) -> Entry:
    if not isinstance(document, dict) or not isinstance(document.get("id"), str):
        raise invalid("each entry needs an id")
    if document.get("moduleId"):
        raise invalid("this hub has no modules")
    try:
        mode = ImportMode(document.get("importMode") or ImportMode.CREATE_OR_UPDATE)
    except ValueError:
        raise invalid(f"importMode {document['importMode']!r} is not known") from None
    return Entry(device_id=document["id"], mode=mode, document=document)


def apply_entries(api: ServiceApi, entries: Sequence[Entry]) -> Json:
    """Do what the entries say, in order; the ``BulkRegistryOperationResult``.

    Raises:
        HubError: 429001 or 403002, before anything was done.
    """
    _admit(api, entries)
    seen: set[str] = set()
    errors = []
    for entry in entries:
        try:
            if entry.device_id in seen:
                raise HubError(Code.DEVICE_DEFINED_TWICE, f"Device {entry.device_id} is given more than once")
            seen.add(entry.device_id)
            _ACTIONS[entry.mode](api, entry)
        except HubError as error:
            errors.append(_write_error(entry, error))
    return {"isSuccessful": not errors, "errors": errors, "warnings": []}


def _admit(api: ServiceApi, entries: Sequence[Entry]) -> None:
    twin_updates = sum(entry.mode in _TWIN_MODES for entry in entries)
    if twin_updates:
        api.hub.throttle.check_quota()
        api.hub.throttle.admit(Operation.TWIN_UPDATE, twin_updates)
    if twin_updates < len(entries):
        api.hub.throttle.admit(Operation.REGISTRY)


def _write_error(entry: Entry, error: HubError) -> Json:
    return {
        "deviceId": entry.device_id,
        "errorCode": error.code.wire_name,
        "errorStatus": error.message,
        "operation": entry.mode.value,
    }


def _create(api: ServiceApi, entry: Entry) -> None:
    api.create_admitted(entry.device_id, read_identity(entry.document), read_service_patch(entry.document))


def _update(api: ServiceApi, entry: Entry) -> None:
    before = api.hub.registry.get(entry.device_id).identity
    api.update_admitted(entry.device_id, read_identity(entry.document, before), entry.etag("eTag"))


def _create_or_update(api: ServiceApi, entry: Entry) -> None:
    if api.hub.registry.find(entry.device_id) is None:
        _create(api, entry)
    else:
        _update(api, entry)


def _delete(api: ServiceApi, entry: Entry) -> None:
    api.delete_admitted(entry.device_id, entry.etag("eTag"))


def _update_twin(api: ServiceApi, entry: Entry) -> None:
    patch, etag = read_service_patch(entry.document), entry.etag("twinETag")
    match BulkTwins(api.hub.throttle.config.bulk_twins):
        case BulkTwins.MERGE:
            api.patch_twin_admitted(entry.device_id, patch, etag)
        case BulkTwins.KEEP_NULLS:
            kept = replace(patch, desired=patch.desired and without_nulls(patch.desired))
            api.patch_twin_admitted(entry.device_id, kept, etag)
        case BulkTwins.REPLACE:
            api.replace_twin_admitted(entry.device_id, patch, etag)


_ACTIONS: Mapping[ImportMode, Callable[[ServiceApi, Entry], None]] = {
    ImportMode.CREATE: _create,
    ImportMode.CREATE_OR_UPDATE: _create_or_update,
    ImportMode.CREATE_OR_UPDATE_IF_MATCH: _create_or_update,
    ImportMode.UPDATE: _update,
    ImportMode.UPDATE_IF_MATCH: _update,
    ImportMode.DELETE: _delete,
    ImportMode.DELETE_IF_MATCH: _delete,
    ImportMode.UPDATE_TWIN: _update_twin,
    ImportMode.UPDATE_TWIN_IF_MATCH: _update_twin,
}

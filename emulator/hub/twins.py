"""A device twin and the three ways to change one.

IoT Hub developer guide, "Understand and use device twins". Two points it leaves open are settled as follows: the
etag follows writes of the service only (tags and desired properties), the twin's ``version`` follows every write.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from emulator.hub import documents, limits
from emulator.hub.clock import write_time
from emulator.hub.documents import Json, Section
from emulator.hub.errors import invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """One device's twin.

    Attributes:
        version: rises with every write; 2 at first, as in the documented ``createDeviceIdentity`` event.
        revision: rises with every write of the service; the etag is made from it.
    """

    tags: Section = documents.EMPTY
    desired: Section = documents.EMPTY
    reported: Section = documents.EMPTY
    version: int = 2
    revision: int = 1

    @property
    def etag(self) -> str:
        """Base64 of the revision as eight bytes, as the real ones look (``AAAAAAAAAAE=``)."""
        return base64.b64encode(self.revision.to_bytes(8)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePatch:
    """What a service writes: None leaves a section alone."""

    tags: Json | None = None
    desired: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinChange:
    """A change that has happened.

    Attributes:
        body: the ``updateTwin`` notification's body.
        desired: what the device is told; None where its desired properties did not change.
    """

    twin: Twin
    body: Json
    desired: Json | None = None


def read_service_patch(document: object) -> ServicePatch:
    """The tags and desired properties in a request body; what a service cannot write is ignored.

    Raises:
        HubError: 400004.
    """
    if not isinstance(document, dict):
        raise invalid("the body must be a JSON object")
    properties = document.get("properties") or {}
    if not isinstance(properties, dict):
        raise invalid("properties must be a JSON object")
    tags = _section(document, "tags", "tags")
    return ServicePatch(tags=tags, desired=_section(properties, "desired", "properties.desired"))


def _section(document: Mapping[str, Any], key: str, where: str) -> Json | None:
    if key not in document or document[key] is None:
        return None
    section = document[key]
    if isinstance(section, dict):
        section = documents.without_read_only(section)
    return limits.check_patch(section, where)


def patch_by_service(twin: Twin, patch: ServicePatch, now: datetime) -> TwinChange:
    """Merge a service's patch.

    Raises:
        HubError: 400004, a section would become too large.
    """
    changed = replace(twin, version=twin.version + 1, revision=twin.revision + 1)
    body: Json = {"version": changed.version}
    told = None
    if patch.tags is not None:
        tags = documents.merge(twin.tags, patch.tags, {})
        changed, body["tags"] = replace(changed, tags=_within(tags, twin.tags, "tags")), patch.tags
    if patch.desired is not None:
        stamp = _desired_stamp(twin, now)
        desired = documents.merge(twin.desired, patch.desired, stamp)
        changed = replace(changed, desired=_within(desired, twin.desired, "properties.desired"))
        body["properties"] = {"desired": _notification(patch.desired, stamp, desired.version)}
        told = {**patch.desired, "$version": desired.version}
    return TwinChange(twin=changed, body=body, desired=told)


def replace_by_service(twin: Twin, patch: ServicePatch, now: datetime) -> TwinChange:
    """Replace the sections that the patch names; the change's body is left to the caller, who knows the device."""
    changed = replace(twin, version=twin.version + 1, revision=twin.revision + 1)
    told = None
    if patch.tags is not None:
        tags = documents.replace(twin.tags, patch.tags, {})
        changed = replace(changed, tags=_within(tags, twin.tags, "tags"))
    if patch.desired is not None:
        desired = documents.replace(twin.desired, patch.desired, _desired_stamp(twin, now))
        changed = replace(changed, desired=_within(desired, twin.desired, "properties.desired"))
        told = {**desired.values, "$version": desired.version}
    return TwinChange(twin=changed, body={}, desired=told)


def patch_by_device(twin: Twin, patch: Json, now: datetime) -> TwinChange:
    """Merge a device's patch of its reported properties, checked before by :func:`limits.check_patch`.

    Raises:
        TwinTooLarge: The section would become too large.
    """
    stamp = {"$lastUpdated": write_time(now)}
    reported = documents.merge(twin.reported, patch, stamp)
    changed = replace(twin, version=twin.version + 1, reported=_within(reported, twin.reported, "properties.reported"))
    body = {
        "version": changed.version,
        "properties": {"reported": _notification(patch, stamp, reported.version)},
    }
    return TwinChange(twin=changed, body=body)


def _within(after: Section, before: Section, where: str) -> Section:
    limit = limits.TAGS_BYTES if where == "tags" else limits.PROPERTIES_BYTES
    limits.check_size(where, limit_bytes=limit, before_bytes=before.size_bytes, after_bytes=after.size_bytes)
    return after


def _desired_stamp(twin: Twin, now: datetime) -> Json:
    return {"$lastUpdated": write_time(now), "$lastUpdatedVersion": twin.desired.version + 1}


def _notification(patch: Json, stamp: Json, version: int) -> Json:
    return {**patch, "$metadata": documents.stamps_of(patch, stamp), "$version": version}

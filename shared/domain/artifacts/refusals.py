"""Why an artifact is refused, and what its owner can do about it. ``docs/artifacts.md`` lists the same."""

from __future__ import annotations

from enum import StrEnum

from shared.domain.errors import ArtifactRefused


class Refusal(StrEnum):
    """The code written beside a quarantined artifact."""

    EMPTY = "empty"
    UNKNOWN_KIND = "unknown_kind"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    HOSTILE_PATH = "hostile_path"
    COMPRESSION_UNSUPPORTED = "compression_unsupported"
    DECOMPRESSION_BOMB = "decompression_bomb"
    BAD_DESCRIPTION = "bad_description"
    NAME_MISSING = "name_missing"
    NAME_INVALID = "name_invalid"
    VERSION_MISSING = "version_missing"
    VERSION_INVALID = "version_invalid"
    CONTRADICTS_CONTENT = "contradicts_content"
    VERSION_TAKEN = "version_taken"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_UNREADABLE = "signature_unreadable"
    SIGNATURE_WRONG = "signature_wrong"
    SIGNATURE_MISMATCH = "signature_mismatch"
    PUBLISHER_UNKNOWN = "publisher_unknown"
    PUBLISHER_NOT_ALLOWED = "publisher_not_allowed"
    PACKAGE_WITHDRAWN = "package_withdrawn"
    SIDECAR_ALONE = "sidecar_alone"
    FUNCTION_CRASHED = "function_crashed"

    @property
    def advice(self) -> str:
        """What to do about it, one or two sentences."""
        return _ADVICE[self]


_ADVICE = {
    Refusal.EMPTY: "Upload it again; the upload or the build before it left nothing.",
    Refusal.UNKNOWN_KIND: "Drop an MCUboot image, a U-Boot legacy image (uImage) or a Debian package; wrap anything "
    "else in a Debian package.",
    Refusal.TRUNCATED: "Upload it again and compare its size with that of the file it was made from.",
    Refusal.CORRUPT: "Build or fetch it again; the part named in the reason contradicts the rest of the file.",
    Refusal.HOSTILE_PATH: "Look at where this file comes from: the member named in the reason would be written outside "
    "the folder it is unpacked into.",
    Refusal.COMPRESSION_UNSUPPORTED: "Build the package with gzip or xz, for example `dpkg-deb -Zxz --build`, at a "
    "preset of 9 or below.",
    Refusal.DECOMPRESSION_BOMB: "Look at where this file comes from: it unpacks to far more than packages do.",
    Refusal.BAD_DESCRIPTION: "Mend the blob metadata or the .package.json as the reason says and drop both again.",
    Refusal.NAME_MISSING: "Set the blob metadata `name`, put a <artifact>.package.json beside it, or drop it as "
    "<name>/<version>/<file>.",
    Refusal.NAME_INVALID: "Use 1-100 letters, digits and ._+- for the name, beginning with a letter or digit.",
    Refusal.VERSION_MISSING: "Set the blob metadata `version`, put a <artifact>.package.json beside it, or drop it as "
    "<name>/<version>/<file>.",
    Refusal.VERSION_INVALID: "Use one to four numbers with dots, such as 1.4.2 or 2.0.0-rc.1; Debian packages carry "
    "a Debian version.",
    Refusal.CONTRADICTS_CONTENT: "Drop the artifact without name, version and architecture, or with those that its "
    "control file has.",
    Refusal.VERSION_TAKEN: "Give the new content a new version; what has been accepted is never changed.",
    Refusal.SIGNATURE_MISSING: "Sign it with `groundswell publisher sign` and drop <artifact>.sig before the artifact.",
    Refusal.SIGNATURE_UNREADABLE: "Make the .sig anew with `groundswell publisher sign`; it is a DSSE envelope.",
    Refusal.SIGNATURE_WRONG: "Sign the artifact anew; the signature is not by the key it names, or was changed since.",
    Refusal.SIGNATURE_MISMATCH: "Sign this very file, under the name, version and compatibility it shall have.",
    Refusal.PUBLISHER_UNKNOWN: "Sign with a key that the index names, or have the owners of the targets role name "
    "yours.",
    Refusal.PUBLISHER_NOT_ALLOWED: "Have whoever publishes packages of that name sign it, or the owners of the targets "
    "role widen your patterns.",
    Refusal.PACKAGE_WITHDRAWN: "Give the content a new version, if it is good; what was withdrawn does not come back.",
    Refusal.SIDECAR_ALONE: "Drop the artifact it speaks about together with it, the artifact last.",
    Refusal.FUNCTION_CRASHED: "Report this with the artifact; the service failed to read it, which is a bug.",
}


def refused(refusal: Refusal, reason: str) -> ArtifactRefused:
    """The error to raise."""
    return ArtifactRefused(reason, code=refusal.value)

"""Campaign files, read with the line of whatever is wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cli.campaign.lines import Lined, YamlInvalid, read_yaml
from shared.domain.errors import DomainError
from shared.wire.campaign_files import CampaignFile
from shared.wire.http_campaigns import check_together
from shared.wire.http_fields import InvalidRequest, words_of

_FIELD = r"[a-z_]\w*(?:\.\w+)*"
_COMPLAINT = re.compile(rf"({_FIELD}): ")


class CampaignFileInvalid(DomainError):
    """A file that cannot be used; each line of the message is ``<file>:<line>: <field>: <reason>``."""

    code = "campaign_file_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """A file that can be used, as far as can be known without the service."""

    path: Path
    file: CampaignFile
    source: Lined

    def explain(self, number: int, detail: str) -> str:
        """What the service or a rule says about one campaign's fields, with the file's lines.

        Args:
            detail: Complaints such as ``waves.0.gate: too small; targets: none``.
        """
        return "\n".join(_located(self.path, self.source, ("campaigns", number), part) for part in _parts(detail))

    def place_of(self, number: int, field: str) -> str:
        """``<file>:<line>: `` of one campaign's field, or of the nearest one around it."""
        path = [int(part) if part.isdecimal() else part for part in field.split(".")]
        return f"{self.path}:{self.source.line_of(['campaigns', number, *path])}: "


def read_campaign_file(path: Path) -> ReadFile:
    """The campaigns in a file.

    Raises:
        CampaignFileInvalid: It cannot be read, or fields are missing, unknown, out of bounds or contradict each other.
    """
    try:
        source = read_yaml(path.read_text(encoding="utf-8"))
    except YamlInvalid as error:
        raise CampaignFileInvalid(f"{path}:{error.message}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise CampaignFileInvalid(f"{path}: {error}") from error
    found = ReadFile(path=path, file=_validated(path, source), source=source)
    if complaints := list(_check(found)):
        raise CampaignFileInvalid("\n".join(complaints))
    return found


def _validated(path: Path, source: Lined) -> CampaignFile:
    try:
        # By way of JSON, so that the file is held to the very rules of the HTTP API.
        return CampaignFile.model_validate_json(json.dumps(source.value), strict=True)
    except ValidationError as error:
        raise CampaignFileInvalid("\n".join(_complaints(path, source, error))) from error


def _complaints(path: Path, source: Lined, error: ValidationError) -> Iterator[str]:
    for problem in error.errors()[:20]:
        field = ".".join(str(part) for part in problem["loc"]) or "file"
        yield f"{path}:{source.line_of(problem['loc'])}: {field}: {words_of(problem)}"


def _check(found: ReadFile) -> Iterator[str]:
    for number, campaign in enumerate(found.file.campaigns):
        try:
            check_together(campaign)
        except InvalidRequest as error:
            yield found.explain(number, error.message)


def _parts(detail: str) -> list[str]:
    """Complaints of the service: a semicolon parts two only where a field follows."""
    return re.split(rf"; (?={_FIELD}: )", detail) if detail else [""]


def _located(path: Path, source: Lined, around: tuple[str | int, ...], complaint: str) -> str:
    match = _COMPLAINT.match(complaint)
    fields = [int(part) if part.isdecimal() else part for part in match[1].split(".")] if match else []
    prefix = ".".join(str(part) for part in around)
    return f"{path}:{source.line_of([*around, *fields])}: {prefix}{'.' if match else ': '}{complaint}"

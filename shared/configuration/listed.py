"""A setting as the list of settings has it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from shared.configuration.rules import Rule, anything


class Place(StrEnum):
    """Where a setting is set."""

    EVERYWHERE = "everywhere"
    AZURE = "azure"
    LOCAL = "local"


class UsedBy(StrEnum):
    """Who uses a setting. Of what only the host needs to start, the service checks nothing: it would not run."""

    SERVICE = "service"
    TRIGGERS = "triggers"
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        default: What holds where it is empty or not set; None where it must be set.
        rule: What is wrong with a text.
        identity: Suffixes of ``<name>__<suffix>``, the settings that stand for it where the app's identity opens the
            connection, each with its rule.
    """

    name: str
    default: str | None = None
    rule: Rule = anything
    identity: tuple[tuple[str, Rule], ...] = ()
    place: Place = Place.EVERYWHERE
    used_by: UsedBy = UsedBy.SERVICE

    @property
    def by_identity(self) -> dict[str, Rule]:
        """The names of the settings that stand for it, each with its rule."""
        return {f"{self.name}__{suffix}": rule for suffix, rule in self.identity}

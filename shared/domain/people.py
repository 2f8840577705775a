"""People, as campaigns and the audit log name them: a display name and the subject that never changes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LABEL = re.compile(r"(?P<name>.*) <(?P<subject>[^<>]+)>", re.DOTALL)
_UNFIT = re.compile(r"[<>\x00-\x1f\x7f]+")
MAX_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who asks for something.

    Attributes:
        subject: Stable and unique, such as Entra's object id.
        name: For people; it may change, and two may have the same.
    """

    subject: str
    name: str

    @property
    def label(self) -> str:
        """How rows and logs name them: ``name <subject>``."""
        name = " ".join(_UNFIT.sub(" ", self.name).split())[:MAX_NAME]
        return f"{name} <{self.subject}>"


def subject_of(label: str) -> str:
    """The subject in a label; a label without one is a subject itself."""
    match = _LABEL.fullmatch(label)
    return match["subject"] if match else label


def name_of(label: str) -> str:
    """The display name in a label."""
    match = _LABEL.fullmatch(label)
    return match["name"] if match else label

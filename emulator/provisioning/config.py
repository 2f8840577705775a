"""How a provisioning service is set up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningConfig:
    """One provisioning service.

    Attributes:
        id_scope: what devices name it by; Azure makes these up.
        group: an enrolment group that is there from the start, with keys of its own; empty for none.
        retry_after_s: what its answers ask devices to wait.
        assigning_s: how long an assignment takes.
    """

    id_scope: str = "0ne0000C10D"
    group: str = ""
    retry_after_s: int = 1
    assigning_s: float = 0.0

"""The composition root: the sole reader of the environment and the clock.

Nothing is built when this is imported: a missing setting must not hide the functions from the host.
"""

from shared.wiring.process import service, stand_in_sender, tokens_are_demanded
from shared.wiring.service import Service, utc_now

__all__ = ["Service", "service", "stand_in_sender", "tokens_are_demanded", "utc_now"]

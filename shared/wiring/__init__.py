"""The composition root: the sole reader of the environment and the clock.

Nothing is built when this is imported: a missing setting must not hide the functions from the host.
"""

from shared.wiring.service import Service, service, tokens_are_demanded

__all__ = ["Service", "service", "tokens_are_demanded"]

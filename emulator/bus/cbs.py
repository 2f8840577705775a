"""The node `$cbs`: a client puts a token before it attaches to an entity (claims-based security)."""

from emulator.bus.amqp.types import Int
from emulator.bus.errors import BusError, Condition
from emulator.bus.requests import Request, write_reply
from emulator.bus.sas import Grants, SasVerifier

NODE = "$cbs"


def answer_token(request: Request, verifier: SasVerifier, grants: Grants, now: float) -> bytes:
    """Verifies a put token, notes what it grants, and returns the encoded reply: 202 or 401."""
    try:
        if request.properties.get("operation") != "put-token" or not isinstance(request.body, str):
            raise BusError(Condition.NOT_IMPLEMENTED, "$cbs knows put-token with a token as text.")
        grants.add(verifier.verify(request.body, now))
    except BusError as error:
        return _reply(request, 401, error.description)
    return _reply(request, 202, "Accepted")


def _reply(request: Request, status: int, description: str) -> bytes:
    return write_reply(request, {"status-code": Int(status), "status-description": description}, None)

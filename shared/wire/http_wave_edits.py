"""What operators send to ``PATCH /campaigns/{id}/waves``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, ValidationError

from shared.domain.gates import Gate
from shared.domain.waves import WaveSpec
from shared.wire.http_fields import InvalidRequest, RequestModel, complaints
from shared.wire.http_waves import MAX_WAVES, GateRequest, WaveRequest, check_order


class WavesRequest(RequestModel):
    """All waves that have not begun, as they shall be.

    A wave without a gate takes ``gate``; without that, it keeps the gate of the wave that stood in its place.
    """

    waves: Annotated[list[WaveRequest], Field(min_length=1, max_length=MAX_WAVES)]
    gate: GateRequest | None = None

    def to_waves(self, pending: Sequence[WaveSpec], *, begun: int) -> tuple[WaveSpec, ...]:
        """The waves it means.

        Args:
            pending: The waves that stand there now.
            begun: How many waves come before them.
        """
        gate = self.gate.to_gate() if self.gate else None
        return tuple(
            wave.to_wave(begun + place + 1, gate or (pending[min(place, len(pending) - 1)].gate if pending else Gate()))
            for place, wave in enumerate(self.waves)
        )


def read_waves_request(body: bytes) -> WavesRequest:
    """The request in a JSON body.

    Raises:
        InvalidRequest: It is no JSON, or fields are missing, unknown or out of bounds.
    """
    try:
        request = WavesRequest.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise InvalidRequest(complaints(error)) from error
    check_order(request.to_waves((), begun=0))
    return request

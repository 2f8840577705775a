"""What is known of a plan, and the form of what there is to say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.campaign_specs import CampaignSpec
from shared.domain.forecast import Forecast, ForecastInputs, WaveForecast
from shared.domain.plan_findings import Findings
from shared.domain.waves import WaveSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWarning:
    """One thought.

    Attributes:
        field: Where in the request, such as ``waves.0.gate.success_percent``.
    """

    code: str
    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """Everything the rules look at."""

    spec: CampaignSpec
    inputs: ForecastInputs
    forecast: Forecast
    findings: Findings

    @property
    def devices(self) -> int:
        """All targets."""
        return sum(load.devices for load in self.inputs.waves)

    @property
    def waves(self) -> Sequence[tuple[int, WaveSpec, WaveForecast]]:
        """Position in the request, what was asked for, and what is expected, of each wave."""
        return [(at, *pair) for at, pair in enumerate(zip(self.spec.waves, self.forecast.waves, strict=False))]

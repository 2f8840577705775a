"""A simulated fleet: many devices in one process, judging, fetching and reporting as the agent does."""

from agent.fleet.behaviour import Behaviour, BehaviourKind
from agent.fleet.fleet import DeviceSetup, Environment, SimulatedFleet
from agent.fleet.sources import Fetching
from agent.fleet.surroundings import Pace
from agent.fleet.thread import FleetThread

__all__ = [
    "Behaviour",
    "BehaviourKind",
    "DeviceSetup",
    "Environment",
    "Fetching",
    "FleetThread",
    "Pace",
    "SimulatedFleet",
]

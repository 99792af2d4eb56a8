"""Exploration: many machines of a network, and those that no other beats."""

from pilaster.sim.explore.explore import explore_network
from pilaster.sim.explore.request import Axis, ExploreRequest
from pilaster.sim.explore.result import Exploration

__all__ = ["Axis", "Exploration", "ExploreRequest", "explore_network"]

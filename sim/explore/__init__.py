"""Exploration: random machines of a network, and their Pareto front."""

from pilaster.sim.explore.explore import explore_network
from pilaster.sim.explore.request import Axis, ExploreRequest
from pilaster.sim.explore.result import Exploration

__all__ = ["Axis", "Exploration", "ExploreRequest", "explore_network"]

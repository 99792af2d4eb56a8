"""Energy tables: what each action of a machine costs, where that was published, and what is not."""

from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.energy.load import table_names
from pilaster.models.energy.table import EnergyTable, Listing

__all__ = ["Action", "Attributes", "EnergyTable", "Listing", "table_names"]

"""Result of an exploration: machines as columns of figures, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pilaster.base.arguments import as_whole
from pilaster.base.errors import InputError
from pilaster.base.notebook import html_table
from pilaster.sim.explore.draw import Drawn
from pilaster.sim.explore.options import Options
from pilaster.sim.explore.request import ExploreRequest
from pilaster.sim.frame import data_frame
from pilaster.sim.machine import Machine
from pilaster.sim.mapper.pareto import front
from pilaster.sim.results import NO_ZEROS
from pilaster.sim.utilization import utilization

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Exploration", "figures"]

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Exploration:
    """Machines of a network that meet their column interval and the requested latency.

    Attributes
    ----------
    request : the request
    options : options from which each stage was drawn
    choice : (stages, machines), the option of each stage
    columns : figures by name, (machines,); the names include the units. ``machine`` is the number
        of the draw. Energies are for an image in which no activation is zero; all weights are on
        chip
    holding : number of machines drawn that meet their interval, with any latency
    front : rows of the machines on the Pareto front, sorted by the first axis
    checked_images : total number of images in the event-driven simulation of the front
    differences : disagreements with the event-driven simulation, one line each; empty if none
    """

    request: ExploreRequest
    options: tuple[Options, ...]
    choice: NDArray[np.int32]
    columns: Columns
    holding: int
    front: NDArray[np.intp]
    checked_images: int = 0
    differences: tuple[str, ...] = ()

    def __repr__(self) -> str:
        axes = ", ".join(map(str, self.request.axes))
        late = "" if self.request.max_latency is None else f", {len(self):,} the latency too"
        return (
            f"<Exploration {self.request.network.name}: {self.request.machines:,} machines drawn, "
            f"{self.holding:,} keep their interval{late}; {len(self.front):,} that none beats in "
            f"{axes}>"
        )

    def _repr_html_(self) -> str:
        columns = {
            name: [_cell(value) for value in self.columns[name][self.front].tolist()]
            for name in self.columns
        }
        rows = list(zip(*columns.values(), strict=True))
        return html_table(repr(self), [name.replace("_", " ") for name in columns], rows)

    def __len__(self) -> int:
        return int(self.choice.shape[1])

    @property
    def front_columns(self) -> Columns:
        """Figures of the front, with the fold of each stage as in a machine file."""
        folds = {
            stage.name: np.array([str(stage.specs[c].fold) for c in chosen[self.front]])
            for stage, chosen in zip(self.options, self.choice, strict=True)
        }
        return {name: column[self.front] for name, column in self.columns.items()} | folds

    def frame(self) -> pd.DataFrame:
        """Return the front as a DataFrame, one row per machine.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        return data_frame(self.front_columns)

    def machines_frame(self) -> pd.DataFrame:
        """Return all machines as a DataFrame.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        return data_frame(self.columns)

    def machine(self, row: int) -> Machine:
        """Return the machine of a row; `front` gives the rows of the front.

        Raises
        ------
        InputError
            If the row does not exist.
        """
        row = as_whole("row", row, least=0)
        if row >= len(self):
            raise InputError(f"row: must be below {len(self):,}, not {row:,}")
        number = int(self.columns["machine"][row])
        return Machine(
            f"{self.request.network.name} {number}",
            self.request.network.name,
            int(self.columns["column_interval_cycles"][row]),
            {
                stage.name: stage.specs[chosen]
                for stage, chosen in zip(self.options, self.choice[:, row], strict=True)
            },
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: the request, the counts, and the rows of the front."""
        columns = {name: column.tolist() for name, column in self.front_columns.items()}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        tables = self.request.tables
        return {
            **self.request.as_dict(),
            "folds_considered": sum(stage.considered for stage in self.options),
            "folds_drawn_from": sum(map(len, self.options)),
            "machines_holding": self.holding,
            "machines_kept": len(self),
            "checked_machines": len(self.front),
            "checked_images": self.checked_images,
            "differences": list(self.differences),
            "activations": NO_ZEROS,
            "weights": "on chip",
            "not_included": {table.name: list(table.missing) for table in tables},
            "front": rows,
        }


def figures(
    request: ExploreRequest,
    options: Sequence[Options],
    column_interval: NDArray[np.int64],
    drawn: Drawn,
) -> dict[str, NDArray[Any]]:
    """Work out the figures of machines.

    Parameters
    ----------
    column_interval : (machines,)
    """
    shape = request.network.graph.input_shape
    chosen = list(zip(options, drawn.choice, strict=True))
    multiplies = [stage for stage in options if stage.lanes.any()]
    gathers = np.sum([stage.gathers[choice] for stage, choice in chosen], axis=0)
    kinds = np.array(["scatter", "mixed", "gather"])
    kind = (gathers > 0).astype(np.intp) + (gathers == len(multiplies))
    cycles = column_interval * shape.width
    columns: dict[str, NDArray[Any]] = {
        "machine": drawn.machine,
        "column_interval_cycles": column_interval,
        "schedule": kinds[kind],
        "lanes": np.sum([stage.lanes[choice] for stage, choice in chosen], axis=0),
        "latency_after_last_column_cycles": drawn.latency,
        "latency_cycles": column_interval * (shape.width - 1) + shape.height + drawn.latency,
        "cycles_per_image": cycles,
    }
    operations = np.sum([stage.operations[choice] for stage, choice in chosen], axis=0)
    columns["utilization"] = utilization(operations, columns["lanes"], cycles)
    # Index of the width of the beats that come to each stage.
    coming = [np.zeros(len(drawn.machine), np.intp)]
    coming += [stage.sends[choice] for stage, choice in chosen[:-1]]
    for place, table in enumerate(request.tables):
        energy = np.zeros(len(drawn.machine))
        for (stage, choice), width in zip(chosen, coming, strict=True):
            each = place, choice, width
            energy += stage.image_pj[each] + stage.cycle_pj[each] * cycles
        columns[f"energy_pj_{table.name}"] = energy
        if request.clock_mhz is not None:
            columns[f"power_uw_{table.name}"] = energy * request.clock_mhz / cycles
    for place, table in enumerate(request.with_area):
        areas = [stage.area_um2[place, choice] for stage, choice in chosen]
        columns[f"area_um2_{table.name}"] = np.sum(areas, axis=0)
    return columns


def best_rows(request: ExploreRequest, columns: Columns) -> NDArray[np.intp]:
    """Find the machines that no other beats in all axes; of equal ones, the first drawn."""
    rows = np.stack([columns[axis.column].astype(np.float64) for axis in request.axes])
    best = front(rows)
    return best[np.lexsort(rows[::-1, best])]


def _cell(value: object) -> str:
    return value if isinstance(value, str) else f"{value:,.0f}"

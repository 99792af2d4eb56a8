"""A network on a machine: the stages in order, checked against both."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pilaster.base.errors import InputError
from pilaster.models.graph import INPUT
from pilaster.models.network import Network
from pilaster.sim.beats import Beats
from pilaster.sim.least_columns import LeastColumns, check_columns, least_columns
from pilaster.sim.machine import Machine
from pilaster.sim.stages import Stage
from pilaster.sim.stages.kinds import build_stage, kind_of
from pilaster.sim.work import SOURCE, Arm, DeadlockError

__all__ = ["Pipeline", "with_arm_columns"]


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The stages of `network` as `machine` lays them out, in the graph's order.

    Raises
    ------
    InputError
        If a stage is missing or unknown, a fold does not fit its layer, the weights kept on chip do
        not fit the machine's memory, or the column buffers of a join are so few that it deadlocks.
    """

    network: Network
    machine: Machine

    def __post_init__(self) -> None:
        names = [node.name for node in self.network.graph.nodes]
        for name in self.machine.stages:
            if name not in names:
                close = difflib.get_close_matches(name, names, 1)
                hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"
                raise InputError(f"{self._where}: stage {name} is no layer of the network{hint}")
        for name in names:
            if name not in self.machine.stages:
                raise InputError(f"{self._where}: layer {name} has no stage")
        limit = self.machine.weight_memory_bits
        if limit is not None and self.weight_bits_on_chip > limit:
            raise InputError(
                f"{self._where}: weight_memory_bits: {limit} bits do not hold the "
                f"{self.weight_bits_on_chip} bits of weights kept on chip; give more, or "
                f"dram_bits_per_cycle to some stages"
            )

    @property
    def _where(self) -> str:
        return f"machine {self.machine.name} for {self.network.name}"

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The stages, in the graph's order."""
        try:
            stages = tuple(
                build_stage(self.network, node, self.machine.stages[node.name])
                for node in self.network.graph.nodes
            )
        except InputError as error:
            raise InputError(f"{self._where}: {error}") from error
        if not any(stage.joins for stage in stages):
            return stages
        columns = self._arm_columns(stages)
        return tuple(
            stage.with_arm_columns(found) for stage, found in zip(stages, columns, strict=True)
        )

    def _arm_columns(self, stages: tuple[Stage, ...]) -> tuple[tuple[int, ...], ...]:
        """Column buffers of every arm: those that the machine tells, checked, or the fewest."""
        told = [stage.arm_columns for stage in stages]
        try:
            if all(told):
                rows, work = self._rows, [stage.work for stage in stages]
                check_columns(rows, work, _arms(self.sources, told))
                return tuple(told)
            return self._least_columns(stages, told).columns
        except DeadlockError as error:
            join = stages[error.stage]
            untold = [() if s.joins else s.arm_columns for s in stages]
            enough = self._least_columns(stages, untold).columns[error.stage]
            raise InputError(
                f"{self._where}: stage {join.name}: arm_columns: with {list(join.arm_columns)} the "
                f"stages wait for each other for ever; {list(enough)} are enough"
            ) from error

    def _least_columns(
        self, stages: tuple[Stage, ...], told: Sequence[tuple[int, ...]]
    ) -> LeastColumns:
        interval, work = self.machine.column_interval, [stage.work for stage in stages]
        return least_columns(self._rows, interval, work, _arms(self.sources, told))

    @property
    def _rows(self) -> int:
        return self.network.graph.input_shape.height

    @cached_property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """Index of the stage that every arm of every stage reads, or `SOURCE`."""
        index = {INPUT: SOURCE}
        index |= {node.name: i for i, node in enumerate(self.network.graph.nodes)}
        return tuple(
            tuple(index[name] for name in node.inputs) for node in self.network.graph.nodes
        )

    @cached_property
    def arms(self) -> tuple[tuple[Arm, ...], ...]:
        """The arms of every stage."""
        return _arms(self.sources, [stage.arm_columns for stage in self.stages])

    @cached_property
    def beats(self) -> tuple[tuple[Beats, ...], ...]:
        """Beats of the stream that every arm of every stage reads."""
        whole = Beats.whole(self.network.graph.input_shape.channels)
        return tuple(
            tuple(whole if source == SOURCE else self.stages[source].beats for source in sources)
            for sources in self.sources
        )

    @property
    def lanes(self) -> int:
        """Multipliers of all stages."""
        return sum(stage.lanes for stage in self.stages)

    @property
    def weight_bits_on_chip(self) -> int:
        """Bits of weights that stay on chip."""
        return sum(
            kind_of(stage).storage(stage).weights
            for stage in self.stages
            if not stage.spec.dram_bits_per_cycle
        )


def _arms(
    sources: Sequence[tuple[int, ...]], columns: Sequence[tuple[int, ...]]
) -> tuple[tuple[Arm, ...], ...]:
    """Arms of stages; where no columns are told, they have as many as are ever needed."""
    return tuple(
        tuple(map(Arm, each, told or (None,) * len(each)))
        for each, told in zip(sources, columns, strict=True)
    )


def with_arm_columns(network: Network, machine: Machine) -> Machine:
    """Tell the column buffers of every join of a machine.

    Raises
    ------
    InputError
        If the machine does not fit the network.
    """
    told = {
        stage.name: replace(stage.spec, arm_columns=stage.arm_columns)
        for stage in Pipeline(network, machine).stages
        if stage.joins
    }
    return replace(machine, stages={**machine.stages, **told})

"""Standard cells: what they compute, and their tables of delay and energy.

Numbers are in ns, pF, pJ, uW and um2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pilaster.rtl.gates.function import Function
from pilaster.rtl.gates.liberty_tables import Table

__all__ = ["Arc", "Cell", "ClockGate", "FlipFlop", "InternalPower", "Leakage", "Pin"]


@dataclass(frozen=True, eq=False)
class InternalPower:
    """Energy in pJ of an edge of a pin, beyond that of its load.

    Attributes
    ----------
    related : of an output, the input that made the edge; empty where any may have
    when : state of the cell for which it holds; None where it holds in all others
    supply : pin that it is drawn from; what is drawn from several adds up
    opposite : output whose load is the third axis of the tables; empty where they have none
    """

    related: str
    when: Function | None
    rise: Table
    fall: Table
    supply: str = ""
    opposite: str = ""


@dataclass(frozen=True, eq=False)
class Leakage:
    """Leakage in uW while `when` holds; where that is None, in all other states of the supply."""

    when: Function | None
    value: float
    supply: str = ""


@dataclass(frozen=True, eq=False)
class Arc:
    """Delay from one pin to another, or a constraint of one by another.

    Attributes
    ----------
    kind : timing type of Liberty; "combinational" where the file says none
    delays, slews : of a rising and a falling edge of the pin; of a constraint, `delays` only
    """

    related: str
    kind: str
    sense: str
    delays: tuple[Table | None, Table | None]
    slews: tuple[Table | None, Table | None]


@dataclass(frozen=True, eq=False)
class Pin:
    """A pin of a cell.

    Attributes
    ----------
    capacitance : mean of both edges
    edge_capacitances : the most that it is for a rising and for a falling edge
    most_load, most_slew : that an output may drive, and that may stand at a pin; infinite where
        the library sets no limit
    """

    name: str
    direction: str
    capacitance: float
    edge_capacitances: tuple[float, float]
    function: Function | None
    powers: tuple[InternalPower, ...]
    arcs: tuple[Arc, ...]
    most_load: float
    most_slew: float


@dataclass(frozen=True)
class FlipFlop:
    """The register of a cell. `clear` and `preset` are asynchronous; None where there is none."""

    state: str
    inverse: str
    clock: Function
    next_state: Function
    clear: Function | None
    preset: Function | None

    @property
    def is_plain(self) -> bool:
        """Whether it takes a pin at the rising edge of another."""
        return not self.clock.operator and not self.next_state.operator


@dataclass(frozen=True)
class ClockGate:
    """Pins of a cell that passes clock pulses while it is enabled."""

    clock: str
    enable: str
    output: str
    test: str


@dataclass(frozen=True, eq=False)
class Cell:
    """A standard cell. Its pins are in the order of their names.

    Attributes
    ----------
    leakage_uw : where `leakages` say nothing
    latch : whether it has a state that is no flip-flop's
    usable : whether synthesis may take it of its own accord
    """

    name: str
    area: float
    leakage_uw: float
    leakages: tuple[Leakage, ...]
    pins: Mapping[str, Pin]
    flip_flop: FlipFlop | None
    clock_gate: ClockGate | None
    latch: bool
    usable: bool

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of its input pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "input")

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of its output pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "output")

    @property
    def is_logic(self) -> bool:
        """Whether its one output is a function of its inputs."""
        stateless = not (self.latch or self.flip_flop or self.clock_gate)
        return stateless and len(self.outputs) == 1 and bool(self.pins[self.outputs[0]].function)

    @property
    def is_register(self) -> bool:
        """Whether it takes a pin at the rising edge of another, and synthesis may use it."""
        return self.usable and self.flip_flop is not None and self.flip_flop.is_plain

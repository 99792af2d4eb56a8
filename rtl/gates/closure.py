"""A netlist that meets the clock, as far as synthesis can bring it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.netlist import Netlist
from pilaster.rtl.gates.sizing import MemoryTiming, fit_sizes
from pilaster.rtl.gates.synthesis import Effort, Synthesis
from pilaster.rtl.verilog import Design

__all__ = ["Mapped", "synthesize"]


@dataclass(frozen=True)
class Mapped:
    """A netlist, how hard synthesis tried, and the least slack that it reckoned with, in ns."""

    netlist: Netlist
    effort: Effort
    slack_ns: float


def synthesize(
    design: Design,
    library: Library,
    period_ns: float,
    gated: bool,
    timing_of: Callable[[Netlist], MemoryTiming],
    say: Callable[[str], None],
) -> Mapped:
    """Make a netlist of a machine, of sized gates; try harder where the clock is not met.

    Parameters
    ----------
    period_ns : of the clock, for which gates are sized
    gated : registers that have an enable in common get a clock gate, where the library has one
    timing_of : finds the delays and setups of the memories of a netlist
    say : told where the first netlist is too slow

    Raises
    ------
    InputError
        If Yosys is missing, or refuses the library.
    """
    synthesis = Synthesis(design, library, period_ns, gated)
    best: Mapped | None = None
    for effort in Effort:
        if best is not None:
            say(f"clock missed by {-best.slack_ns:.2f} ns; trying harder")
        plain = synthesis.netlist(effort)
        netlist, slack_ns = fit_sizes(plain, library, period_ns, timing_of(plain))
        if best is None or slack_ns > best.slack_ns:
            best = Mapped(netlist, effort, slack_ns)
        if slack_ns >= 0:
            break
    assert best is not None
    return best

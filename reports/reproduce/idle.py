"""Energy tables in which idle hardware costs energy.

The shipped tables have no clock, and no leakage of lanes: hardware that waits is free. Whether the
multi-cycle scheme saves power turns on that, so that every table is used twice: as it is shipped
(hardware that waits costs nothing, as with ideal clock and power gating) and with what published
cells cost when they wait and nothing is gated.
"""

from __future__ import annotations

from collections.abc import Sequence

from pilaster.models.energy.schema import Entry
from pilaster.models.energy.table import EnergyTable

__all__ = ["idle_table", "study_tables"]

CLOCK = {
    "name": "clock",
    "unit": "pJ/bit",
    "value": 0.0321347,
    "scaling": "linear-bits",
    "source": (
        "IHP-Open-PDK, SG13G2, sg13g2_stdcell, typical, 1.20 V, 25 C: internal energy of a rising "
        "(0.0110356 pJ) and a falling (0.0210991 pJ) clock pin of the flip-flop sg13g2_dfrbpq_1, "
        "D and Q high, fastest slope; without the clock tree"
    ),
}
CLOCK_NODE = {"node_nm": 130, "voltage_v": 1.2, "rule": "stillmaker-baas"}

MULTIPLIER_LEAKAGE_UW, ADDER_LEAKAGE_UW = 80.0, 2.3
LEAKAGE_BITS = 32
LEAKAGE_SOURCE = (
    "Aladdin (ISCA 2014), 40 nm, 1 ns: leakage of a multiplier of 32 bits, 0.08 mW, by the product "
    "of its widths, and of an adder of 32 bits, 0.0023 mW"
)
LEAKAGE_NODES = (40, 45)
"""nm: leakage is not converted, so that only a table near Aladdin's 40 nm takes it."""


def idle_table(table: EnergyTable, weight_bits: int, activation_bits: int) -> EnergyTable:
    """Add to a table what its hardware costs while it waits: the clock, and lanes' leakage.

    Parameters
    ----------
    weight_bits, activation_bits : of a lane
    """
    clock = dict(CLOCK)
    if (table.node_nm, table.voltage_v) != (CLOCK_NODE["node_nm"], CLOCK_NODE["voltage_v"]):
        clock["converted_from"] = CLOCK_NODE
    entries = [Entry.model_validate(clock)]
    if LEAKAGE_NODES[0] <= table.node_nm <= LEAKAGE_NODES[1]:
        share = weight_bits * activation_bits / LEAKAGE_BITS**2
        leakage = {
            "name": "lane_leakage",
            "unit": "uW",
            "value": MULTIPLIER_LEAKAGE_UW * share + ADDER_LEAKAGE_UW,
            "scaling": "constant",
            "source": LEAKAGE_SOURCE,
        }
        entries.append(Entry.model_validate(leakage))
    title = f"{table.title}; clocked without gating"
    return table.with_entries(f"{table.name}-clocked", title, entries)


def study_tables(
    names: Sequence[str], weight_bits: int = 8, activation_bits: int = 8
) -> tuple[EnergyTable, ...]:
    """Give every shipped table of `names`, as it is and with the cost of waiting."""
    shipped = [EnergyTable.load(name) for name in names]
    clocked = [idle_table(table, weight_bits, activation_bits) for table in shipped]
    return tuple(table for pair in zip(shipped, clocked, strict=True) for table in pair)

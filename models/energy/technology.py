"""Conversion of an energy or an area from one technology node and voltage to another."""

from __future__ import annotations

from pilaster.base.errors import InputError
from pilaster.models.energy.units import Quantity

__all__ = ["CONVERSIONS", "conversion_factor", "stillmaker_baas_energy"]

# Energy of a switching event at node n (nm) and supply V is proportional to a V^2 + b V + c:
# A. Stillmaker and B. Baas, "Scaling equations for the accurate prediction of CMOS device
# performance from 180 nm to 7 nm", Integration 58, 2017, doi 10.1016/j.vlsi.2017.02.002.
# Coefficients as tabulated by hwcomponents (hwcomponents/scaling/techscaling.py).
_ENERGY_A_B_C = {
    130: (7.171, -6.709, 2.904),
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.373, -0.1582, 0.04104),
    16: (0.2958, -0.1241, 0.03024),
    14: (0.2363, -0.09675, 0.02239),
    10: (0.2068, -0.09311, 0.02375),
    7: (0.1776, -0.09097, 0.02447),
}

CONVERSIONS: dict[str, tuple[Quantity, str]] = {
    "stillmaker-baas": (
        "energy",
        "times the ratio of the Stillmaker and Baas energy polynomials "
        "(Integration 58, 2017) at the two nodes and voltages",
    ),
    "cv2": (
        "energy",
        "times the ratio of the nodes and the square of the ratio of the voltages: capacitance "
        "shrinks with the feature size (as CNNergy scales 45 nm to 65 nm)",
    ),
    "feature-size": (
        "area",
        "times the square of the ratio of the nodes: both sides shrink with the feature size",
    ),
}
"""Rules that carry an energy or an area to another node, by name: of what, and what each does."""


def stillmaker_baas_energy(node_nm: float, voltage_v: float) -> float:
    """Energy of a switching event, relative to the other nodes and voltages.

    Between two nodes of the publication, linear in the node (as hwcomponents does).

    Raises
    ------
    InputError
        If the node is outside of 7 to 130 nm, or if the voltage is so low that the fitted
        parabola falls with voltage, where it says nothing.
    """
    nodes = sorted(_ENERGY_A_B_C)
    if not nodes[0] <= node_nm <= nodes[-1]:
        raise InputError(
            f"Stillmaker and Baas energies hold from {nodes[0]} to {nodes[-1]} nm, not at "
            f"{node_nm:g} nm"
        )
    above = next(node for node in nodes if node >= node_nm)
    if above == node_nm:
        return _polynomial(above, voltage_v)
    below = nodes[nodes.index(above) - 1]
    weight = (node_nm - below) / (above - below)
    return (1 - weight) * _polynomial(below, voltage_v) + weight * _polynomial(above, voltage_v)


def conversion_factor(rule: str, from_nm: float, from_v: float, to_nm: float, to_v: float) -> float:
    """Factor that an energy or an area at one node and voltage is multiplied by to hold at another.

    Parameters
    ----------
    rule : str
        A key of `CONVERSIONS`.
    from_nm, from_v, to_nm, to_v : float
        Nodes in nm and voltages in V.
    """
    if rule == "cv2":
        return (to_nm / from_nm) * (to_v / from_v) ** 2
    if rule == "feature-size":
        return (to_nm / from_nm) ** 2
    if rule == "stillmaker-baas":
        return stillmaker_baas_energy(to_nm, to_v) / stillmaker_baas_energy(from_nm, from_v)
    raise ValueError(f"unknown conversion {rule!r}")


def _polynomial(node_nm: int, voltage_v: float) -> float:
    a, b, c = _ENERGY_A_B_C[node_nm]
    lowest_v = -b / (2 * a)
    if voltage_v < lowest_v:
        raise InputError(
            f"the Stillmaker and Baas fit for {node_nm} nm holds above {lowest_v:.2f} V, not at "
            f"{voltage_v:g} V"
        )
    return a * voltage_v**2 + b * voltage_v + c

"""Cells that do the same: sizes of one gate, and the gates that repeat or invert."""

from __future__ import annotations

from collections.abc import Mapping

from pilaster.rtl.gates.cells import Cell
from pilaster.rtl.gates.function import Function
from pilaster.rtl.gates.liberty import Library

__all__ = ["buffers_of", "sizes_of"]


def buffers_of(library: Library) -> list[Cell]:
    """Cells whose output is their one input, the smallest first."""
    found = [cell for cell in library.cells.values() if cell.usable and _repeats(cell)]
    return sorted(found, key=lambda cell: (cell.area, cell.name))


def _repeats(cell: Cell) -> bool:
    if not cell.is_logic or len(cell.inputs) != 1:
        return False
    function = cell.pins[cell.outputs[0]].function
    return function is not None and function.signature == (cell.inputs, 0b10)


def sizes_of(library: Library) -> Mapping[str, tuple[Cell, ...]]:
    """Give by name of a cell all that may stand in its place, itself among them, by area.

    They have the same pins and compute the same; cells that synthesis does not take have none.
    """
    families: dict[object, list[Cell]] = {}
    for cell in library.cells.values():
        if cell.usable and (cell.is_logic or cell.is_register):
            families.setdefault(_description(cell), []).append(cell)
    found = {}
    for cells in families.values():
        ordered = tuple(sorted(cells, key=lambda cell: (cell.area, cell.name)))
        found.update(dict.fromkeys((cell.name for cell in ordered), ordered))
    return found


def _description(cell: Cell) -> object:
    """What cells have in common that may stand for each other."""
    register = cell.flip_flop
    state: object = None
    if register is not None:
        parts = (register.clock, register.next_state, register.clear, register.preset)
        state = (register.state, register.inverse, *map(_signature, parts))
    pins = tuple((pin.name, pin.direction, _signature(pin.function)) for pin in cell.pins.values())
    return pins, state


def _signature(function: Function | None) -> object:
    return None if function is None else function.signature

"""What synthesis needs of a library, as one Liberty file written in one way.

Yosys and ABC read less of the format than there is, and choose by the order that they find: from
files that say the same, in whatever form, this text is the same, and so is the netlist.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pilaster.base.errors import InputError
from pilaster.rtl.gates.cells import Arc, Cell, Pin
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.liberty_tables import Numbers, Table

__all__ = ["synthesis_text"]

_HEAD = """\
library (cells) {
  delay_model : table_lookup;
  time_unit : "1ns";
  voltage_unit : "1V";
  current_unit : "1mA";
  leakage_power_unit : "1nW";
  pulling_resistance_unit : "1kohm";
  capacitive_load_unit (1, pf);
  input_threshold_pct_rise : 50;
  input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50;
  output_threshold_pct_fall : 50;
  slew_lower_threshold_pct_rise : 20;
  slew_lower_threshold_pct_fall : 20;
  slew_upper_threshold_pct_rise : 80;
  slew_upper_threshold_pct_fall : 80;
"""

_TABLES = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")


def synthesis_text(library: Library) -> str:
    """Write the cells that synthesis may use.

    Raises
    ------
    InputError
        If there is none without state.
    """
    logic = [cell for cell in library.cells.values() if cell.usable and cell.is_logic]
    registers = [cell for cell in library.cells.values() if cell.is_register]
    if not any(cell.inputs for cell in logic):
        raise InputError(f"{library.path}: library {library.name} has no gates to synthesize with")
    most_slews = [pin.most_slew for cell in logic for pin in cell.pins.values()]
    slew = min((s for s in most_slews if np.isfinite(s)), default=None)
    lines = [_HEAD + f"  nom_voltage : {library.voltage:.9g};"]
    if slew is not None:
        lines.append(f"  default_max_transition : {slew:.9g};")
    shapes = sorted({table.values.shape for cell in logic for table in _tables(cell)})
    for rows, columns in shapes:
        lines += _template(_points(rows), _points(columns))
    for cell in logic:
        lines += [f"  cell ({cell.name}) {{", f"    area : {cell.area:.9g};"]
        for pin in cell.pins.values():
            lines += _pin(pin)
        lines.append("  }")
    for cell in registers:
        lines += _register(cell)
    return "\n".join([*lines, "}", ""])


def _tables(cell: Cell) -> Iterator[Table]:
    """Tables of delay and slew of a cell, as they are written."""
    for pin in cell.pins.values():
        for arc in pin.arcs:
            for table in (*arc.delays, *arc.slews):
                if table is not None and arc.kind == "combinational":
                    yield _flat(table)


def _flat(table: Table) -> Table:
    """Table by slew and load alone, of two points or more on each axis: all that ABC takes."""
    slews, loads, values = table.slews, table.loads, table.values
    if table.others is not None:
        values = values[:, :, 0]
    if len(slews) == 1:
        slews, values = _doubled(slews), np.repeat(values, 2, axis=0)
    if len(loads) == 1:
        loads, values = _doubled(loads), np.repeat(values, 2, axis=1)
    return Table(slews, loads, values)


def _doubled(axis: Numbers) -> Numbers:
    return np.array([axis[0], axis[0] + 1.0])


def _points(count: int) -> Numbers:
    return np.arange(count, dtype=float)


def _template(slews: Numbers, loads: Numbers) -> Iterator[str]:
    yield f"  lu_table_template (by_{len(slews)}_{len(loads)}) {{"
    yield "    variable_1 : input_net_transition;"
    yield "    variable_2 : total_output_net_capacitance;"
    yield f"    index_1 ({_row(slews)});"
    yield f"    index_2 ({_row(loads)});"
    yield "  }"


def _row(numbers: Numbers) -> str:
    return '"' + ", ".join(f"{number:.9g}" for number in numbers) + '"'


def _pin(pin: Pin) -> Iterator[str]:
    if pin.direction not in ("input", "output"):
        return
    yield f"    pin ({pin.name}) {{"
    yield f"      direction : {pin.direction};"
    if pin.direction == "input":
        yield f"      capacitance : {pin.capacitance:.9g};"
        for edge, capacitance in zip(("rise", "fall"), pin.edge_capacitances, strict=True):
            yield f"      {edge}_capacitance : {capacitance:.9g};"
    elif pin.function is not None:
        yield f'      function : "{pin.function.liberty()}";'
        arcs = [arc for arc in pin.arcs if arc.kind == "combinational"]
        loads = [t.loads[-1] for arc in arcs for t in arc.delays if t is not None]
        most = min(pin.most_load, max(loads, default=np.inf))
        if np.isfinite(most):
            yield f"      max_capacitance : {most:.9g};"
        for arc in arcs:
            yield from _arc(arc)
    yield "    }"


def _arc(arc: Arc) -> Iterator[str]:
    yield "      timing () {"
    yield f'        related_pin : "{arc.related}";'
    yield f"        timing_sense : {arc.sense};"
    for name, table in zip(_TABLES, (*arc.delays, *arc.slews), strict=True):
        if table is None:
            continue
        flat = _flat(table)
        yield f"        {name} (by_{len(flat.slews)}_{len(flat.loads)}) {{"
        yield f"          index_1 ({_row(flat.slews)});"
        yield f"          index_2 ({_row(flat.loads)});"
        yield f"          values ({', '.join(map(_row, flat.values))});"
        yield "        }"
    yield "      }"


def _register(cell: Cell) -> Iterator[str]:
    """Write a register without its tables, which synthesis does not look at."""
    flip_flop = cell.flip_flop
    assert flip_flop is not None
    inverse = flip_flop.inverse or "inverse"
    yield f"  cell ({cell.name}) {{"
    yield f"    area : {cell.area:.9g};"
    yield f"    ff ({flip_flop.state}, {inverse}) {{"
    yield f'      clocked_on : "{flip_flop.clock.name}";'
    yield f'      next_state : "{flip_flop.next_state.name}";'
    for name, function in (("clear", flip_flop.clear), ("preset", flip_flop.preset)):
        if function is not None:
            yield f'      {name} : "{function.liberty()}";'
    if flip_flop.clear is not None and flip_flop.preset is not None:
        yield "      clear_preset_var1 : L;"
        yield "      clear_preset_var2 : L;"
    yield "    }"
    for pin in cell.pins.values():
        yield f"    pin ({pin.name}) {{"
        yield f"      direction : {pin.direction};"
        if pin.name == flip_flop.clock.name:
            yield "      clock : true;"
        if pin.function is not None:
            yield f'      function : "{pin.function.liberty()}";'
        yield "    }"
    yield "  }"

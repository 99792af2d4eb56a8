"""A netlist as Verilog to be simulated, which counts how often every net changes.

Every net is a wire of its own, named by its number. With no delays a net changes at most once a
cycle, so that counting what differs from one clock edge to the next counts every change.

Registers behind a clock gate are clocked by the machine's clock where the gate is open: the same
cycles, with no race between clocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pilaster.base.errors import InputError
from pilaster.rtl.gates.cells import Cell
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.netlist import HIGH, LOW, Gate, Memory, Netlist, Port
from pilaster.rtl.verilog import TOP

__all__ = ["CHUNK", "CLOCK", "clock_enables", "counter_files", "gate_verilog", "memory_files"]

CLOCK = "clk"
"""Port of the clock."""


WORD = 32
"""Registers that are simulated together."""

CHUNK = 1024
"""Nets that are counted together."""

# Counters stand upright: bit b of every net's count is in plane b, so that a cycle costs a few
# operations for all nets of a chunk.
_COUNTER = """\
module pilaster_counter #(parameter FILE = "") (
    input wire clk, input wire rst, input wire [{last}:0] nets
);
    reg [{last}:0] earlier = 0, carry = 0, over = 0;
    reg [{last}:0] changed [0:31];
    reg [{last}:0] high [0:31];
    reg begun = 0;
    integer cycles = 0, bit_number, file;
    initial for (bit_number = 0; bit_number < 32; bit_number = bit_number + 1) begin
        changed[bit_number] = 0;
        high[bit_number] = 0;
    end
    always @(posedge clk) begin
        if (begun) begin
            cycles = cycles + 1;
            carry = nets ^ earlier;
            for (bit_number = 0; carry != 0; bit_number = bit_number + 1) begin
                over = changed[bit_number] & carry;
                changed[bit_number] = changed[bit_number] ^ carry;
                carry = over;
            end
            carry = nets;
            for (bit_number = 0; carry != 0; bit_number = bit_number + 1) begin
                over = high[bit_number] & carry;
                high[bit_number] = high[bit_number] ^ carry;
                carry = over;
            end
        end
        earlier = nets;
        begun = !rst;
    end
    final begin
        file = $fopen(FILE, "w");
        $fwrite(file, "%0d\\n", cycles);
        for (bit_number = 0; bit_number < 32; bit_number = bit_number + 1)
            $fwrite(file, "%h %h\\n", changed[bit_number], high[bit_number]);
        $fclose(file);
    end
endmodule
"""


def net_name(net: int) -> str:
    """Name of a net in the Verilog."""
    return f"n{net}"


def counted(netlist: Netlist) -> list[str]:
    """Names of the wires that are counted: the nets, then those of the memories.

    Of a memory: whether it is written, and for each port that is not read at the clock whether its
    address is another than in the cycle before.
    """
    names = [net_name(net) for net in range(netlist.nets)]
    for index, memory in enumerate(netlist.memories):
        names.append(f"written{index}")
        names += [f"asked{index}_{n}" for n, read in enumerate(memory.reads) if not read.clocked]
    return names


def counter_files(netlist: Netlist) -> list[str]:
    """Files with the counts of `CHUNK` wires each, in the order of `counted`."""
    return [f"counts{index}.txt" for index in range(-(-len(counted(netlist)) // CHUNK))]


def clock_enables(netlist: Netlist, library: Library) -> dict[int, int | None]:
    """Nets that are clocks, and for each the net that lets its pulses through.

    Raises
    ------
    InputError
        If a clock is gated twice.
    """
    root = netlist.port(CLOCK).nets[0]
    found: dict[int, int | None] = {root: None}
    for gate in netlist.gates:
        pins = library.cells[gate.cell].clock_gate
        if pins is None:
            continue
        if gate.nets[pins.clock] != root:
            raise InputError(f"library {library.name}: a clock is gated twice, which is not known")
        found[gate.nets[pins.output]] = gate.nets[pins.enable]
    return found


def gate_verilog(netlist: Netlist, library: Library) -> str:
    """Write the netlist as one module, with the ports of the machine.

    Raises
    ------
    InputError
        If a cell is of a kind that is not simulated: a latch, an asynchronous reset in use.
    """
    clocks = clock_enables(netlist, library)
    root = net_name(netlist.port(CLOCK).nets[0])
    body: list[str] = []
    registers: dict[int, list[tuple[str, str]]] = {}
    for gate in netlist.gates:
        cell = library.cells[gate.cell]
        if cell.flip_flop is not None:
            _register(gate, cell, library, body, registers)
        elif cell.clock_gate is None:
            body += _logic(gate, cell, library)
    for clock, states in registers.items():
        if clock not in clocks:
            raise InputError(f"library {library.name}: a register has a clock of its own")
        body += _clocked(clock, clocks[clock], root, states)
    for index, memory in enumerate(netlist.memories):
        body += _memory(index, memory, root)
    ports = ",\n    ".join(_port(port) for port in netlist.ports)
    driven = [f"    assign {net_name(net)} = {value};" for net, value in _inputs(netlist)]
    outputs = [
        f"    assign {port.name} = {_vector(port.nets)};"
        for port in netlist.ports
        if port.direction == "output"
    ]
    nets = "\n".join(f"    wire {net_name(net)};" for net in range(netlist.nets))
    lines = [
        f"module {TOP} (\n    {ports}\n);",
        nets,
        *driven,
        *body,
        *outputs,
        *_counters(netlist),
    ]
    return "\n".join([*lines, "endmodule\n", _COUNTER.format(last=CHUNK - 1)])


def _counters(netlist: Netlist) -> Iterator[str]:
    names = counted(netlist)
    for index, file in enumerate(counter_files(netlist)):
        chunk = names[index * CHUNK : (index + 1) * CHUNK]
        wires = ", ".join(reversed(chunk + ["1'b0"] * (CHUNK - len(chunk))))
        yield (
            f'    pilaster_counter #(.FILE("{file}")) counter{index} '
            f"(.clk({CLOCK}), .rst(rst), .nets({{{wires}}}));"
        )


def _port(port: Port) -> str:
    return f"{port.direction} wire [{len(port.nets) - 1}:0] {port.name}"


def _inputs(netlist: Netlist) -> Iterator[tuple[int, str]]:
    yield LOW, "1'b0"
    yield HIGH, "1'b1"
    for port in netlist.ports:
        if port.direction == "input":
            for index, net in enumerate(port.nets):
                yield net, f"{port.name}[{index}]"


def _vector(nets: tuple[int, ...]) -> str:
    return "{" + ", ".join(net_name(net) for net in reversed(nets)) + "}"


def _names(gate: Gate) -> dict[str, str]:
    return {pin: net_name(net) for pin, net in gate.nets.items()}


def _logic(gate: Gate, cell: Cell, library: Library) -> Iterator[str]:
    for output in cell.outputs:
        if output not in gate.nets:
            continue
        function = cell.pins[output].function
        if function is None or cell.latch:
            raise InputError(
                f"library {library.name}: cell {cell.name} has no function to simulate"
            )
        yield f"    assign {net_name(gate.nets[output])} = {function.verilog(_names(gate))};"


def _register(
    gate: Gate,
    cell: Cell,
    library: Library,
    body: list[str],
    registers: dict[int, list[tuple[str, str]]],
) -> None:
    """Add a register: its outputs to `body`, its next state to those of its clock."""
    flip_flop, names = cell.flip_flop, _names(gate)
    assert flip_flop is not None
    if flip_flop.clock.operator:
        raise InputError(f"library {library.name}: cell {cell.name} is clocked by a falling edge")
    constants = {LOW: np.False_, HIGH: np.True_}
    for function in (flip_flop.clear, flip_flop.preset):
        if function is None:
            continue
        values = {pin: constants.get(gate.nets.get(pin, -1)) for pin in function.pins}
        if None in values.values() or function.value(values):
            raise InputError(f"library {library.name}: cell {cell.name}: its reset is in use")
    outputs = [output for output in cell.outputs if output in gate.nets]
    state = f"state{gate.nets[outputs[0]]}"
    names |= {flip_flop.state: state, flip_flop.inverse: f"~{state}"}
    body.append(f"    wire {state};")
    for output in outputs:
        function = cell.pins[output].function
        assert function is not None
        body.append(f"    assign {net_name(gate.nets[output])} = {function.verilog(names)};")
    clock = gate.nets[flip_flop.clock.name]
    following = flip_flop.next_state.verilog(names)
    registers.setdefault(clock, []).append((state, following))


def _clocked(
    clock: int, enable: int | None, root: str, states: list[tuple[str, str]]
) -> Iterator[str]:
    """Write the registers of a clock, a word of them at a time; they begin with random values."""
    condition = "" if enable is None else f"if ({net_name(enable)}) "
    for first in range(0, len(states), WORD):
        names, following = zip(*reversed(states[first : first + WORD]), strict=True)
        word = f"word{clock}_{first}"
        yield f"    reg [{len(names) - 1}:0] {word};"
        yield f"    initial {word} = $urandom;"
        yield f"    assign {{{', '.join(names)}}} = {word};"
        yield f"    always @(posedge {root}) {condition}{word} <= {{{', '.join(following)}}};"


def _memory(index: int, memory: Memory, clock: str) -> Iterator[str]:
    """Write a memory: a write takes effect at the clock, a read gives what was there before."""
    name = f"memory{index}"
    yield f"    reg [{memory.width - 1}:0] {name} [0:{memory.depth - 1}];"
    if memory.contents is None:
        yield f"    integer {name}_i;"
        words = -(-memory.width // WORD)
        yield (
            f"    initial for ({name}_i = 0; {name}_i < {memory.depth}; {name}_i = {name}_i + 1) "
            f"{name}[{name}_i] = {{{words}{{$urandom}}}};"
        )
    else:
        yield f'    initial $readmemh("{name}.hex", {name});'
    written = " | ".join(
        f"(|{_vector(tuple(dict.fromkeys(port.enables)))})" for port in memory.writes
    )
    yield f"    wire written{index} = {written or LOW};"
    for number, write in enumerate(memory.writes):
        mask, data, address = (f"{name}_{part}{number}" for part in ("mask", "data", "address"))
        yield f"    wire [{memory.width - 1}:0] {mask} = {_vector(write.enables)};"
        yield f"    wire [{memory.width - 1}:0] {data} = {_vector(write.data)};"
        yield f"    wire [{len(write.address) - 1}:0] {address} = {_vector(write.address)};"
        yield (
            f"    always @(posedge {clock}) if (|{mask}) "
            f"{name}[{address}] <= ({name}[{address}] & ~{mask}) | ({data} & {mask});"
        )
    for number, read in enumerate(memory.reads):
        address, found = f"{name}_at{number}", f"{name}_found{number}"
        yield f"    wire [{len(read.address) - 1}:0] {address} = {_vector(read.address)};"
        value = f"{name}[{address}]"
        if read.transparent:
            for write_number in range(len(memory.writes)):
                mask, data = f"{name}_mask{write_number}", f"{name}_data{write_number}"
                same = f"{{{memory.width}{{{address} == {name}_address{write_number}}}}} & {mask}"
                value = f"(({value} & ~({same})) | ({data} & {same}))"
        if read.clocked:
            yield f"    reg [{memory.width - 1}:0] {found};"
            yield (
                f"    always @(posedge {clock}) if ({net_name(read.enable)}) {found} <= {value};"
            )
        else:
            before = f"{name}_before{number}"
            yield f"    wire [{memory.width - 1}:0] {found} = {value};"
            yield f"    reg [{len(read.address) - 1}:0] {before};"
            yield f"    always @(posedge {clock}) {before} <= {address};"
            yield f"    wire asked{index}_{number} = {address} != {before};"
        for bit, net in enumerate(read.data):
            yield f"    assign {net_name(net)} = {found}[{bit}];"


def memory_files(netlist: Netlist) -> Mapping[str, str]:
    """Contents of the memories that are only read, by file name."""
    return {
        f"memory{index}.hex": "".join(f"{word:x}\n" for word in memory.contents)
        for index, memory in enumerate(netlist.memories)
        if memory.contents is not None
    }

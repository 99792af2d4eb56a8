"""Output folder of a machine's Verilog, with a README on how to connect it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from amaranth.back.verilog import YosysError
from numpy.typing import NDArray

from pilaster.base.errors import InputError
from pilaster.base.output_files import check_own, check_writable, write_files
from pilaster.models.graph import INPUT
from pilaster.models.network import Network
from pilaster.models.quantization import TensorQuantization
from pilaster.rtl.axi_stream import generate_axi_stream
from pilaster.rtl.bus import Bus
from pilaster.rtl.components.memory import LOAD_BITS
from pilaster.rtl.kit.bench import LOAD_FILE
from pilaster.rtl.kit.kit import KIT_ROWS, bench_files, machine_files
from pilaster.rtl.kit.manifest import MANIFEST, exported_files, manifest
from pilaster.rtl.kit.naming import Naming, check_name
from pilaster.rtl.names import in_hardware
from pilaster.rtl.verilog import TOP, Design, generate
from pilaster.sim.machine import Machine
from pilaster.sim.machine_file import machine_yaml
from pilaster.sim.pipeline import Pipeline, with_arm_columns
from pilaster.sim.results import Result
from pilaster.sim.simulate import simulate
from pilaster.sim.timing import COLUMN_BUFFERS

__all__ = ["FILES", "Bus", "export"]

FILES = (f"{TOP}.v", "files.f", "machine.yaml", "README.md")
"""What every export has; the images of its larger memories stand beside these."""

_PAGE = """\
# {top}: {network} on the machine {machine}

{note}.

| file | what |
| --- | --- |
| {top}.v | the machine in Verilog-2005; the top module is `{top}` |
| *.hex | memories too large to stand in the Verilog: {memories} |
| files.f | list of the sources, for a simulator's `-f` |
| machine.yaml | the machine, for `pilaster run`, `verify` and `rtl` |
{beside}
## Ports

{ports}
## Order

Images follow one another with nothing between.

| | input | output |
| --- | --- | --- |
| beats an image | {input_beats} | {output_beats} |
| columns, left to right | {columns} | {output_columns} |
| in a column | rows, top to bottom: {rows} | tiles, {tiles}; in each, {output_rows} row(s) |
| in a beat | all channels: {input_channels} | {lanes} channel(s) |
| bits of a value | {input_width} | {output_width} |

The first channel of a beat stands in its lowest bits. Output tiles hold, in order, the channels
{tile_channels}; bits of a beat above its tile's channels mean nothing.

## Numbers

A stream carries `value = q - zero_point`, so that zero means zero; `real = scale * value`.

| stream | value | least | largest | scale | zero point of q |
| --- | --- | ---: | ---: | ---: | ---: |
{formats}

A byte b of a gray image stands for the real b / 255.

{loading}## Time

With a column every {interval:,} cycles, images back to back; the RTL is held to these, cycle for
cycle:

| | cycles |
| --- | ---: |
| from the first row offered to the answer | {latency:,} |
| from the last row of the last column, when it is due, to the answer | {after:,} |
| between two answers | {per_image:,} |
{waits}
Columns may come later. A column that comes sooner waits for `i__ready`.

## Simulate

{simulate}"""


_SIMULATE = """\
`pilaster verify {network} --machine machine.yaml` holds this RTL to the model: values, cycles and
actions. With a testbench of your own, run in this folder, for `$readmemh` looks for the *.hex files
where the simulator runs:

```
iverilog -g2005 -s TESTBENCH -o sim -f files.f TESTBENCH.v && vvp sim
verilator --binary -Wno-fatal --top-module TESTBENCH -f files.f TESTBENCH.v
yosys -p "read_verilog {top}.v; synth -top {top}"
```
"""

_NAMED_ROWS = """\
| {name}_memories.sv | the modules behind memories in files, in SystemVerilog |
| manifest.json | versions, and hashes of the network, the machine and every file |
"""

_NAMED_SIMULATE = """\
Every module's name begins with `{name}`, so that other machines can stand beside it in a design.
The memories look for the *.hex files in the folder that the macro `{name}_DIR` names, or where the
simulator runs; a simulation ends with an error where one is missing.

```
iverilog -g2012 -s TESTBENCH -D{name}_DIR='"FOLDER"' -o sim -f files.f TESTBENCH.v && vvp sim
verilator --binary -Wno-fatal --top-module TESTBENCH -D{name}_DIR='"FOLDER"' -f files.f TESTBENCH.v
```
"""

_KIT_SIMULATE = """
`make sim` runs `{name}_bench`, which judges itself, in Icarus Verilog, 11 or later;
`make sim SIM=verilator` does in Verilator, and checks the rules of the streams as well.
`make sim STALLS=7` has source and sink hesitate at random, by that seed. `make lint` has Verilator
complain; nothing is left. FuseSoC runs `{name}_bench` by
`fusesoc --cores-root . run --target sim {name}`.
"""


_PORTS = {
    Bus.STREAM: """\
| port | direction | width | meaning |
| --- | --- | ---: | --- |
| clk | input | 1 | clock; all happens at its rising edge |
| rst | input | 1 | synchronous reset: a cycle of it, and the next column is an image's first |
| i__payload | input | {input_bits} | a row of an input column |
| i__valid | input | 1 | `i__payload` holds a row |
| i__ready | output | 1 | the machine takes a row |
| o__payload | output | {output_bits} | values of an output column |
| o__valid | output | 1 | `o__payload` holds values |
| o__ready | input | 1 | the values are taken |
{load_ports}
A beat moves at a rising edge at which valid and ready are both high. Once valid is high, valid and
payload must hold until that edge; the machine does the same at its output. Its `i__ready` does not
wait for `i__valid`, nor its `o__valid` for `o__ready`. It raises `i__ready` when it has room for a
column, and keeps it high until the column is whole.
""",
    Bus.AXI4_STREAM: """\
| port | direction | width | meaning |
| --- | --- | ---: | --- |
| aclk | input | 1 | clock; all happens at its rising edge |
| aresetn | input | 1 | synchronous reset, active low: the next row is an image's first |
| s_axis_tdata | input | {input_bytes_bits} | a row, in the lowest {input_bits} bits |
| s_axis_tvalid | input | 1 | `s_axis_tdata` holds a row |
| s_axis_tready | output | 1 | the row is taken |
| s_axis_tlast | input | 1 | the last row of an image |
| m_axis_tdata | output | {output_bytes_bits} | values, in the lowest {output_bits} bits{extended} |
| m_axis_tvalid | output | 1 | `m_axis_tdata` holds values |
| m_axis_tready | input | 1 | the values are taken |
| m_axis_tlast | output | 1 | the last values of an image's answer |
| m_axis_tkeep | output | {output_bytes} | all ones: every byte is part of the answer |
| image_short | output | 1 | high for a cycle: `s_axis_tlast` came too early |
| image_long | output | 1 | high for a cycle: an image's last row came without `s_axis_tlast` |

An image that is too short or too long is dropped whole: it has no answer, and the next image is
taken as any other. The machine completes a short image with zeros, during which `s_axis_tready` is
low; of a long one it skips the rows up to and with the one that has `s_axis_tlast`. An answer
leaves once its image has ended. {kept}

The handshake is AXI4-Stream's (Arm IHI 0051).
""",
}


_KEPT = """\
Until then a memory keeps what the output buffer does not hold of its {columns} columns."""


_LOAD_PORTS = """\
| load__payload | input | {bits} | weights and biases, to be loaded once after reset |
| load__valid | input | 1 | `load__payload` holds a beat |
| load__ready | output | 1 | a beat is taken; low once all are there |
"""

_LOAD = """\
## Loading

Weights and biases are not in the Verilog. After each reset, send the {count:,} beats of
`{file}` (a line each, hexadecimal) through `load`; no column is taken before the last. The order is
stage by stage, the sets of weights and then the biases of the output tiles; a memory word comes
lowest bits first. The schedule and the scales stand in the Verilog: passes whose weights are all
zero in this network are left out, so other weights need a machine made for them.

"""


def export(
    network: Network,
    machine: Machine,
    directory: Path,
    bus: Bus = Bus.STREAM,
    loaded: bool = False,
    name: str | None = None,
    judged_by: NDArray[np.generic] | None = None,
) -> tuple[Path, ...]:
    """Write a machine's Verilog, its memories' contents, and how to connect it.

    All contents are made first, and put in place once all of them are on the disk. What an earlier
    export wrote to the directory is replaced, or removed; other files stay.

    Parameters
    ----------
    loaded : weights and biases come through a stream, whose beats are written beside it
    name : of the top module, with which those of all parts begin; the files are called by it, and
        memories look for theirs in a folder that a macro names
    judged_by : images (N, H, W, C), for a testbench that goes with the machine and judges it; what
        tools need is written as well

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        If the machine does not fit the network, has weights in DRAM, the name is none of a module,
        or the directory cannot be written or has files and none of an export; nothing is left
        behind.
    """
    if name is not None:
        check_name(name)
    earlier = _earlier(directory)
    check_writable(directory, FILES, "RTL")
    check_own(directory, MANIFEST if MANIFEST in earlier else f"{TOP}.v", "RTL")
    machine = with_arm_columns(network, machine)
    pipeline = Pipeline(network, machine)
    in_dram = [stage.name for stage in pipeline.stages if stage.spec.dram_bits_per_cycle]
    if in_dram:
        raise InputError(
            f"machine {machine.name}: weights in DRAM are not generated as RTL yet: "
            f"{', '.join(in_dram)}; give these stages no dram_bits_per_cycle"
        )
    hardware = in_hardware(pipeline)
    top = name or TOP
    try:
        if bus is Bus.STREAM:
            design = generate(hardware, loaded=loaded, name=top)
        elif loaded:
            raise InputError(f"loaded weights go with the bus {Bus.STREAM}, not with {bus}")
        else:
            design = generate_axi_stream(hardware, top)
    except YosysError as error:
        raise InputError(f"RTL needs Yosys: pip install 'pilaster[rtl]' ({error})") from error
    load = (
        {} if design.load is None else {LOAD_FILE: "".join(f"{beat:08x}\n" for beat in design.load)}
    )
    texts = {f"{TOP}.v": design.verilog, **design.memories, "files.f": f"{TOP}.v\n"}
    beside, told = "", _SIMULATE.format(network=network.name, top=top)
    if name is not None or judged_by is not None:
        naming = Naming(top, f"{network.name} on the machine {machine.name}")
        texts = machine_files(naming, design)
        beside, told = (text.format(name=top) for text in (_NAMED_ROWS, _NAMED_SIMULATE))
        if judged_by is not None:
            texts |= bench_files(naming, hardware, design, bus, judged_by, load)
            beside += KIT_ROWS.format(name=top, images=len(judged_by))
            told += _KIT_SIMULATE.format(name=top)
    texts |= {
        "machine.yaml": machine_yaml(machine),
        "README.md": _page(hardware, design, simulate(network, machine), bus, top, beside, told),
        **load,
    }
    contents = {file: text.encode() for file, text in texts.items()}
    if name is not None or judged_by is not None:
        contents[MANIFEST] = manifest(top, network, machine, bus, contents).encode()
    return write_files(directory, contents, "RTL", earlier)


def _earlier(directory: Path) -> set[str]:
    """Names of an earlier export's files, by its manifest or else by what its Verilog reads."""
    if files := exported_files(directory):
        return files
    try:
        text = (directory / f"{TOP}.v").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return {*FILES, LOAD_FILE, *re.findall(r'\.FILE\("(\w+\.hex)"\)', text)}


def _page(
    pipeline: Pipeline, design: Design, result: Result, bus: Bus, top: str, beside: str, told: str
) -> str:
    network, last = pipeline.network, pipeline.stages[-1]
    source, answer = network.graph.input_shape, network.graph.output_shape
    tensors = network.tensors[INPUT], network.tensors[last.name]
    tiles = last.beats.tiles
    input_bits, output_bits = design.input_bits, design.beat_bits[last.name]
    last_low, _ = tensors[1].stream_range
    ports = _PORTS[bus].format(
        input_bits=input_bits,
        output_bits=output_bits,
        input_bytes_bits=-(-input_bits // 8) * 8,
        output_bytes_bits=-(-output_bits // 8) * 8,
        output_bytes=-(-output_bits // 8),
        extended=", the others like the highest of these" if last_low < 0 else ", the others low",
        kept=_KEPT.format(columns=answer.width) if answer.width > COLUMN_BUFFERS else "",
        load_ports="" if design.load is None else _LOAD_PORTS.format(bits=LOAD_BITS),
    )
    waits = result.pace.describe_waits()
    return _PAGE.format(
        ports=ports,
        top=top,
        beside=beside,
        simulate=told,
        network=network.name,
        machine=pipeline.machine.name,
        note=network.note[:1].upper() + network.note[1:],
        memories=", ".join(design.memories) or "none here",
        loading="" if design.load is None else _LOAD.format(file=LOAD_FILE, count=len(design.load)),
        input_channels=source.channels,
        input_width=tensors[0].bits,
        rows=source.height,
        columns=source.width,
        input_beats=source.height * source.width,
        lanes=last.fold.out_channels,
        output_width=tensors[1].bits,
        output_rows=answer.height,
        output_channels=answer.channels,
        output_columns=answer.width,
        output_beats=len(tiles) * answer.height * answer.width,
        tiles=len(tiles),
        tile_channels=", ".join(
            f"{first}-{first + count - 1}" if count > 1 else f"{first}" for first, count in tiles
        ),
        formats="\n".join(
            _format(name, tensor) for name, tensor in zip(("input", "output"), tensors, strict=True)
        ),
        interval=pipeline.machine.column_interval,
        latency=result.latency_cycles,
        after=result.latency_after_last_column_cycles,
        per_image=result.cycles_per_image,
        waits=f"\n**The machine {waits}.**\n" if waits else "",
    )


def _format(name: str, tensor: TensorQuantization) -> str:
    low, high = tensor.stream_range
    sign = "two's complement" if low < 0 else "unsigned"
    number = f"{tensor.bits} bits, {sign}"
    return f"| {name} | {number} | {low} | {high} | {tensor.scale!r} | {tensor.zero_point} |"

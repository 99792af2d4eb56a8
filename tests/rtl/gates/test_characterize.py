"""Law: from machines whose actions cost what a table says, characterization finds that table."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.data import images_for
from pilaster.models.energy import EnergyTable
from pilaster.models.energy.actions import Action, Attributes
from pilaster.reports.summary import summary_sentence
from pilaster.rtl.gates.bill import compare_bill
from pilaster.rtl.gates.characterize import Run, blackened, characterize, fit, table_yaml
from pilaster.rtl.gates.measure import ComponentPower, MemoryPower, PowerMeasurement
from pilaster.rtl.gates.synthesis import LOGIC_BITS, REGISTER_BITS, TABLE_BITS
from pilaster.rtl.parts import PARTS
from pilaster.sim.simulate import simulate

BASE = EnergyTable.load("ihp130")
IMAGES = 4
CYCLES = 4096 * IMAGES

# What a bit, or a product of bits, of every action costs in pJ in the machines made up here.
PRICES = {
    Action.MAC: 0.02,
    Action.MAC_GATED: 0.001,
    Action.ACCUMULATE: 0.03,
    Action.PSUM_READ: 0.002,
    Action.PSUM_WRITE: 0.09,
    Action.ROW_SUM_READ: 0.002,
    Action.ROW_SUM_WRITE: 0.09,
    Action.REQUANTIZE: 0.004,
    Action.WINDOW_SHIFT: 0.06,
    Action.WEIGHT_LOAD: 0.05,
    Action.ROW: 1.7,
    Action.PROGRAM_READ: 0.08,
    Action.POOL: 0.07,
    Action.COLUMN_READ: 0.002,
    Action.COLUMN_WRITE: 0.09,
    Action.WEIGHT_READ: 0.1,
    Action.STREAM: 0.11,
}
CLOCK, CONTROL, WORD = 0.013, 2.5, 0.04
READS = (Action.PSUM_READ, Action.ROW_SUM_READ, Action.COLUMN_READ)
MEMORY_ACTIONS = (*READS, Action.PSUM_WRITE, Action.ROW_SUM_WRITE, Action.COLUMN_WRITE)
OF_ROW_SUMS = (Action.ROW_SUM_READ, Action.ROW_SUM_WRITE)
COMPONENTS = {
    "lanes": (Action.MAC, Action.MAC_GATED, Action.WEIGHT_LOAD),
    "partial sums": (Action.ACCUMULATE, Action.PSUM_READ, Action.PSUM_WRITE, *OF_ROW_SUMS),
    "requantizers": (Action.REQUANTIZE,),
    "column buffer": (Action.COLUMN_READ, Action.COLUMN_WRITE),
    "weights": (Action.WEIGHT_READ,),
    "sequencer": (Action.ROW,),
    "program": (Action.PROGRAM_READ,),
    "emitter": (Action.STREAM,),
}


OF_POOLING = (
    Action.POOL,
    Action.WINDOW_SHIFT,
    Action.PSUM_READ,
    Action.PSUM_WRITE,
    Action.PROGRAM_READ,
)


def size(action, at):
    if action in (Action.MAC, Action.MAC_GATED):
        return at.activation_bits * at.weight_bits
    if action is Action.REQUANTIZE:
        return at.accumulator_bits * at.scale_bits
    if action is Action.ROW:
        return 1
    if action in READS:
        return at.bits * at.depth
    return at.bits


def is_small(action, at):
    """Whether an action is of a memory made of gates, or of no memory."""
    if action is Action.WEIGHT_READ:
        return at.bits * at.depth <= LOGIC_BITS
    if action is Action.PROGRAM_READ:
        return at.bits * at.depth <= TABLE_BITS
    return action not in MEMORY_ACTIONS or at.bits * at.depth <= REGISTER_BITS


def energy(stage, *actions):
    return sum(
        count * PRICES[action] * size(action, at) / IMAGES
        for (action, at), count in stage.actions.counts.items()
        if action in actions and is_small(action, at)
    )


def words_clocked(stage):
    """Words of every memory of registers: of the column buffers, and of all banks of sums."""
    return (at.depth for at in stage.written_memories if is_small(Action.PSUM_WRITE, at))


def outside(stage):
    """Memories that are no gates; their energy is left out."""
    return [
        MemoryPower(stage.name, "partial sums", *memory, "made up", True, *(0.0,) * 6)
        for memory in {
            ("row_sums0" if action is Action.ROW_SUM_READ else "psums0", at.bits, at.depth)
            for action, at in stage.actions.counts
            if action in (Action.PSUM_READ, Action.ROW_SUM_READ) and not is_small(action, at)
        }
    ]


def component(stage, name, internal, clock=0.0):
    return ComponentPower(stage.name, name, 1, 1, 0.5, internal + clock, 0.0, clock, 1.0)


def run_of(machine_name, row_sums=False):
    network = pl.load("digits")
    machine = pl.load_machine(machine_name, network)
    stages = {name: replace(spec, row_sums=row_sums) for name, spec in machine.stages.items()}
    machine = replace(machine, stages=stages)
    images = images_for(network, None, IMAGES).images
    model = simulate(network, machine, images, table=BASE)
    parts = []
    for stage in model.stages:
        words = WORD * sum(words_clocked(stage))
        clock = (CLOCK * stage.register_bits + CONTROL + words) * CYCLES / IMAGES
        if stage.lanes:
            parts += [
                component(stage, name, energy(stage, *actions))
                for name, actions in COMPONENTS.items()
            ]
            parts.append(component(stage, "window", energy(stage, Action.WINDOW_SHIFT), clock))
        else:
            parts += [
                component(stage, "column buffer", energy(stage, *COMPONENTS["column buffer"])),
                component(stage, "emitter", energy(stage, Action.STREAM)),
                component(stage, "window", energy(stage, *OF_POOLING), clock),
            ]
    measured = PowerMeasurement(
        network="digits",
        machine=machine_name,
        library="made up",
        node_nm=130.0,
        voltage=1.2,
        prices=None,
        effort="plain",
        clock_mhz=10.0,
        images=IMAGES,
        cycles=CYCLES,
        components=tuple(parts),
        memories=tuple(memory for stage in model.stages for memory in outside(stage)),
        slack_ns=1.0,
        fastest_mhz=20.0,
        path=(),
        clock_gates=0,
        answers_equal=True,
        cycles_equal=True,
        opensta=None,
        seconds={},
    )
    return Run(measured, model)


@pytest.fixture(scope="module")
def runs():
    return [run_of("digits"), run_of("digits-gather"), run_of("digits", row_sums=True)]


def test_row_sums_of_gates_stand_beside_partial_sums_that_are_none(runs):
    for stage in runs[-1].model.stages[0::2][:2]:
        small = {action: is_small(action, at) for action, at in stage.actions.counts}
        assert small[Action.ROW_SUM_READ]
        assert not small[Action.PSUM_READ]


def test_the_table_is_found(runs, tmp_path):
    path = tmp_path / "found.yaml"
    path.write_text(table_yaml(characterize(runs, BASE, "found", "made up", 130)))
    table = EnergyTable.load(path)
    assert (table.node_nm, table.voltage_v) == (130, 1.2)
    assert table.missing == ("DRAM", "clock of idle memories")
    for run in runs:
        for stage in run.model.stages:
            for (action, at), _ in stage.actions.counts.items():
                expected = PRICES[action] * size(action, at)
                if not is_small(action, at):
                    expected = BASE.energy_pj(action, at)
                assert table.energy_pj(action, at) == pytest.approx(expected, rel=1e-4), action
    assert table.energy_pj(Action.CLOCK, Attributes(bits=100)) == pytest.approx(1.3, rel=1e-4)
    assert table.clock_pj(100) == pytest.approx(1.3 + 2.5, rel=1e-4)
    assert table.memory_clock_pj(Attributes(8, 128)) == pytest.approx(128 * WORD, rel=1e-4)
    assert table.memory_clock_pj(Attributes(8, 129)) == 0


def test_every_entry_says_how_it_was_measured(runs):
    table = characterize(runs, BASE, "found", "made up", 130)
    for entry in table.entries:
        assert "measured at gates" in entry.source or "energy table ihp130" in entry.source
    base = {entry.name: entry for entry in table.entries}
    assert base["memory_read"].points == BASE.entries["memory_read"].points
    assert base["small_memory_read"].at.depth == REGISTER_BITS
    assert base["small_weight_read"].at.depth == LOGIC_BITS
    assert base["small_program_read"].at.depth == TABLE_BITS
    assert base["program_read"].points == BASE.entries["memory_read"].points
    assert yaml.safe_load(table_yaml(table))["name"] == "found"


@pytest.mark.parametrize(
    ("node_nm", "voltage", "remark"),
    [
        (130, 1.2, ""),
        (180, 1.2, "memories at 130 nm and 1.2 V"),
        (130, 1.8, "memories at 130 nm and 1.2 V"),
    ],
)
def test_memories_of_another_technology_are_told_of_in_the_headline(runs, node_nm, voltage, remark):
    others = [replace(run, measured=replace(run.measured, voltage=voltage)) for run in runs]
    file = characterize(others, BASE, "found", "made up", node_nm)
    table = EnergyTable.of(file, "energy table found")
    assert table.remark == remark
    assert EnergyTable.of(table.file, "again").remark == remark
    result = simulate(pl.load("digits"), pl.load_machine("digits"), table=table)
    assert result.as_dict()["energy"]["remark"] == remark
    headline = summary_sentence(result)
    assert ("(found)" if not remark else f"(found, {remark})") in headline


def test_most_pixels_become_black():
    images = np.arange(1, 201, dtype=np.uint8).reshape(2, 10, 10, 1)
    found = blackened(images)
    assert found.dtype == images.dtype
    assert np.array_equal(found[found != 0], images[found != 0])
    assert 0.65 < (found == 0).mean() < 0.85


def test_a_blackened_run_is_told(runs):
    table = characterize([*runs, replace(runs[0], black=True)], BASE, "found", "made up", 130)
    mac = next(entry for entry in table.entries if entry.name == "mac")
    assert mac.source.count("on 4 images") == len(runs) + 1
    assert "digits on 4 images, 75% of their pixels black" in mac.source


def test_the_bill_sets_equal_parts_side_by_side(runs):
    lines = {line.part: line for line in compare_bill(runs[0].measured, runs[0].model)}
    assert set(lines) == {*PARTS, "total"}
    assert lines["total"].gates_pj == pytest.approx(
        sum(line.gates_pj for part, line in lines.items() if part != "total")
    )
    assert lines["total"].model_pj == pytest.approx(runs[0].model.energy_per_image_pj)
    assert lines["lanes"].gates_pj == pytest.approx(
        sum(energy(stage, *COMPONENTS["lanes"]) for stage in runs[0].model.stages)
    )


def test_a_table_that_cannot_be_taken_over_is_told(runs):
    with pytest.raises(InputError, match="energy table eyeriss65: memory_read is relative"):
        characterize(runs, EnergyTable.load("eyeriss65"), "found", "made up", 130)


def test_a_machine_without_a_component_is_told(runs):
    parts = tuple(p for p in runs[0].measured.components if p.component != "weights")
    run = replace(runs[0], measured=replace(runs[0].measured, components=parts))
    with pytest.raises(InputError, match="no machine has weights made of gates"):
        characterize([run], BASE, "found", "made up", 130)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=3), st.integers(0, 1000))
def test_prices_that_fit_are_found(prices, seed):
    counts = np.random.default_rng(seed).uniform(1, 10, (6, len(prices)))
    np.testing.assert_allclose(fit(counts @ prices, counts), prices, atol=1e-6)


@given(st.integers(0, 1000))
def test_no_price_is_negative(seed):
    rng = np.random.default_rng(seed)
    assert (fit(rng.normal(size=6), rng.uniform(0, 10, (6, 3))) >= 0).all()

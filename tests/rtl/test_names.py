"""Laws: a layer may be called anything; its hardware is the same, under names that tools take."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pilaster.models.energy import EnergyTable
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Add, Conv, FullyConnected, Pool, Window
from pilaster.models.shape import Padding, Shape
from pilaster.models.zoo.synthetic import synthetic
from pilaster.rtl.export import export
from pilaster.rtl.names import KEYWORDS, OWN, hardware_names, in_hardware, reported_names
from pilaster.rtl.verification.verified_power import stage_powers
from pilaster.rtl.verification.verify import verify
from pilaster.rtl.verilog import TOP, generate
from pilaster.sim.default import default_machine
from pilaster.sim.pipeline import Pipeline

AWKWARD = ("output", "forks", "module", "Conv A", "conv_a", "Übung/1:0", "total")
"""Of our own, of Verilog, with a space, the same but for case and space, no letters, a line's."""

NAMES = st.text(max_size=20) | st.sampled_from(sorted(KEYWORDS) + list(OWN) + ["a_b", "A b", "a b"])


def network_of(names):
    """A network with a fork and a join, whose layers have these names."""
    one, two, three, four, five, six, seven = names
    same = Window((3, 3), padding=Padding(1, 1, 1, 1))
    nodes = (
        Node(one, Conv(2, same, relu=True), (INPUT,)),
        Node(two, Conv(2, same, relu=True), (one,)),
        Node(three, Conv(2, Window((1, 1))), (one,)),
        Node(four, Add(relu=True), (two, three)),
        Node(five, Pool("max", Window((2, 2), (2, 2))), (four,)),
        Node(six, FullyConnected(4, relu=True), (five,)),
        Node(seven, FullyConnected(3), (six,)),
    )
    return synthetic(Graph("awkward", Shape(4, 4, 2), nodes), seed=3)


def machine_of(network):
    return default_machine(network, 400)


@given(st.lists(NAMES, unique=True, max_size=12))
@example(list(AWKWARD))
@example(["a b", "a_b", "a_b_2", "A_B", "a-b"])
@example(["x" * 300, "x" * 301])
@example(["", "_", "1", "__", "ß", "layer_", "layer"])
def test_names_are_identifiers_that_nothing_else_has(layers):
    names = hardware_names(layers)
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,63}", name) for name in names)
    assert not any("__" in name or name.endswith("_") for name in names)
    assert not {name.lower() for name in names} & (KEYWORDS | set(OWN))
    assert len({name.lower() for name in names}) == len(layers)
    assert hardware_names(names) == names, "a name that is one stays"
    assert len(set(reported_names(layers).values())) == len(layers)


def test_names_that_are_fine_are_nobodys_to_change():
    network = network_of(["conv1", "conv2", "conv3", "add4", "pool5", "fc6", "fc7"])
    pipeline = Pipeline(network, machine_of(network))
    assert in_hardware(pipeline) is pipeline


def test_the_hardware_is_the_same_by_any_name():
    plain, awkward = (network_of(names) for names in (hardware_names(AWKWARD), AWKWARD))
    first, second = (
        generate(in_hardware(Pipeline(network, machine_of(network)))).verilog
        for network in (plain, awkward)
    )
    assert first == second


@pytest.mark.parametrize("loaded", [False, True], ids=["built in", "loaded"])
def test_awkward_names_are_verified_and_priced(loaded):
    network = network_of(AWKWARD)
    machine = machine_of(network)
    images = np.random.default_rng(1).integers(0, 256, (2, 4, 4, 2), np.uint8)
    verdict = verify(network, machine, images, switching=True, loaded=loaded, optimize=False)
    assert verdict.equal
    assert tuple(stage.name for stage in verdict.stages) == AWKWARD
    pipeline = Pipeline(network, machine)
    lines = stage_powers(pipeline, verdict, EnergyTable.load("eyeriss65"), None)
    names = [line.name for line in lines]
    assert len(set(names)) == len(names)
    assert all(line.total.register_bits for line in lines[: len(AWKWARD)]), "each finds its own"


def test_awkward_names_are_exported(tmp_path):
    network = network_of(AWKWARD)
    machine = machine_of(network)
    paths = export(network, machine, tmp_path / "rtl")
    assert all(re.fullmatch(r"[\w.]+", path.name, re.ASCII) for path in paths)
    if shutil.which("iverilog"):
        command = ["iverilog", "-g2005", "-Wall", "-s", TOP, "-f", "files.f", "-o", "whole"]
        told = subprocess.run(command, cwd=tmp_path / "rtl", capture_output=True, text=True)
        assert (told.returncode, told.stderr) == (0, "")

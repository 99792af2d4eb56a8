"""Machines are for chains: a network that forks or joins is refused in one line."""

from __future__ import annotations

import pytest

from pilaster.models.errors import InputError
from pilaster.models.graph import INPUT, Graph, Node
from pilaster.models.layers import Add, Conv, Window
from pilaster.models.network import Network
from pilaster.models.shape import Shape
from pilaster.models.zoo.synthetic import synthetic
from pilaster.sim.default import default_machine
from pilaster.sim.machine import Machine
from pilaster.sim.pipeline import Pipeline

ONE = Conv(2, Window((1, 1)))
NODES = (
    Node("a", ONE, (INPUT,)),
    Node("b", ONE, ("a",)),
    Node("c", ONE, ("a",)),
    Node("d", Add(), ("b", "c")),
)


def network(*nodes: Node) -> Network:
    return synthetic(Graph("net", Shape(4, 4, 2), nodes))


def test_a_join_is_refused() -> None:
    message = "^net: layer d joins 2 tensors; machines are for chains of layers as yet$"
    with pytest.raises(InputError, match=message):
        default_machine(network(*NODES), 100)
    with pytest.raises(InputError, match=message):
        Pipeline(network(*NODES), Machine("m", "net", 100, {}))
    assert default_machine(network(*NODES).until("c"), 100).stages

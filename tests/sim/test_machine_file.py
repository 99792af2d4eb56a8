"""Laws: a machine file reads back as it was written, and a bad one is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pilaster.base.errors import InputError
from pilaster.models.zoo import ZOO
from pilaster.sim.machine import Fold, LoopOrder, Machine, Schedule, StageSpec
from pilaster.sim.machine_file import (
    LARGEST,
    MACHINES,
    load_machine,
    machine_names,
    machine_path,
    machine_yaml,
    read_machine,
)
from pilaster.sim.pipeline import Pipeline
from pilaster.sim.simulate import simulate

searching = settings(max_examples=300, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines") / "mine.yaml"


# Machines that come with Pilaster


@pytest.mark.parametrize("name", machine_names())
def test_a_shipped_machine_fits_its_network(name: str) -> None:
    machine = load_machine(name)
    assert machine.name == name
    network = ZOO[machine.network].load()
    assert len(Pipeline(network, machine).stages) == len(network.graph.nodes)


@pytest.mark.parametrize("name", machine_names())
def test_a_shipped_machine_reads_back(name: str, path: Path) -> None:
    machine = load_machine(name)
    path.write_text(machine_yaml(machine), encoding="utf-8")
    assert read_machine(path) == machine
    assert machine_yaml(read_machine(path)) == machine_yaml(machine)


def test_a_network_with_a_machine_has_one_of_each_schedule() -> None:
    names = {name.removesuffix("-gather") for name in machine_names()}
    assert {"alexnet", "digits", "lenet5", "vgg16"} <= names <= set(ZOO)
    assert set(machine_names()) == {*names, *(f"{name}-gather" for name in names)}
    for name in names:
        scatter, gather = load_machine(name), load_machine(f"{name}-gather")
        assert {spec.schedule for spec in scatter.stages.values()} == {Schedule.SCATTER}
        assert {spec.schedule for spec in gather.stages.values()} == {Schedule.GATHER}
        assert scatter.column_interval == gather.column_interval


def test_a_name_comes_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lenet5").mkdir()
    assert machine_path("lenet5") == MACHINES / "lenet5.yaml"
    (tmp_path / "mine").write_text(machine_yaml(load_machine("digits")))
    assert load_machine("mine") == load_machine("digits")
    with pytest.raises(InputError, match=r"lenet5\.yaml: cannot be read"):
        load_machine("lenet5.yaml")


# Any machine

counts = st.integers(1, 1000)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
names = st.one_of(
    st.sampled_from(
        ["", "yes", "null", "1", "1.5", "2023-01-01", "a: b", "# a", "a\nb", " a ", "~"]
    ),
    st.sampled_from(["a" * 200, "a " * 100, "model/conv2d:0", "é", "😀", "[a]", "{a}", "'", '"']),
    words,
)


@st.composite
def folds(draw: st.DrawFn) -> Fold:
    loop_order = draw(st.sampled_from(LoopOrder))
    out_channels = draw(counts)
    return Fold(
        taps=1 if loop_order is LoopOrder.PSUMS_HELD else draw(counts),
        in_channels=draw(counts),
        out_channels=out_channels,
        kernel_columns=draw(counts),
        requantizers=draw(st.integers(1, out_channels)),
        loop_order=loop_order,
    )


machines = st.builds(
    Machine,
    name=names,
    network=names,
    column_interval=st.integers(1, LARGEST),
    stages=st.dictionaries(
        names,
        st.builds(
            StageSpec,
            folds(),
            st.sampled_from(Schedule),
            st.one_of(st.just(0), counts),
            row_sums=st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    weight_memory_bits=st.one_of(st.none(), st.integers(1, LARGEST)),
)


@searching
@given(machines)
def test_any_machine_reads_back(path: Path, machine: Machine) -> None:
    path.write_text(machine_yaml(machine), encoding="utf-8", newline="")
    assert read_machine(path) == machine


# Any file

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 40),
    st.sampled_from([10**12, 10**13, 2**63, 10**30, -(10**30)]),
    st.floats(),
    st.dates(),
    st.binary(max_size=4),
    st.text(max_size=5),
    st.sampled_from(["scatter", "gather", "weights_held", "psums_held", "lenet5", "conv1", "taps"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3),
    max_leaves=5,
)


def places(node: object) -> list[tuple[Any, Any]]:
    """Every (mapping, key) of a document."""
    found: list[tuple[Any, Any]] = []
    if isinstance(node, dict):
        for key, value in node.items():
            found += [(node, key), *places(value)]
    return found


@st.composite
def mutated_documents(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(["lenet5", "lenet5-gather", "digits"]))
    document = yaml.safe_load((MACHINES / f"{name}.yaml").read_text(encoding="utf-8"))
    for _ in range(draw(st.integers(1, 3))):
        found = places(document)
        if not found:
            break
        mapping, key = draw(st.sampled_from(found))
        match draw(st.sampled_from(["number", "number", "number", "delete", "replace", "rename"])):
            case "delete":
                del mapping[key]
            case "replace":
                mapping[key] = draw(values)
            case "number":
                mapping[key] = draw(st.integers(1, 40))
            case "rename":
                mapping[draw(scalars)] = mapping.pop(key)
    return yaml.safe_dump(document, allow_unicode=draw(st.booleans()))


@st.composite
def mutated_bytes(draw: st.DrawFn) -> bytes:
    content = bytearray(draw(mutated_documents()).encode("utf-8", "replace"))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 4))
        yaml_marks = st.sampled_from(
            [b"[", b"{", b"&a ", b"*a", b"!!", b"%", b"\t", b"\0", b"---\n"]
        )
        content[at : at + length] = draw(st.one_of(st.binary(max_size=4), yaml_marks))
    return bytes(content)


def refusal(act: Callable[[], object]) -> str | None:
    try:
        act()
    except InputError as error:
        return str(error)
    return None


def check_only_input_errors(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    message = refusal(lambda: read_machine(path))
    if message is not None:
        assert str(path) in message
        assert "\n" not in message
        assert len(message) < 1000 + len(str(path))
        return
    machine = read_machine(path)
    path.write_text(machine_yaml(machine), encoding="utf-8", newline="")
    assert read_machine(path) == machine
    message = refusal(lambda: simulate(ZOO["lenet5"].load(), machine))
    assert message is None or "\n" not in message


@searching
@given(mutated_documents())
def test_a_mutated_machine_is_used_or_refused(path: Path, document: str) -> None:
    check_only_input_errors(path, document.encode("utf-8", "replace"))


@searching
@given(st.one_of(mutated_bytes(), st.binary(max_size=60)))
def test_random_bytes_are_refused(path: Path, content: bytes) -> None:
    check_only_input_errors(path, content)

"""Laws of `map`: what it returns keeps what was asked; what it refuses, it explains."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pilaster as pl
from pilaster.models.energy import EnergyTable
from pilaster.models.energy.actions import Action
from pilaster.sim.area import stage_area_um2
from pilaster.sim.engine import simulate_events
from pilaster.sim.machine_file import machine_yaml, read_machine
from pilaster.sim.mapper import SCHEDULES, Infeasible
from pilaster.sim.pace import pace
from pilaster.sim.pipeline import Pipeline
from tests.strategies import graphs, networks

IMAGES = 6


def check_kept(network, found):
    """Simulate a mapping's machine by events."""
    pipeline = Pipeline(network, found.machine)
    stamps = simulate_events(pipeline, IMAGES)
    shape = network.graph.input_shape
    due = found.column_interval_cycles * np.arange(IMAGES * shape.width)
    accepted = stamps.stages[0].accepted.ravel()
    assert (accepted == due + shape.height).all(), "the source is never held up"
    kept = pace(pipeline)
    assert kept.holds
    assert kept.cycles_per_image == found.column_interval_cycles * shape.width
    assert kept.latency_after_last_column == found.latency_cycles, "run tells the same latency"
    latency = stamps.latency_after_last_column
    assert (latency <= found.latency_cycles).all()
    assert latency[-1] == found.latency_cycles
    if found.max_latency_cycles is not None:
        assert found.latency_cycles <= found.max_latency_cycles
    assert pipeline.lanes == found.lanes
    if found.max_lanes is not None:
        assert found.lanes <= found.max_lanes


def interval_of(network, seed):
    shape = network.graph.input_shape
    rng = np.random.default_rng(seed)
    return int(rng.integers(shape.height, 6 * shape.height * shape.channels + 60))


REQUESTS = {
    "objective": st.sampled_from(["lanes", "energy", "power", "area"]),
    "policy": st.sampled_from(["multi-cycle", "immediate"]),
    "schedule": st.sampled_from(list(SCHEDULES)),
}


@settings(max_examples=40, deadline=None)
@given(
    networks(graphs(3)), st.integers(0, 2**32 - 1), st.fixed_dictionaries(REQUESTS), st.booleans()
)
def test_a_machine_keeps_what_was_asked(network, seed, request, limited):
    table = "sg13g2" if request["objective"] in ("energy", "power") else "ihp130"
    request |= {"table": table, "clock_mhz": 10.0, "column_interval": interval_of(network, seed)}
    try:
        found = pl.map(network, **request)
    except pl.Infeasible as reason:
        request["column_interval"] = reason.nearest
        found = pl.map(network, **request)
    check_kept(network, found)
    if not limited:
        return
    rng = np.random.default_rng(seed)
    request["max_latency"] = max(1, int(found.latency_cycles * rng.uniform(0.3, 1)))
    request["max_lanes"] = max(1, int(found.lanes * rng.uniform(0.5, 3)))
    try:
        second = pl.map(network, **request)
    except (pl.Infeasible, pl.InputError):
        return
    check_kept(network, second)
    assert second.cost >= found.bound * (1 - 1e-9), "limits make nothing cheaper"


@settings(max_examples=30, deadline=None)
@given(networks(graphs(3)), st.integers(0, 2**32 - 1))
def test_multi_cycle_never_needs_more_lanes(network, seed):
    request = {"column_interval": interval_of(network, seed), "max_latency": None}
    try:
        immediate = pl.map(network, policy="immediate", **request)
    except pl.Infeasible:
        assume(False)
    assume(immediate.latency_cycles > 0)
    request["max_latency"] = immediate.latency_cycles
    multi_cycle = pl.map(network, **request)
    assert multi_cycle.lanes <= immediate.lanes
    assert multi_cycle.latency_cycles <= immediate.latency_cycles


@pytest.mark.parametrize("name", ["digits", "lenet5"])
@pytest.mark.parametrize("latency", [None, 2000, 700])
def test_a_mapping_of_the_zoo(name, latency, tmp_path):
    network = pl.load(name)
    found = pl.map(network, column_interval=256, max_latency=latency)
    assert found.proven
    assert found.cost == found.bound == found.lanes
    check_kept(network, found)
    path = tmp_path / "machine.yaml"
    path.write_text(machine_yaml(found.machine), encoding="utf-8")
    assert read_machine(path) == found.machine
    immediate = pl.map(network, column_interval=256, max_latency=latency, policy="immediate")
    assert found.lanes < immediate.lanes
    for node in network.graph.nodes:
        fold = immediate.machine.stages[node.name].fold
        if node.name.startswith(("conv", "fc")):
            assert (
                fold.kernel_columns
                == node.layer.as_conv(network.graph.input_of(node)).window.kernel[1]
            )


def test_costs_are_those_of_the_simulation():
    network, table = pl.load("digits"), EnergyTable.load("ihp130")
    limits = {"column_interval": 200, "max_latency": 400, "table": table, "clock_mhz": 10.0}
    for objective in ("energy", "power", "area"):
        found = pl.map(network, objective=objective, max_lanes=10_000, **limits)
        result = pl.simulate(network, found.machine, table=table, clock_mhz=10.0)
        assert found.energy_pj == pytest.approx(result.energy_per_image_pj)
        assert found.power_uw == pytest.approx(found.energy_pj * 10 / result.cycles_per_image)
        stages = Pipeline(network, found.machine).stages
        assert found.area_um2 == pytest.approx(sum(stage_area_um2(s, table) for s in stages))
        cost = {"energy": found.energy_pj, "power": found.power_uw, "area": found.area_um2}
        assert found.cost == pytest.approx(cost[objective])


def test_slack_is_what_can_be_added():
    network = pl.load("digits")
    found = pl.map(network, column_interval=200, max_latency=400)
    assert [stage.name for stage in found.stages] == [n.name for n in network.graph.nodes]
    for stage in found.stages:
        assert 0 <= stage.slack_cycles < 200 * 8
        assert stage.busy_cycles <= 200 * 8


def test_more_time_never_costs_more():
    network = pl.load("digits")
    lanes = [pl.map(network, column_interval=i, max_latency=600).lanes for i in (50, 100, 200)]
    assert lanes == sorted(lanes, reverse=True)
    lanes = [pl.map(network, column_interval=100, max_latency=m).lanes for m in (200, 400, 800)]
    assert lanes == sorted(lanes, reverse=True)


def test_an_interval_that_is_too_short_names_the_stage_and_the_least():
    network = pl.load("digits")
    with pytest.raises(Infeasible, match=r"column_interval: 8 cycles: .* stage conv1 ") as caught:
        pl.map(network, column_interval=8)
    assert (caught.value.limit, caught.value.stage) == ("column_interval", "conv1")
    check_kept(network, pl.map(network, column_interval=caught.value.nearest))
    with pytest.raises(Infeasible):
        pl.map(network, column_interval=caught.value.nearest - 1)


def test_a_latency_that_is_too_short_names_the_stage_and_one_that_does():
    network = pl.load("digits")
    with pytest.raises(Infeasible, match=r"max_latency: 78 cycles: .* stage ") as caught:
        pl.map(network, column_interval=14, max_latency=78)
    assert caught.value.limit == "max_latency"
    check_kept(network, pl.map(network, column_interval=14, max_latency=caught.value.nearest))


def test_lanes_that_are_too_few_name_the_stage_and_the_least():
    network = pl.load("digits")
    request = {"column_interval": 200, "max_latency": 400}
    with pytest.raises(Infeasible, match=r"max_lanes: 20 lanes: .* stage conv2 ") as caught:
        pl.map(network, **request, max_lanes=20)
    least = caught.value.nearest
    assert (caught.value.limit, least) == ("max_lanes", pl.map(network, **request).lanes)
    for objective in ("lanes", "energy", "area"):
        found = pl.map(network, **request, max_lanes=least, objective=objective, table="horowitz45")
        assert found.lanes <= least


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"column_interval": 0}, "column_interval: must be at least 1 cycle, not 0"),
        ({"column_interval": 2.5}, "column_interval: must be a whole number, not 2.5"),
        ({"column_interval": 7}, "column_interval: 7 cycles are too few for a column of 8 rows"),
        ({"max_latency": 0}, "max_latency: must be at least 1 cycle, not 0"),
        ({"max_latency": 10}, "max_latency: 10 cycles are below the 78 that"),
        ({"max_lanes": 2}, "max_lanes: 2 are fewer than the 3 of a machine"),
        ({"objective": "speed"}, "objective: 'speed' is not known; use lanes, energy, power, area"),
        ({"objective": "energi"}, "did you mean energy"),
        ({"objective": "power"}, "objective: power needs a clock; give clock_mhz"),
        (
            {"objective": "area", "table": "eyeriss65"},
            "eyeriss65: has no area: entries multiply_area",
        ),
        ({"policy": "lazy"}, "policy: 'lazy' is not known; use multi-cycle, immediate"),
        ({"schedule": "gathr"}, "schedule: 'gathr' is not known; use scatter, gather, both"),
        ({"table": "none"}, "energy table 'none' is not shipped"),
        ({"clock_mhz": 0.0}, "clock_mhz: must be above 0, not 0.0"),
        ({"row_sums": 1}, "row_sums: must be True or False, not 1"),
        ({"on_chip_weight_bits": 0}, "on_chip_weight_bits: must be at least 1 bit, not 0"),
    ],
)
def test_a_request_that_makes_no_sense_is_one_line(request_, says):
    with pytest.raises(pl.InputError) as caught:
        pl.map(pl.load("digits"), **({"column_interval": 100} | request_))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_large_layers_keep_their_weights_in_dram_where_asked():
    network = pl.load("digits")
    found = pl.map(network, column_interval=200, on_chip_weight_bits=2000)
    in_dram = [name for name, spec in found.machine.stages.items() if spec.dram_bits_per_cycle]
    assert in_dram == ["conv2", "fc3"]
    check_kept(network, found)


def test_stages_keep_row_sums_where_asked():
    """The same folds are open, so a machine of the least energy takes no more than without."""
    network = pl.load("digits")
    request = {"column_interval": 512, "max_latency": 2200, "objective": "energy"}
    plain, found = (pl.map(network, **request, row_sums=asked) for asked in (False, True))
    assert all(spec.row_sums for spec in found.machine.stages.values())
    assert not any(spec.row_sums for spec in plain.machine.stages.values())
    assert found.energy_pj < plain.energy_pj
    result = pl.simulate(network, found.machine, table="sg13g2")
    assert result.energy.total_pj == pytest.approx(found.energy_pj)
    check_kept(network, found)


IDLE_IS_FREE = ("eyeriss65", "horowitz45", "ihp130")


@pytest.mark.parametrize("objective", ["energy", "power"])
@pytest.mark.parametrize("table", IDLE_IS_FREE)
def test_a_table_that_cannot_answer_says_so_before_the_search(objective, table, monkeypatch):
    monkeypatch.setattr("pilaster.sim.mapper.map_request", None)
    with pytest.raises(pl.InputError, match=f"{table}: has neither .* max_lanes$"):
        pl.map(
            pl.load("alexnet"),
            column_interval=4096,
            objective=objective,
            table=table,
            clock_mhz=200.0,
        )


def test_leakage_of_lanes_needs_a_clock_to_be_an_energy():
    whole = EnergyTable.load("sg13g2")
    prices = {name: price for name, price in whole.prices.items() if name != "clock"}
    table = replace(whole, prices=prices)
    request = {"column_interval": 200, "objective": "energy", "table": table}
    with pytest.raises(pl.InputError, match=r"no clock of registers, .* give clock_mhz"):
        pl.map(pl.load("digits"), **request)
    assert pl.map(pl.load("digits"), clock_mhz=25.0, **request).lanes < 1_000


@pytest.mark.parametrize("objective", ["lanes", "energy", "power", "area"])
def test_the_default_table_can_answer(objective):
    """With the tables that cannot, the least energy of AlexNet had 60,223,616 lanes."""
    found = pl.map(pl.load("digits"), column_interval=200, objective=objective, clock_mhz=25.0)
    assert found.table == {"lanes": "eyeriss65", "area": "ihp130"}.get(objective, "sg13g2")
    assert found.lanes < 1_000
    assert (found.area_um2 is None) == (objective != "area")


def test_weights_in_dram_tell_what_they_ask_of_it():
    """Bits a cycle are those that the stages of the machine take, in the mean and at the peak."""
    network = pl.load("digits")
    found = pl.map(network, column_interval=200, on_chip_weight_bits=2000, clock_mhz=100.0)
    result = pl.simulate(network, found.machine, clock_mhz=100.0)
    assert found.dram == result.dram
    traffic, plain = found.dram, found.as_dict()["dram"]
    pipeline = Pipeline(network, found.machine)
    assert traffic.stages == ("conv2", "fc3")
    fetching = [stage for stage in pipeline.stages if stage.name in traffic.stages]
    assert traffic.peak_bits_per_cycle == sum(s.lanes * s.widths.weight for s in fetching)
    read = sum(stage.count(Action.DRAM_READ) * 8 for stage in result.stages)
    assert traffic.bits_per_image == read
    assert traffic.mean_bits_per_cycle == pytest.approx(read / result.cycles_per_image)
    assert 0 < traffic.mean_bits_per_cycle <= traffic.peak_bits_per_cycle
    assert plain["peak_gb_per_s"] == pytest.approx(traffic.peak_bits_per_cycle / 8 * 0.1)
    assert plain["mean_gb_per_s"] == pytest.approx(traffic.mean_bits_per_cycle / 8 * 0.1)
    told = traffic.describe(100.0)
    for words in ("conv2, fc3", "bits a cycle", "GB/s at 100 MHz", "no RTL is generated"):
        assert words in told
    assert told in result.notes
    assert pl.map(network, column_interval=200).dram is None
    assert pl.simulate(network, pl.map(network, column_interval=200).machine).dram is None


def test_utilization_is_that_of_the_simulation():
    network = pl.load("digits")
    found = pl.map(network, column_interval=200, max_latency=400)
    result = pl.simulate(network, found.machine)
    assert found.utilization == pytest.approx(result.utilization)
    for mapped, stage in zip(found.stages, result.stages, strict=True):
        assert mapped.utilization == pytest.approx(stage.utilization)

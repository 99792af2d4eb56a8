"""Laws: shipped tables price every action, as published, and never less for more."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pilaster.base.errors import InputError
from pilaster.models.energy import Action, Attributes, EnergyTable, load, table_names
from pilaster.models.energy.compose import PRIMITIVES, UNCOMPOSED, parts
from pilaster.models.energy.kinds import KINDS
from pilaster.models.energy.schema import Entry
from pilaster.models.energy.technology import conversion_factor

PUBLISHED = ("eyeriss65", "horowitz45", "ihp130")
MEASURED = ("sg13g2", "sky130")
SHIPPED = (*PUBLISHED, *MEASURED)
UNPRICED = {
    "clock of registers and of the clock tree": Action.CLOCK,
    "gated lanes": Action.MAC_GATED,
    "weights taken into the lanes": Action.WEIGHT_LOAD,
    "steps of the pipeline": Action.ROW,
    "programs of sequencers": Action.PROGRAM_READ,
}

MEMORY_ACTIONS = (
    Action.PSUM_READ,
    Action.PSUM_WRITE,
    Action.ROW_SUM_READ,
    Action.ROW_SUM_WRITE,
    Action.WEIGHT_READ,
    Action.COLUMN_READ,
    Action.COLUMN_WRITE,
)
WORD_ACTIONS = (
    Action.ACCUMULATE,
    Action.POOL,
    Action.WINDOW_SHIFT,
    Action.STREAM,
    Action.DRAM_READ,
    Action.CLOCK,
)
LANE = Attributes(activation_bits=8, weight_bits=8, accumulator_bits=32)

tables = st.sampled_from(PUBLISHED).map(EnergyTable.load)
word_bits = st.integers(1, 4096)
depths = st.integers(1, 200_000)
operand_bits = st.integers(1, 16)


def test_shipped_names():
    assert table_names() == tuple(sorted(SHIPPED))


@pytest.mark.parametrize("name", MEASURED)
def test_a_measured_table_prices_every_action_itself(name):
    table = EnergyTable.load(name)
    at = Attributes(32, 256, 8, 8, 32, 16)
    for action in Action:
        energy = table.energy_pj(action, at)
        assert energy >= 0
        assert energy > 0 or action in (Action.MAC_GATED, Action.DRAM_READ)
    assert table.clock_pj(100) >= table.energy_pj(Action.CLOCK, Attributes(100)) > 0
    assert table.missing == ("DRAM", "clock of idle memories")
    for entry in table.entries.values():
        assert "measured at gates" in entry.source or "energy table ihp130" in entry.source


def test_every_action_is_composed_or_known_not_to_be():
    assert set(PRIMITIVES) | set(UNCOMPOSED) == set(Action)
    assert not set(PRIMITIVES) & set(UNCOMPOSED)
    assert set(Action) <= set(KINDS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_shipped_table_prices_every_action_but_what_it_says_is_missing(name):
    table = EnergyTable.load(name)
    assert table.name == name
    at = Attributes(32, 256, 8, 8, 32, 16)
    unpriced = {action for what, action in UNPRICED.items() if what in table.missing}
    for action in Action:
        assert (table.energy_pj(action, at) > 0) != (action in unpriced)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_published_value_comes_back(name):
    table = EnergyTable.load(name)
    for entry in table.entries.values():
        quantity = KINDS[entry.name].quantity
        if quantity == "power" or entry.unit == "mac16":
            continue
        origin, factor = entry.converted_from, 1.0
        if origin:
            factor = conversion_factor(
                origin.rule, origin.node_nm, origin.voltage_v, table.node_nm, table.voltage_v
            )
        for point in entry.published:
            value_at = table.area_um2 if quantity == "area" else table.primitive_pj
            value = value_at(entry.name, entry.attributes_of(point))
            assert value == pytest.approx(point.value * factor, rel=1e-12)


@given(tables, st.sampled_from(MEMORY_ACTIONS), word_bits, word_bits, depths, depths)
def test_memory_grows_with_bits_and_depth(table, action, bits, more_bits, depth, more_depth):
    small = table.energy_pj(action, Attributes(bits, depth))
    assert small > 0
    assert table.energy_pj(action, Attributes(bits + more_bits, depth)) > small * (1 - 1e-9)
    assert table.energy_pj(action, Attributes(bits, depth + more_depth)) >= small * (1 - 1e-9)


@given(tables, st.sampled_from(WORD_ACTIONS), word_bits, word_bits)
def test_word_actions_grow_with_bits(table, action, bits, more):
    assert table.energy_pj(action, Attributes(bits + more)) >= table.energy_pj(
        action, Attributes(bits)
    )


@given(tables, operand_bits, operand_bits, st.integers(1, 48), st.integers(0, 3))
def test_mac_grows_with_each_width(table, activation, weight, accumulator, which):
    widths = [activation, weight, accumulator]
    more = [width + (index == which) for index, width in enumerate(widths)]
    mac, larger = (table.energy_pj(Action.MAC, Attributes(0, 1, *each)) for each in (widths, more))
    assert larger >= mac > 0


@given(tables, st.sampled_from(sorted(Action)), word_bits, depths, operand_bits, operand_bits)
def test_an_action_without_an_entry_costs_the_sum_of_its_parts(
    table, action, bits, depth, activation, weight
):
    at = Attributes(bits, depth, activation, weight, accumulator_bits=32, scale_bits=weight)
    made_of = parts(action, at)
    if action in table.entries or not made_of:
        return
    total = sum(table.primitive_pj(name, part) for name, part in made_of)
    assert table.energy_pj(action, at) == pytest.approx(total)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(("activation", "weight"), [(8, 1), (1, 8), (1, 1)])
def test_binary_operand_needs_no_multiplier(name, activation, weight):
    table = EnergyTable.load(name)
    mac = table.energy_pj(Action.MAC, Attributes(0, 1, activation, weight, 24))
    assert mac == table.primitive_pj("add", Attributes(24))


@pytest.mark.parametrize("scale_bits", [0, 1])
def test_scale_that_is_a_shift_needs_no_multiplier(scale_bits):
    table = EnergyTable.load("horowitz45")
    shift = table.energy_pj(
        Action.REQUANTIZE, Attributes(accumulator_bits=32, scale_bits=scale_bits)
    )
    assert shift == pytest.approx(0.1)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("action", MEMORY_ACTIONS)
def test_memory_of_one_word_is_a_register(name, action):
    table = EnergyTable.load(name)
    register = table.energy_pj(Action.WINDOW_SHIFT, Attributes(24))
    assert table.energy_pj(action, Attributes(24, 1)) == register


def test_horowitz_figures():
    table = EnergyTable.load("horowitz45")
    for depth, energy in ((1024, 10), (4096, 20), (131072, 100)):
        assert table.energy_pj(Action.PSUM_READ, Attributes(64, depth)) == energy
    assert table.energy_pj(Action.MAC, LANE) == pytest.approx(0.3)
    assert table.energy_pj(Action.DRAM_READ, Attributes(64)) == 1300


def test_eyeriss_figures():
    table = EnergyTable.load("eyeriss65")
    mac16 = table.energy_pj(Action.MAC, Attributes(0, 1, 16, 16, 16))
    assert mac16 == pytest.approx(1.694, abs=5e-4)
    assert table.energy_pj(Action.MAC, Attributes(0, 1, 8, 8, 8)) == pytest.approx(0.446, abs=5e-4)
    for relative, energy in {
        1: table.energy_pj(Action.WEIGHT_READ, Attributes(16, 256)),
        2: table.energy_pj(Action.STREAM, Attributes(16)),
        6: table.energy_pj(Action.COLUMN_READ, Attributes(16, 51200)),
        200: table.energy_pj(Action.DRAM_READ, Attributes(16)),
    }.items():
        assert energy == pytest.approx(relative * mac16)


@pytest.mark.parametrize(
    ("bits", "depth", "read", "write"),
    [(16, 256, 14.19, 18.46), (16, 512, 19.57, 23.47), (16, 1024, 26.49, 32.92),
     (64, 1024, 91.83, 110.92), (16, 4096, 58.64, 72.49)],
)  # fmt: skip
def test_ihp_macros(bits, depth, read, write):
    table = EnergyTable.load("ihp130")
    assert table.energy_pj(Action.PSUM_READ, Attributes(bits, depth)) == pytest.approx(
        read, abs=5e-3
    )
    assert table.energy_pj(Action.PSUM_WRITE, Attributes(bits, depth)) == pytest.approx(
        write, abs=5e-3
    )
    assert table.idle_memory_pj(bits, depth) > 0


@pytest.mark.parametrize(
    ("name", "bits", "depth", "read", "write"),
    [("eyeriss65", 64, 8192, 47.0, 37.3), ("eyeriss65", 64, 1024, 11.1, 14.7),
     ("eyeriss65", 16, 256, 1.18, 3.42), ("horowitz45", 64, 8192, 25.9, 19.7),
     ("horowitz45", 64, 1024, 6.14, 7.88), ("horowitz45", 16, 256, 0.86, 1.34)],
)  # fmt: skip
def test_memories_are_within_a_factor_of_2_2_of_cacti(name, bits, depth, read, write):
    table, at = EnergyTable.load(name), Attributes(bits, depth)
    assert 1 / 2.2 < table.energy_pj(Action.PSUM_READ, at) / read < 2.2
    assert 1 / 2.2 < table.energy_pj(Action.PSUM_WRITE, at) / write < 2.2


def test_ihp_operations_are_those_of_45_nm_converted():
    ihp, horowitz = EnergyTable.load("ihp130"), EnergyTable.load("horowitz45")
    factor = conversion_factor("stillmaker-baas", 45, 0.9, 130, 1.2)
    assert ihp.energy_pj(Action.MAC, LANE) == pytest.approx(
        factor * horowitz.energy_pj(Action.MAC, LANE)
    )
    for name in ("multiply", "add", "register"):
        assert ihp.entries[name].published == horowitz.entries[name].published


def test_ihp_leakage_is_that_of_the_liberty_files():
    table = EnergyTable.load("ihp130")
    assert table.has_leakage
    macros = [Attributes(64, 64), Attributes(64, 2048)]
    assert table.leakage_uw(macros[:1]) == pytest.approx(0.0495039)
    assert table.leakage_uw(macros) == pytest.approx(0.0495039 + 1.5841239)
    assert table.leakage_uw(lanes=100) == 0
    assert "leakage of lanes" in table.missing
    assert "leakage of memories" not in table.missing


@pytest.mark.parametrize("name", ["eyeriss65", "horowitz45"])
def test_table_without_leakage_says_so(name):
    table = EnergyTable.load(name)
    assert not table.has_leakage
    assert table.leakage_uw([Attributes(64, 64)], lanes=3) is None
    assert table.idle_memory_pj(64, 64) is None
    assert {"leakage of memories", "leakage of lanes"} <= set(table.missing)


@pytest.mark.parametrize("name", SHIPPED)
def test_missing_follows_from_the_entries(name):
    table = EnergyTable.load(name)
    assert table.has_clock == (Action.CLOCK in table.entries)
    assert ("clock of registers and of the clock tree" in table.missing) != table.has_clock


@pytest.mark.parametrize("name", SHIPPED)
def test_listing_shows_source_and_conversion_of_each_entry(name):
    table = EnergyTable.load(name)
    assert [row.name for row in table.listing] == list(table.entries)
    for row in table.listing:
        assert row.source
        assert row.values
        assert bool(row.converted_from) == (table.entries[row.name].converted_from is not None)


def test_listing_names_the_interpolation_by_others():
    rows = {row.name: row for row in EnergyTable.load("horowitz45").listing}
    assert "weight_bits 16: interpolated by CNNergy" in rows["multiply"].source
    assert rows["register"].converted_from == "40 nm 0.9 V by stillmaker-baas"


def test_shipped_files_are_named_after_their_table():
    folder = Path(load.__file__).parent / "tables"
    for path in folder.glob("*.yaml"):
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["name"] == path.stem


def test_example_of_the_docs_is_a_table(tmp_path):
    page = Path(__file__).parents[3] / "docs" / "energy-tables.md"
    _, after = page.read_text(encoding="utf-8").split("```yaml\n")
    path = tmp_path / "mine.yaml"
    path.write_text(after.split("```")[0], encoding="utf-8")
    table = EnergyTable.load(path)
    assert table.energy_pj(Action.MAC, LANE) == pytest.approx(0.5 + 0.11)


def test_shipped_table_is_loaded_once():
    assert EnergyTable.load("ihp130") is EnergyTable.load("ihp130")


def test_own_entry_of_an_action_goes_before_its_parts(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(
        """
name: own
title: every kind of entry that the shipped tables do not have
node_nm: 65
voltage_v: 1.0
entries:
  - {name: multiply, value: 1, at: {activation_bits: 8, weight_bits: 8}, unit: pJ,
     scaling: product-bits, source: made up}
  - {name: add, value: 2, unit: fJ/bit, scaling: linear-bits, source: made up}
  - {name: register, value: 3000, unit: aJ, scaling: linear-bits, at: {bits: 1}, source: made up}
  - {name: memory_read, value: 5, unit: pJ, scaling: constant, source: made up}
  - {name: memory_write, value: 0.5, unit: mac16, scaling: constant, source: made up}
  - {name: mac, value: 10, at: {activation_bits: 16, weight_bits: 16}, unit: pJ,
     scaling: product-bits, source: made up}
  - {name: mac_gated, value: 7, unit: fJ, scaling: constant, source: made up}
  - {name: requantize, value: 4, at: {accumulator_bits: 32, scale_bits: 16}, unit: pJ,
     scaling: product-bits, source: made up}
  - {name: clock, value: 1, unit: fJ/bit, scaling: linear-bits, source: made up}
  - {name: lane_leakage, value: 20, unit: nW, scaling: constant, source: made up}
""",
        encoding="utf-8",
    )
    table = EnergyTable.load(path)
    assert table.energy_pj(Action.MAC, LANE) == pytest.approx(10 * 64 / 256)
    assert table.energy_pj(Action.MAC_GATED, LANE) == pytest.approx(0.007)
    assert table.energy_pj(Action.ACCUMULATE, Attributes(32)) == pytest.approx(0.064)
    assert table.energy_pj(Action.STREAM, Attributes(8)) == pytest.approx(0.024)
    assert table.energy_pj(Action.PSUM_READ, Attributes(8, 99)) == 5
    assert table.energy_pj(Action.PSUM_WRITE, Attributes(8, 99)) == 5
    requantize = table.energy_pj(Action.REQUANTIZE, Attributes(accumulator_bits=32, scale_bits=8))
    assert requantize == pytest.approx(2)
    assert table.has_clock
    assert table.energy_pj(Action.CLOCK, Attributes(1000)) == pytest.approx(1)
    assert table.energy_pj(Action.CLOCK, Attributes(0)) == 0
    assert table.leakage_uw(lanes=3) == pytest.approx(0.06)
    assert table.missing == (
        "weights taken into the lanes",
        "steps of the pipeline",
        "programs of sequencers",
        "DRAM",
        "clock of idle memories",
        "leakage of memories",
    )


@pytest.mark.parametrize(
    ("action", "attributes", "needed"),
    [(Action.MAC, Attributes(8), "activation_bits"), (Action.STREAM, Attributes(), "bits"),
     (Action.REQUANTIZE, Attributes(scale_bits=8), "accumulator_bits")],
)  # fmt: skip
def test_forgotten_attribute_is_a_programming_error(action, attributes, needed):
    with pytest.raises(ValueError, match=f"depends on {needed}"):
        EnergyTable.load("horowitz45").energy_pj(action, attributes)


@pytest.mark.parametrize("wrong", [{"bits": -1}, {"depth": 0}])
def test_attributes_are_checked(wrong):
    with pytest.raises(ValueError, match="must be at least"):
        Attributes(**wrong)


def test_unknown_primitive_is_a_programming_error():
    with pytest.raises(ValueError, match="no energy for 'memory_leakage'"):
        EnergyTable.load("ihp130").primitive_pj("memory_leakage", Attributes(8, 8))


AREA_TABLES = [name for name in SHIPPED if EnergyTable.load(name).has_area]


def test_tables_with_an_area():
    assert AREA_TABLES == ["horowitz45", "ihp130"]


@given(st.sampled_from(AREA_TABLES), word_bits, word_bits, depths, depths)
def test_area_of_a_memory_grows_with_bits_and_depth(name, bits, more_bits, depth, more_depth):
    table = EnergyTable.load(name)
    small = table.area_um2("memory_area", Attributes(bits, depth))
    assert small > 0
    wide, deep = Attributes(bits + more_bits, depth), Attributes(bits, depth + more_depth)
    assert table.area_um2("memory_area", wide) >= small * (1 - 1e-9)
    assert table.area_um2("memory_area", deep) >= small * (1 - 1e-9)


@pytest.mark.parametrize("name", AREA_TABLES)
def test_small_areas(name):
    table = EnergyTable.load(name)
    binary = Attributes(activation_bits=8, weight_bits=1)
    assert table.area_um2("multiply_area", binary) == 0
    register = table.area_um2("register_area", Attributes(24))
    assert table.area_um2("memory_area", Attributes(24, 1)) == register


def test_aladdins_area_shrinks_with_the_feature_size():
    table = EnergyTable.load("horowitz45")
    wide = Attributes(activation_bits=32, weight_bits=32)
    assert table.area_um2("multiply_area", wide) == pytest.approx(6350 * (45 / 40) ** 2)


def test_a_table_without_area_says_what_lacks():
    table = EnergyTable.load("eyeriss65")
    with pytest.raises(InputError, match="eyeriss65: has no area: entries multiply_area, add_area"):
        table.area_um2("memory_area", Attributes(8, 256))


def test_a_small_memory_costs_its_own_price_up_to_its_capacity(tmp_path):
    base = EnergyTable.load("ihp130")
    small = Entry.model_validate(
        {
            "name": "small_memory_read",
            "unit": "pJ",
            "at": {"bits": 1, "depth": 1024},
            "value": 0.05,
            "scaling": "linear-bits",
            "source": "made up",
        }
    )
    table = base.with_entries("mine", "mine", [small])
    for action in (Action.PSUM_READ, Action.ROW_SUM_READ, Action.COLUMN_READ):
        at = Attributes(bits=32, depth=32)
        assert table.energy_pj(action, at) == pytest.approx(1.6)
        larger = Attributes(bits=32, depth=33)
        assert table.energy_pj(action, larger) == base.energy_pj(action, larger)
    for action in (Action.PSUM_WRITE, Action.ROW_SUM_WRITE, Action.WEIGHT_READ):
        at = Attributes(bits=32, depth=32)
        assert table.energy_pj(action, at) == base.energy_pj(action, at)

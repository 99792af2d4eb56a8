"""Law: energies of `pilaster verify --power` are those of the RTL's own counts."""

import json

import pytest

import pilaster as pl
from pilaster.data import images_for
from pilaster.models.energy import EnergyTable


def test_the_rtl_is_priced_beside_the_model(command):
    arguments = ("verify", "digits", "--images", 1, "--until", "conv1", "--power")
    outcome = command(*arguments, "--energy", "horowitz45", "--json")
    assert outcome.code == 0
    found = json.loads(outcome.out)["energy_pj"]
    assert set(found) == {"conv1"}
    assert found["conv1"]["rtl"] == pytest.approx(found["conv1"]["model"])
    network = pl.load("digits")
    model = pl.simulate(
        network,
        pl.load_machine(None, network),
        images_for(network, None, 1).images,
        table=EnergyTable.load("horowitz45"),
    )
    for action, energy in model.stages[0].energy_by_action.items():
        assert found["conv1"]["rtl"][action] == pytest.approx(energy)


def test_an_unknown_table_is_one_line(command):
    outcome = command("verify", "digits", "--power", "--energy", "none")
    assert outcome.code == 2
    assert "'none' is not shipped" in outcome.err

"""Machines written as Verilog by the command line, in this process: made once for all tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pilaster.cli import main
from pilaster.sim.machine_file import load_machine

MACHINES = ("digits", "digits-gather", "lenet5", "lenet5-gather", "digits+load")


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the folder that `pilaster rtl` wrote for a machine, or one whose weights are loaded."""
    folders: dict[str, Path] = {}

    def export(machine: str) -> Path:
        if machine not in folders:
            folder = tmp_path_factory.mktemp(machine)
            name, *loads = machine.split("+")
            options = ["--load-weights"] if loads else []
            network = load_machine(name).network
            assert main(["rtl", network, "--machine", name, "--out", str(folder), *options]) == 0
            folders[machine] = folder
        return folders[machine]

    return export


@pytest.fixture(params=MACHINES)
def folder(request: pytest.FixtureRequest, exported: Callable[[str], Path]) -> Path:
    """Folder of each machine in turn."""
    return exported(request.param)

"""Laws: one JSON object and nothing else on standard output; help teaches; lists are whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pilaster.cli import main
from pilaster.models.energy import EnergyTable, table_names
from pilaster.models.zoo import ZOO
from pilaster.reports.write import FILES
from pilaster.sim.machine_file import load_machine, machine_names, read_machine
from tests.pilaster.conftest import Command
from tests.pilaster.test_import import separable

NUMBER = (int, float)

KEYS = {
    "network": str,
    "machine": str,
    "images": int,
    "accuracy": float,
    "macs": int,
    "lanes": int,
    "utilization": float,
    "latency_cycles": int,
    "latency_after_last_column_cycles": int,
    "column_interval_cycles": int,
    "cycles_per_image": int,
    "energy": dict,
    "stages": list,
}
ENERGY_KEYS = {"table": str, "total_pj": NUMBER, "by_action": dict, "by_stage": dict}
STAGE_KEYS = {
    "name": str,
    "kind": str,
    "lanes": int,
    "busy_cycles": int,
    "macs": int,
    "gated_macs": NUMBER,
    "energy_pj": NUMBER,
}


def process(*arguments: str, folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-m", "pilaster", *arguments]
    return subprocess.run(command, cwd=folder, text=True, timeout=60, check=False, **options)


def captured(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return process(*arguments, folder=folder, capture_output=True)


# run


def test_json_is_one_object_and_nothing_else(command: Command, tmp_path: Path) -> None:
    outcome = command("run", "lenet5", "--images", 20, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert outcome.out.count("\n") == 1
    for keys, part in [(KEYS, found), (ENERGY_KEYS, found["energy"])] + [
        (STAGE_KEYS, stage) for stage in found["stages"]
    ]:
        for key, kind in keys.items():
            assert isinstance(part[key], kind), key
            assert not isinstance(part[key], bool), key
    assert (found["network"], found["machine"], found["images"]) == ("lenet5", "lenet5", 20)
    assert [stage["name"] for stage in found["stages"]] == [
        node.name for node in ZOO["lenet5"].build().nodes
    ]
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_same_from_a_process(command: Command, tmp_path: Path) -> None:
    arguments = ["run", "lenet5", "--images", "20", "--json"]
    found = captured(*arguments, folder=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == command(*arguments).out


def test_messages_are_on_standard_error(command: Command, tmp_path: Path) -> None:
    outcome = command("run", "digits", "--images", 5, "--json", "--report", "out")
    assert outcome.code == 0
    assert json.loads(outcome.out)["images"] == 5
    assert outcome.err.splitlines() == [f"wrote {Path('out') / name}" for name in FILES]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


def test_the_table_has_every_stage_and_the_sentence(command: Command) -> None:
    outcome = command("run", "lenet5", "--images", 5)
    assert (outcome.code, outcome.err) == (0, "")
    for node in ZOO["lenet5"].build().nodes:
        assert f"\n{node.name} " in outcome.out
    assert "table eyeriss65" in outcome.out
    assert "after its last column" in outcome.out or "after the last column" in outcome.out


def test_options_reach_the_simulation(command: Command) -> None:
    found = json.loads(
        command(
            *("run", "lenet5", "--machine", "lenet5-gather", "--images", 3, "--json"),
            *("--energy", "ihp130", "--clock-mhz", 50),
        ).out
    )
    assert (found["machine"], found["energy"]["table"]) == ("lenet5-gather", "ihp130")
    assert found["energy"]["by_action"]["leakage"] > 0


def test_a_machine_to_edit_gives_the_numbers_of_its_original(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(command("machines", "lenet5").out)
    mine = command("run", "lenet5", "--images", 3, "--json", "--machine", "mine.yaml").out
    assert mine == command("run", "lenet5", "--images", 3, "--json").out


def test_a_folder_with_a_machines_name_is_not_in_the_way(command: Command, tmp_path: Path) -> None:
    (tmp_path / "lenet5").mkdir()
    assert command("run", "lenet5", "--images", 0, "--json").code == 0


def test_no_images_gives_times_and_energy(command: Command) -> None:
    found = json.loads(command("run", "digits", "--images", 0, "--json").out)
    assert found["accuracy"] is None
    assert found["images"] == 0
    assert found["latency_cycles"] > 0
    assert found["energy"]["total_pj"] > 0


# help


def test_help_of_run_mentions_every_option_and_teaches(command: Command) -> None:
    outcome = command("run", "--help")
    assert (outcome.code, outcome.err) == (0, "")
    for option in ["NETWORK", "--machine", "--data", "--images", "--energy"]:
        assert option in outcome.out
    for option in ["--clock-mhz", "--report", "--json"]:
        assert option in outcome.out
    for word in ["scatter", "gather", "lanes", "gated", "after the last column", "examples:"]:
        assert word in outcome.out


def test_the_examples_of_the_help_work(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(command("machines", "lenet5").out)
    separable(tmp_path / "model.tflite")
    help_text = command("run", "--help").out.split("examples:\n")[1]
    commands = [line.strip().split("  ")[0] for line in help_text.splitlines()]
    runs = [line.split()[1:] for line in commands if line.startswith("pilaster run")]
    assert len(runs) >= 4
    for arguments in runs:
        assert command(*arguments).code == 0, arguments


def test_help_and_version(command: Command) -> None:
    outcome = command("--help")
    assert outcome.code == 0
    for name in ["run", "networks", "machines", "tables", "Exit codes"]:
        assert name in outcome.out
    assert command("--version").out.startswith("pilaster ")


# lists


def test_networks_lists_every_network(command: Command) -> None:
    outcome = command("networks")
    assert (outcome.code, outcome.err) == (0, "")
    for name, entry in ZOO.items():
        (line,) = [line for line in outcome.out.splitlines() if line.split()[0] == name]
        assert f"{entry.build().macs:,}" in line
        assert ("trained" in line) == entry.trained


def test_machines_lists_every_machine(command: Command) -> None:
    outcome = command("machines")
    assert (outcome.code, outcome.err) == (0, "")
    for name in machine_names():
        (line,) = [line for line in outcome.out.splitlines() if line.split()[0] == name]
        assert f"{load_machine(name).column_interval:,}" in line


@pytest.mark.parametrize("name", machine_names())
def test_a_printed_machine_reads_back_equal(name: str, command: Command, tmp_path: Path) -> None:
    outcome = command("machines", name)
    assert (outcome.code, outcome.err) == (0, "")
    (tmp_path / "mine.yaml").write_text(outcome.out)
    assert read_machine(tmp_path / "mine.yaml") == load_machine(name)
    assert command("machines", "mine.yaml").out == outcome.out


def test_tables_lists_every_table(command: Command) -> None:
    outcome = command("tables")
    assert (outcome.code, outcome.err) == (0, "")
    listed = {line.split()[0] for line in outcome.out.splitlines()}
    assert set(table_names()) <= listed


@pytest.mark.parametrize("name", table_names())
def test_a_table_lists_every_entry_with_its_source(name: str, command: Command) -> None:
    outcome = command("tables", name)
    assert (outcome.code, outcome.err) == (0, "")
    for entry in EnergyTable.load(name).listing:
        assert entry.name in outcome.out
        assert entry.source.split()[0] in outcome.out


# a process


@pytest.mark.parametrize("command_line", [["networks"], ["machines"], ["tables"]])
def test_lists_from_a_process(command_line: list[str], tmp_path: Path) -> None:
    found = captured(*command_line, folder=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert len(found.stdout.splitlines()) > 3


def test_bad_input_from_a_process_is_one_line(tmp_path: Path) -> None:
    found = captured("run", "lenet", folder=tmp_path)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "pilaster: network lenet: not known; did you mean lenet5?\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_behind_standard_output_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        found = process(
            *("run", "digits", "--images", "0", "--json"),
            folder=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert found.returncode == 2
    assert found.stderr == "pilaster: output cannot be written: No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    for arguments in (["networks"], ["machines", "lenet5"], ["run", "digits", "--images", "2"]):
        read, write = os.pipe()
        os.close(read)
        found = process(*arguments, folder=tmp_path, stdout=write, stderr=subprocess.PIPE)
        os.close(write)
        assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [("power", "--liberty", "a.lib", "digits")])
def test_a_network_taken_for_a_file_is_told_of(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "put NETWORK before options that take several values" in line

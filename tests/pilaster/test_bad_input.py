"""Law: bad input is one line on standard error and code 2; nothing is printed, nothing written."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from pilaster.models.energy.load import table_path
from tests.pilaster.conftest import Command

NOT_ROOT = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)


def everything(folder: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def refused(command: Command, folder: Path, *arguments: object, says: tuple[str, ...]) -> None:
    before = everything(folder)
    outcome = command(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("pilaster")
    assert outcome.err.count("\n") == 1
    assert outcome.err.endswith("\n")
    for words in (*says, ": "):
        assert words in outcome.err
    for leak in ("Traceback", "pydantic", "NoneType", "_Machine", "[type="):
        assert leak not in outcome.err
    assert everything(folder) == before


# The command line

ARGUMENTS: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "no command": ((), ("COMMAND", "--help")),
    "unknown command": (("rum", "lenet5"), ("'rum'", "run")),
    "missing network": (("run",), ("NETWORK", "pilaster run --help")),
    "unknown network": (("run", "lenet-5"), ("network lenet-5", "did you mean lenet5?")),
    "network like none": (("run", "???"), ("network ???", "lenet5", "vgg16")),
    "map at no interval": (
        ("map", "digits", "--column-interval", 0, "--out", "m.yaml"),
        ("--column-interval", "must be a whole number from 1, not '0'"),
    ),
    "map without an interval": (("map", "digits", "--out", "m.yaml"), ("--column-interval",)),
    "map below the physical minimum": (
        ("map", "digits", "--column-interval", 99, "--max-latency", 9, "--out", "m.yaml"),
        ("max_latency: 9 cycles are below the 78",),
    ),
    "map with fewer lanes than layers": (
        ("map", "digits", "--column-interval", 99, "--max-lanes", 1, "--out", "m.yaml"),
        ("max_lanes: 1 are fewer than the 3",),
    ),
    "map for an unknown objective": (
        ("map", "digits", "--column-interval", 99, "--objective", "lane", "--out", "m.yaml"),
        ("objective: 'lane' is not known", "did you mean lanes?"),
    ),
    "map for an area that is not known": (
        (
            *("map", "digits", "--column-interval", 99, "--objective", "area"),
            *("--energy", "eyeriss65", "--out", "m.yaml"),
        ),
        ("energy table eyeriss65: has no area", "ihp130"),
    ),
    "map for the least energy where lanes that wait are free": (
        (
            *("map", "alexnet", "--column-interval", 4096, "--objective", "energy"),
            *("--energy", "eyeriss65", "--out", "m.yaml"),
        ),
        ("energy table eyeriss65: has neither", "use a table that has", "max_lanes"),
    ),
    "map for the least power with leakage of memories alone": (
        (
            *("map", "alexnet", "--column-interval", 4096, "--objective", "power"),
            *("--energy", "ihp130", "--clock-mhz", 200, "--out", "m.yaml"),
        ),
        ("energy table ihp130: has neither", "use a table that has", "max_lanes"),
    ),
    "explore energy against latency where lanes that wait are free": (
        (
            *("explore", "digits", "--column-interval", 99, "--axes", "latency,energy"),
            *("--energy", "eyeriss65", "--out", "out"),
        ),
        ("axes: energy table eyeriss65: has neither", "give lanes as an axis"),
    ),
    "map for power without a clock": (
        ("map", "digits", "--column-interval", 99, "--objective", "power", "--out", "m.yaml"),
        ("objective: power needs a clock",),
    ),
    "map into a file's folder": (
        ("map", "digits", "--column-interval", 99, "--out", "/dev/null/m.yaml"),
        ("/dev/null: the machine cannot be written",),
    ),
    "explore a range that is none": (
        ("explore", "digits", "--column-interval", "9-20", "--out", "out"),
        ("--column-interval", "must be A, A:B or A:B:N in cycles, not '9-20'"),
    ),
    "explore a range that falls": (
        ("explore", "digits", "--column-interval", "200:100", "--out", "out"),
        ("column_interval: the range ends at 100, before it begins at 200",),
    ),
    "explore more intervals than there are": (
        ("explore", "digits", "--column-interval", "100:102:9", "--out", "out"),
        ("column_interval: 9 different intervals cannot be had", "give 2 to 3"),
    ),
    "explore below the physical minimum": (
        ("explore", "digits", "--column-interval", "7:90", "--out", "out"),
        ("column_interval: 7 cycles are too few for a column of 8 rows",),
    ),
    "explore along an unknown axis": (
        ("explore", "digits", "--column-interval", 99, "--axes", "lane,area", "--out", "out"),
        ("axes: 'lane' is not known", "did you mean lanes?"),
    ),
    "explore along one axis": (
        ("explore", "digits", "--column-interval", 99, "--axes", "lanes", "--out", "out"),
        ("axes: at least two",),
    ),
    "explore an area that is not known": (
        (
            *("explore", "digits", "--column-interval", 99, "--axes", "lanes,area"),
            *("--energy", "eyeriss65", "--out", "out"),
        ),
        ("energy table eyeriss65: has no area", "ihp130"),
    ),
    "explore power without a clock": (
        ("explore", "digits", "--column-interval", 99, "--axes", "lanes,power", "--out", "out"),
        ("axes: power needs a clock",),
    ),
    "explore no machines": (
        ("explore", "digits", "--column-interval", 99, "--machines", 0, "--out", "out"),
        ("--machines", "must be a whole number from 1, not '0'"),
    ),
    "explore an unknown table": (
        ("explore", "digits", "--column-interval", 99, "--energy", "ihp13", "--out", "out"),
        ("ihp13",),
    ),
    "explore into a file": (
        ("explore", "digits", "--column-interval", 99, "--out", "/dev/null"),
        ("/dev/null: the exploration cannot be written",),
    ),
    "explore without a folder": (("explore", "digits", "--column-interval", 99), ("--out",)),
    "unknown machine": (
        ("run", "lenet5", "--machine", "lenet5-gathr"),
        ("machine lenet5-gathr", "did you mean lenet5-gather?"),
    ),
    "machine like none": (("run", "lenet5", "--machine", "???"), ("machine ???", "vgg16-gather")),
    "machine of another network": (
        ("run", "lenet5", "--machine", "digits"),
        ("machine digits", "is for the network digits, not for lenet5"),
    ),
    "machine file that is not there": (
        ("run", "lenet5", "--machine", "mine.yaml"),
        ("mine.yaml", "No such file"),
    ),
    "unknown table": (
        ("run", "lenet5", "--energy", "horowitz"),
        ("horowitz", "did you mean", "horowitz45"),
    ),
    "table file that is not there": (
        ("run", "lenet5", "--energy", "t.yaml"),
        ("t.yaml", "no such"),
    ),
    "negative images": (("run", "lenet5", "--images", "-1"), ("--images", "whole number", "'-1'")),
    "images in words": (("run", "lenet5", "--images", "x"), ("--images", "whole number", "'x'")),
    "images in parts": (("run", "lenet5", "--images", "1.5"), ("--images", "whole number")),
    "no number of images": (("run", "lenet5", "--images"), ("--images", "expected one argument")),
    "more images than there are": (
        ("run", "lenet5", "--images", "601"),
        ("--images 601", "600 images"),
    ),
    "more noise than memory": (
        ("run", "vgg16", "--images", "1000000000"),
        ("--images 1000000000", "at most 1000"),
    ),
    "a clock of 0": (("run", "lenet5", "--clock-mhz", "0"), ("--clock-mhz", "not 0")),
    "a negative clock": (("run", "lenet5", "--clock-mhz", "-1"), ("--clock-mhz", "-1")),
    "a clock of nan": (("run", "lenet5", "--clock-mhz", "nan"), ("--clock-mhz", "not nan")),
    "a clock of inf": (("run", "lenet5", "--clock-mhz", "inf"), ("--clock-mhz", "not inf")),
    "a clock next to 0": (("run", "lenet5", "--clock-mhz", "1e-320"), ("--clock-mhz", "1e-320")),
    "a clock in words": (("run", "lenet5", "--clock-mhz", "x"), ("--clock-mhz", "'x'")),
    "unknown option": (("run", "lenet5", "--fast"), ("--fast", "--help")),
    "an option of two lines": (("run", "lenet5", "--a\nb"), ("--a b",)),
    "an argument too many": (("run", "lenet5", "digits"), ("digits",)),
    "data that is not there": (("run", "lenet5", "--data", "none.npy"), ("none.npy", "no such")),
    "machines of no name": (("machines", "lenet"), ("machine lenet", "did you mean lenet5?")),
    "machines of no file": (("machines", "mine.yaml"), ("mine.yaml", "No such file")),
    "tables of no name": (("tables", "eyeriss"), ("eyeriss", "did you mean")),
}


@pytest.mark.parametrize("what", ARGUMENTS)
def test_arguments(what: str, command: Command, tmp_path: Path) -> None:
    arguments, says = ARGUMENTS[what]
    refused(command, tmp_path, *arguments, says=says)


@pytest.mark.parametrize("arguments", [["lenet"], ["lenet5", "--machine", "x"]])
def test_a_report_of_a_run_that_fails_leaves_no_folder(
    arguments: list[str], command: Command, tmp_path: Path
) -> None:
    refused(command, tmp_path, "run", *arguments, "--report", "new/out", says=(arguments[-1],))


# Machine files

Edit = Callable[[str], str | bytes]


def swap(old: str, new: str) -> Edit:
    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


def without(start: str) -> Edit:
    return lambda text: "".join(
        line for line in text.splitlines(True) if not line.strip().startswith(start)
    )


MACHINES: dict[str, tuple[Edit, tuple[str, ...]]] = {
    "unknown key": (
        swap("column_interval:", "column_intervall: 1\ncolumn_interval:"),
        ("column_intervall: unknown key", "did you mean column_interval?"),
    ),
    "unknown key instead of the right one": (
        swap("column_interval:", "colum_interval:"),
        ("colum_interval: unknown key", "did you mean column_interval?"),
    ),
    "unknown key of a stage": (
        swap("taps: 5", "tap: 5"),
        ("stages.conv1.tap: unknown key", "did you mean taps?"),
    ),
    "unknown key like none": (
        swap("taps: 5", "speed: 5"),
        ("stages.conv1.speed: unknown key", "known keys: taps, in_channels"),
    ),
    "key twice": (
        swap("column_interval: 320", "column_interval: 320\ncolumn_interval: 512"),
        ("line 5", "'column_interval' is given twice"),
    ),
    "stage twice": (swap("  pool1: {}", "  pool1: {}\n  conv1: {}"), ("'conv1' is given twice",)),
    "missing key": (without("column_interval"), ("column_interval: this key is needed",)),
    "zero fold": (swap("taps: 5", "taps: 0"), ("stages.conv1.taps", "or equal to 1", "not 0")),
    "negative fold": (swap("taps: 5", "taps: -5"), ("stages.conv1.taps", "not -5")),
    "fold in words": (swap("taps: 5", "taps: all"), ("stages.conv1.taps", "integer", "'all'")),
    "fold of a half": (swap("taps: 5", "taps: 2.5"), ("stages.conv1.taps", "integer", "2.5")),
    "fold that is true": (swap("taps: 5", "taps: true"), ("stages.conv1.taps", "integer", "True")),
    "fold that is nothing": (swap("taps: 5", "taps: "), ("stages.conv1.taps", "nothing")),
    "fold that is a list": (swap("taps: 5", "taps: [5]"), ("stages.conv1.taps", "a list")),
    "fold larger than its layer": (
        swap("taps: 5", "taps: 6"),
        ("conv1", "taps: 6 is larger than the layer", "which has 5"),
    ),
    "more channels than the layer": (
        swap("out_channels: 6", "out_channels: 7"),
        ("conv1", "out_channels: 7 is larger", "which has 6"),
    ),
    "kernel columns that are never open at once": (
        swap("taps: 5", "kernel_columns: 6"),
        ("conv1", "kernel_columns: 6 is larger", "which has 5"),
    ),
    "fold of a pool larger than its layer": (
        swap("pool1: {}", "pool1: {out_channels: 7}"),
        ("pool1", "out_channels", "7"),
    ),
    "taps with sums held": (
        swap("taps: 5", "loop_order: psums_held, taps: 5"),
        ("stages.conv1.taps: must be 1", "not 5"),
    ),
    "more requantizers than channels": (
        swap("requantizers: 2", "requantizers: 7"),
        ("stages.conv1.requantizers: 7", "6 out_channels"),
    ),
    "unknown loop order": (
        swap("fc5: {loop_order: psums_held}", "fc5: {loop_order: psum_held}"),
        ("stages.fc5.loop_order", "'weights_held' or 'psums_held'", "'psum_held'"),
    ),
    "unknown schedule": (
        swap("schedule: scatter", "schedule: Scatter"),
        ("schedule", "'scatter' or 'gather'", "'Scatter'"),
    ),
    "missing stage": (without("fc5"), ("layer fc5 has no stage",)),
    "stage of no layer": (swap("fc5:", "fc6:"), ("stage fc6", "did you mean fc5?")),
    "no stages": (lambda text: text.split("stages:")[0], ("stages: this key is needed",)),
    "stages that are nothing": (
        lambda text: text.split("stages:")[0] + "stages:\n",
        ("stages: must hold keys and values, not nothing",),
    ),
    "stages in a list": (
        lambda text: text.split("stages:")[0] + "stages: [conv1]\n",
        ("stages: must hold keys and values, not a list",),
    ),
    "stage that is nothing": (
        swap("pool1: {}", "pool1:"),
        ("stages.pool1: must hold keys and values, not nothing",),
    ),
    "a number for a stage's name": (swap("fc5:", "5:"), ("stages.5", "string", "not 5")),
    "no interval": (swap("320", "0"), ("column_interval", "not 0")),
    "an interval past counting": (swap("320", "1" + 30 * "0"), ("column_interval", "less than")),
    "an interval that is no date": (swap("320", "2023-99-99"), ("mine.yaml", "month")),
    "a tag that its value does not suit": (swap("320", "!!timestamp x"), ("mine.yaml", "tag")),
    "weight memory too small": (
        swap("schedule: scatter", "schedule: scatter\nweight_memory_bits: 1000"),
        ("weight_memory_bits: 1000 bits do not hold", "dram_bits_per_cycle"),
    ),
    "negative DRAM bandwidth": (
        swap("taps: 5", "dram_bits_per_cycle: -1, taps: 5"),
        ("stages.conv1.dram_bits_per_cycle", "not -1"),
    ),
    "another network's": (
        swap("network: lenet5", "network: digits"),
        ("is for the network digits, not for lenet5",),
    ),
    "not YAML": (lambda text: text + "  a: [", ("mine.yaml: line",)),
    "a tab": (swap("  pool1:", "\tpool1:"), ("mine.yaml: line", "'\\t'")),
    "a Python object": (swap("320", "!!python/object:os.system {}"), ("mine.yaml: line",)),
    "nested too deeply": (lambda _: 3000 * "[", ("mine.yaml", "nested")),
    "not text": (lambda _: b"\xff\xfe\x00name", ("mine.yaml", "not a text file")),
    "a control character": (lambda text: text + "\0", ("mine.yaml", "#x0000")),
    "a list": (lambda _: "- a\n", ("must hold keys and values, not a list",)),
    "a word": (lambda _: "lenet5\n", ("must hold keys and values, not 'lenet5'",)),
    "a long word": (lambda _: 5000 * "a", ("must hold keys and values, not 'aaaaaaaa", "...")),
    "empty": (lambda _: "", ("must hold keys and values, not nothing",)),
    "two documents": (lambda text: text + "---\n" + text, ("mine.yaml: line",)),
    "itself": (lambda _: "&a\nname: *a\n", ("mine.yaml",)),
}


@pytest.mark.parametrize("what", MACHINES)
def test_machine_files(what: str, command: Command, lenet5_text: str, tmp_path: Path) -> None:
    edit, says = MACHINES[what]
    content = edit(lenet5_text)
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    arguments = ("run", "lenet5", "--machine", "mine.yaml", "--images", 0, "--report", "out")
    refused(command, tmp_path, *arguments, says=("mine.yaml", *says))


@pytest.mark.parametrize("name", ["folder", "folder.yaml"])
def test_a_folder_for_a_machine(name: str, command: Command, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    refused(command, tmp_path, "run", "lenet5", "--machine", name, says=(name, "directory"))


@NOT_ROOT
def test_a_machine_file_that_may_not_be_read(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("")
    path.chmod(0)
    outcome = command("run", "lenet5", "--machine", path)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Permission denied" in outcome.err


# Energy tables


def table(change: Callable[[dict], object]) -> str:
    document = yaml.safe_load(table_path("horowitz45").read_text(encoding="utf-8"))
    change(document)
    return yaml.safe_dump(document)


def entry(document: dict, name: str) -> dict:
    (found,) = [entry for entry in document["entries"] if entry["name"] == name]
    return found


TABLES: dict[str, tuple[Callable[[dict], object], tuple[str, ...]]] = {
    "no source": (
        lambda d: entry(d, "add").pop("source"),
        ("entry add: source: is missing", "publication"),
    ),
    "empty source": (
        lambda d: entry(d, "add").update(source=""),
        ("entry add: source: is empty",),
    ),
    "negative value": (
        lambda d: entry(d, "add")["points"][1].update(value=-0.05),
        ("entry add: point 2: value: must be 0 or more, not -0.05",),
    ),
    "unknown unit": (
        lambda d: entry(d, "add").update(unit="J"),
        ("entry add: unit", "'J'", "pJ"),
    ),
    "unknown entry": (lambda d: entry(d, "add").update(name="ad"), ("'ad'", "add")),
    "unknown key": (lambda d: d.update(voltage=1), ("voltage: unknown key", "voltage_v")),
    "infinite value": (
        lambda d: entry(d, "add")["points"][1].update(value=float("inf")),
        ("entry add: point 2: value: must be a finite number",),
    ),
    "prices past adding": (
        lambda d: [p.update(value=1e308) for p in entry(d, "add")["points"]],
        ("too large",),
    ),
}


@pytest.mark.parametrize("what", TABLES)
def test_energy_tables(what: str, command: Command, tmp_path: Path) -> None:
    change, says = TABLES[what]
    (tmp_path / "t.yaml").write_text(table(change))
    arguments = ("run", "lenet5", "--energy", "t.yaml", "--images", 2, "--json", "--report", "out")
    refused(command, tmp_path, *arguments, says=says)


def test_marks_in_a_tables_words_are_words(command: Command, tmp_path: Path) -> None:
    words = "[/x] :pill: of [red]"
    text = table(lambda d: entry(d, "add").update(source=words))
    (tmp_path / "t.yaml").write_text(text)
    outcome = command("tables", "t.yaml")
    assert (outcome.code, outcome.err) == (0, "")
    assert words in outcome.out


# Images


def idx_file(path: Path, shape: tuple[int, ...], content: bytes) -> None:
    path.write_bytes(struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + content)


DATA: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...]]] = {
    "IDX cut short": (
        "x-images-idx3-ubyte",
        lambda path: idx_file(path, (2, 28, 28), bytes(1000)),
        ("cut short", "1016 bytes"),
    ),
    "IDX cut short in its header": (
        "x-images-idx3-ubyte",
        lambda path: path.write_bytes(b"\0\0\x08\x03\0\0"),
        ("cut short", "header"),
    ),
    "gzip cut short": (
        "x-images-idx3-ubyte.gz",
        lambda path: path.write_bytes(gzip.compress(bytes(1000))[:-9]),
        ("corrupt gzip",),
    ),
    "empty": ("x-images-idx3-ubyte", lambda path: path.write_bytes(b""), ("magic number",)),
    "text": ("x.csv", lambda path: path.write_text("1,2\n"), ("x.csv", "magic number")),
    "a single image of 5x5": (
        "x.npy",
        lambda path: np.save(path, np.zeros((5, 5), np.uint8)),
        ("(5, 5)", "must be (N, H, W)"),
    ),
    "images larger than the input": (
        "x.npy",
        lambda path: np.save(path, np.zeros((1, 40, 40), np.uint8)),
        ("40x40x1", "32x32x1"),
    ),
    "images of three channels": (
        "x.npy",
        lambda path: np.save(path, np.zeros((1, 5, 5, 3), np.uint8)),
        ("5x5x3", "1 channels"),
    ),
    "no images": (
        "x.npy",
        lambda path: np.save(path, np.zeros((0, 32, 32), np.uint8)),
        ("x.npy", "must hold an image"),
    ),
    "npy cut short": (
        "x.npy",
        lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"),
        ("x.npy", "not a readable .npy"),
    ),
    "npz of other arrays": (
        "x.npz",
        lambda path: np.savez(path, pictures=np.zeros(3)),
        ("x.npz", "pictures", "images"),
    ),
    "a folder of nothing": ("x", lambda path: path.mkdir(), ("t10k-images-idx3-ubyte",)),
}


@pytest.mark.parametrize("what", DATA)
def test_data(what: str, command: Command, tmp_path: Path) -> None:
    name, make, says = DATA[what]
    make(tmp_path / name)
    arguments = ("run", "lenet5", "--data", name, "--report", "out")
    refused(command, tmp_path, *arguments, says=says)


def test_more_images_than_a_file_has(command: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((3, 32, 32), np.uint8))
    arguments = ("run", "lenet5", "--data", "x.npy", "--images", 4)
    refused(command, tmp_path, *arguments, says=("--images 4", "3 images"))


# Reports


def test_a_report_onto_a_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    refused(command, tmp_path, "run", "lenet5", "--report", "out", says=("out", "is a file"))


@NOT_ROOT
def test_a_report_into_a_folder_that_may_not_be_written(command: Command, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    for out in ("locked", "locked/new"):
        arguments = ("run", "lenet5", "--report", out)
        refused(command, tmp_path, *arguments, says=(out, "permission denied"))


def test_a_report_where_folders_cannot_be(command: Command, tmp_path: Path) -> None:
    arguments = ("run", "lenet5", "--report", "a" * 300)
    refused(command, tmp_path, *arguments, says=("cannot be written", "too long"))

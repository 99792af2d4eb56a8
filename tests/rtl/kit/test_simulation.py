"""Laws: a kit judges its machine in Icarus and Verilator, wherever it lies, and can fail."""

import re
import shutil
import sys

import pytest

from pilaster.rtl.toolchain.verilator import find_verilator
from tests.rtl.kit.conftest import make, need_icarus, run

VERILATED = ["-CFLAGS", "-fcoroutines", "-MAKEFLAGS"]
VERILATED += ["CFG_CXXFLAGS_PCH_I=-include CFG_GCH_IF_CLANG= PYTHON3=python3 OPT_FAST=-O0"]

BOTH = """\
module both;
    wire one, other;
    stream_bench #(.FINISH(0)) first (.done(one));
    axi_bench #(.FINISH(0)) second (.done(other));
    always @(posedge first.clk) if (one && other) begin
        $display("BOTH");
        $finish;
    end
endmodule
"""

ROM = """\
module rom_bench;
    reg clk = 0;
    always #5 clk = ~clk;
    wire [7:0] data;
    files_rom #(.WIDTH(8), .DEPTH(4), .FILE("words.hex")) rom (clk, 1'b1, 2'd2, data);
    initial begin
        #20 $display("READ %h", data);
        $finish;
    end
endmodule
"""


def simulate(simulator, top, sources, folders, build):
    """Build a design in `build` and run it; gives status and what it said."""
    defines = [f'-D{name}_DIR="{folder}"' for name, folder in folders.items()]
    if simulator == "icarus":
        compiled = ["iverilog", "-g2012", "-s", top, *defines, "-o", "run.vvp", *sources]
        status, told = run(compiled, build)
        return (status, told) if status else run(["vvp", "-n", "run.vvp"], build)
    program = find_verilator().program
    options = ["--binary", "--timing", "--quiet", "-Wno-fatal", "-Wno-lint", "-Wno-style"]
    compiled = [program, *options, *VERILATED, "--top-module", top, "-Mdir", "obj", "-o", "run"]
    status, told = run([*compiled, *defines, *sources], build)
    return (status, told) if status else run([build / "obj" / "run"], build)


SIMULATORS = [
    pytest.param("icarus", marks=need_icarus),
    pytest.param("verilator", marks=pytest.mark.slow),
]


@need_icarus
@pytest.mark.parametrize("name", ["stream", "gather", "axi", "loaded"])
def test_icarus(kit, tmp_path, name):
    status, told = make(kit(name), tmp_path, "sim")
    assert (status, "PASS" in told) == (0, True), told
    assert ("cycles" in told) == (name != "axi")
    status, told = make(kit(name), tmp_path, "sim", "STALLS=7")
    assert (status, "PASS" in told) == (0, True), told


@pytest.mark.parametrize(
    "name",
    ["stream", *(pytest.param(name, marks=pytest.mark.slow) for name in ("axi", "loaded"))],
)
def test_verilator_and_the_rules_of_streams(kit, tmp_path, name):
    folder = kit(name)
    for stalls in ([], ["STALLS=7"]):
        status, told = make(folder, tmp_path, "sim", "SIM=verilator", *stalls)
        assert (status, "PASS" in told) == (0, True), told
    assert make(folder, tmp_path, "lint") == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_weights_in_files(kit, tmp_path, simulator):
    if simulator == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed")
    for stalls in ([], ["STALLS=3"]):
        status, told = make(kit("files"), tmp_path, "sim", f"SIM={simulator}", *stalls)
        assert (status, "PASS" in told) == (0, True), told


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_two_machines_in_a_design(kit, tmp_path, simulator):
    folders = {name: kit(name) for name in ("stream", "axi")}
    sources = [
        folder / f"{name}{end}"
        for name, folder in folders.items()
        for end in (".v", "_memories.sv", "_bench.sv")
    ]
    (tmp_path / "both.sv").write_text(BOTH)
    status, told = simulate(simulator, "both", [*sources, "both.sv"], folders, tmp_path)
    assert status == 0, told
    assert told.count("PASS") == 2
    assert "BOTH" in told


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_memory_finds_its_file_or_ends_with_an_error(kit, tmp_path, simulator):
    (tmp_path / "rom.sv").write_text(ROM)
    (tmp_path / "words.hex").write_text("// four\n10\n11\n12\n13\n")
    sources = [kit("files") / "files_memories.sv", "rom.sv"]
    for folder, found in ((tmp_path, True), (tmp_path / "elsewhere", False)):
        status, told = simulate(simulator, "rom_bench", sources, {"files": folder}, tmp_path)
        assert (status == 0, "READ 12" in told) == (found, found), told
        assert ("words.hex cannot be read: define files_DIR" in told) != found


@need_icarus
@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("golden_answers.hex", r"^(1ff)(\w+)$"),
        ("golden_stamps.hex", r"^()(\w+)$"),
        ("golden_images.hex", r"^()(80)$"),
        ("stream.v", r"( scales\[0\] = 13'h)(\w+)"),
    ],
)
def test_the_bench_fails_where_something_differs(kit, tmp_path, file, line):
    folder = shutil.copytree(kit("stream"), tmp_path / "kit")
    text = (folder / file).read_text()
    changed = re.sub(
        line, lambda found: f"{found[1]}{int(found[2], 16) ^ 64:x}", text, count=1, flags=re.M
    )
    assert changed != text
    (folder / file).write_text(changed)
    status, told = make(folder, tmp_path, "sim")
    assert status != 0
    assert "FAIL" in told
    assert "PASS" not in told


@need_icarus
def test_a_vector_that_is_missing_is_an_error(kit, tmp_path):
    folder = shutil.copytree(kit("stream"), tmp_path / "kit")
    (folder / "golden_stamps.hex").unlink()
    status, told = make(folder, tmp_path, "sim")
    assert status != 0
    assert "golden_stamps.hex cannot be read" in told


def test_a_simulator_that_is_missing_or_unknown_is_one_line(kit, tmp_path):
    for simulator, program in (("icarus", "IVERILOG"), ("verilator", "VERILATOR")):
        asked = ["sim", f"SIM={simulator}", f"{program}=no-such-program"]
        status, told = make(kit("stream"), tmp_path, *asked)
        assert status == 2
        assert f"no-such-program is missing: install it, or give {program}=PROGRAM" in told
    status, told = make(kit("stream"), tmp_path, "sim", "SIM=spice")
    assert status == 2
    assert "SIM=spice: not known; it is icarus or verilator" in told


@need_icarus
@pytest.mark.slow
def test_fusesoc_runs_the_core(kit, tmp_path):
    pytest.importorskip("fusesoc", reason="fusesoc is not installed")
    homes = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "CACHE")}
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root", kit("stream").parent]
    status, told = run([*command, "run", "--target", "sim", "stream"], tmp_path, **homes)
    assert (status, "PASS: stream" in told) == (0, True), told

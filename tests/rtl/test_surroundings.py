"""Law: the RTL is built and run the same on anyone's machine, or one line tells why it is not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pilaster.base.errors import InputError
from pilaster.rtl.toolchain import workplace as workplaces
from pilaster.rtl.toolchain.verilator import build_and_run, find_verilator
from pilaster.rtl.toolchain.workplace import make_workplace
from tests.rtl.surroundings import count, path_with

COMPILER = ("g++", "as", "ld")

OF_MAKE_AND_COMPILER = {
    "MAKEFLAGS": "-n --no-such-flag",
    "MAKEFILES": "/no/such/file",
    "CXXFLAGS": "-Werror -Wall -no-such-flag",
    "CPPFLAGS": "-DVM_TRACE=1",
    "CFLAGS": "-nostdinc",
    "LDFLAGS": "-L/no -lnothing",
    "OPT_FAST": "--nonsense",
    "OBJCACHE": "no-such-cache",
    "PYTHON3": "no-such-python",
    "VERILATOR_ROOT": "/no/such/folder",
    "VERILATOR_BIN": "no-such-verilator",
    "PYTHONPATH": "/no/such/folder",
    "LANG": "de_DE.ISO-8859-1",
    "LC_ALL": "xx_YY",
    "LANGUAGE": "de",
}

OF_COCOTB = {
    "COCOTB_TEST_FILTER": "no_such_test",
    "COCOTB_TESTCASE": "no_such_test",
    "COCOTB_TEST_MODULES": "no.such.module",
    "COCOTB_TOPLEVEL": "nothing",
    "COCOTB_RESULTS_FILE": "/no/such/folder/results.xml",
    "COCOTB_PLUSARGS": "+nothing",
    "GPI_USERS": "/no/such/library.so",
    "GPI_EXTRA": "nothing",
    "PYGPI_PYTHON_BIN": "/no/such/python",
    "LIBPYTHON_LOC": "/no/such/library.so",
    "TOPLEVEL": "nothing",
    "TOPLEVEL_LANG": "vhdl",
    "MODULE": "no.such.module",
    "TESTCASE": "no_such_test",
}


@pytest.fixture(autouse=True)
def any_compiler(monkeypatch):
    """The user of a test has chosen none."""
    monkeypatch.delenv("CXX", raising=False)


def test_nothing_but_a_compiler_is_needed_on_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", path_with(tmp_path, *COMPILER))
    for absent in ("make", "perl", "python", "python3", "verilator", "sh"):
        assert shutil.which(absent) is None
    count(tmp_path / "design")


@pytest.mark.parametrize("variables", [OF_MAKE_AND_COMPILER, OF_COCOTB], ids=["make", "cocotb"])
def test_variables_of_other_tools_change_nothing(monkeypatch, tmp_path, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    count(tmp_path / "design")


@pytest.mark.parametrize("name", ["two words", "Übung 数", "a'b\"c", "$HOME;#x\\n:y=%z"])
def test_a_folder_may_have_any_name(monkeypatch, tmp_path, name):
    place = tmp_path / name
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setattr("tempfile.tempdir", str(place))
    count(make_workplace())


def test_verilator_may_lie_in_a_folder_of_any_name(monkeypatch, tmp_path):
    place = tmp_path / "ein Gerät"
    place.mkdir()
    package = find_verilator().root
    (place / "verilator").symlink_to(package)
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PATH", path_with(tmp_path, *COMPILER))
    assert find_verilator().root == place / "verilator"
    count(tmp_path / "design")


@pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not installed")
def test_a_compiler_may_be_several_words(monkeypatch, tmp_path):
    monkeypatch.setenv("CCACHE_DIR", str(tmp_path / "ccache"))
    monkeypatch.setenv("CXX", "ccache g++")
    count(tmp_path / "design")


def test_a_compiler_of_several_words_gets_them_all(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "env PROBED=1 g++ -DPROBED")
    count(tmp_path / "design")


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("no-such-compiler -O2", "CXX=no-such-compiler -O2: no-such-compiler is not on PATH"),
        ("'g++", "no command: No closing quotation"),
        ("false", "the C\\+\\+ compiler false does not run: exit code 1"),
        ("g++ --no-such-flag", "the C\\+\\+ compiler g\\+\\+ --no-such-flag does not run: .*flag"),
    ],
)
def test_a_compiler_that_does_not_run_is_told(monkeypatch, tmp_path, named, why):
    monkeypatch.setenv("CXX", named)
    with pytest.raises(InputError, match=why):
        count(tmp_path / "design")


@pytest.mark.parametrize(
    "script",
    [
        "echo Verilator 4.038 2020-07-11",
        "echo Verilator 5.006 2023-01-22",
        "echo Verilator 9.000; exit 1",
        "[ $1 = --version ] && echo Verilator 9.000 || echo /no/such/folder",
        "no-such-interpreter",
    ],
    ids=["old", "Debian's", "failing", "half installed", "broken"],
)
def test_a_verilator_that_does_not_serve_is_passed_over(monkeypatch, tmp_path, script):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "verilator").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "verilator").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    assert shutil.which("verilator") == str(programs / "verilator")
    count(tmp_path / "design")


def test_where_no_verilator_serves_the_old_one_is_named(monkeypatch, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "verilator").write_text("#!/bin/sh\necho Verilator 5.006\n")
    (programs / "verilator").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"bin/verilator is none of 5\.36 or later"):
        find_verilator()


def test_a_folder_where_no_program_may_run_is_passed_over(monkeypatch, tmp_path):
    barred, free = tmp_path / "barred", tmp_path / "free"
    barred.mkdir()
    free.mkdir()

    def noexec(folder, so_far=workplaces._try_program):
        if folder.parent == barred:
            raise PermissionError(13, "Permission denied")
        so_far(folder)

    monkeypatch.setattr(workplaces, "_try_program", noexec)
    places = [lambda: barred, lambda: Path("/no/such/folder"), lambda: free]
    monkeypatch.setattr(workplaces, "PLACES", places)
    assert make_workplace().parent == free
    assert not list(barred.iterdir())
    monkeypatch.setattr(workplaces, "PLACES", places[:2])
    with pytest.raises(InputError, match=r"barred: permission denied; .*no such file.*set TMPDIR"):
        make_workplace()


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mount needs root")
def test_a_file_system_mounted_noexec_is_passed_over(monkeypatch, tmp_path):
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", str(mounted)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this system lets nobody mount")
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr("tempfile.tempdir", str(mounted))
        folder = make_workplace()
        assert folder.parent == tmp_path / "cache"
        count(folder)
        assert not list(mounted.iterdir())
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def test_a_simulation_that_fails_is_no_success(tmp_path):
    folder = tmp_path / "design"
    folder.mkdir()
    text = "module counter (input wire clk, output reg done = 0); initial $stop; endmodule\n"
    (folder / "counter.v").write_text(text)
    with pytest.raises(InputError, match=r"ended early.*run\.log"):
        build_and_run(["counter.v"], "counter", folder, optimize=False)


def test_verify_needs_no_cocotb():
    script = (
        "import sys; sys.modules['cocotb'] = sys.modules['find_libpython'] = None\n"
        "import pilaster.rtl.verification.verify\n"
        "import pilaster.rtl.gates.activity, pilaster.rtl.host.simulated\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)

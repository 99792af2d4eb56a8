"""Law: a program on PATH serves if it is new enough; else that of pip does, or it is told why."""

import importlib.util

import pytest

from pilaster.base.errors import InputError
from pilaster.rtl.boards import tools
from pilaster.rtl.boards.catalog import Family

VERSIONS = {
    "Yosys 0.23 (git sha1 7ce5011c24b)": False,
    "Yosys 0.9+4052": False,
    "no version": False,
    "Yosys 0.50 (git sha1 abc, g++ 12)": True,
    "Yosys 0.100": True,
    "Yosys 1.2": True,
    "Yosys 0.60; exit 1": False,
}


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """Put a program on PATH that tells a version."""

    def put(name, version):
        said, failed, _ = version.partition("; exit 1")
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{said}'\nexit {len(failed)}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return program

    return put


@pytest.fixture
def no_packages(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)


@pytest.mark.parametrize(("version", "serves"), VERSIONS.items())
def test_a_yosys_on_path_serves_if_it_is_new_enough(version, serves, on_path):
    program = on_path("yosys", version)
    assert (tools.yosys().command == (str(program),)) == serves


def test_an_old_yosys_without_another_is_told(on_path, no_packages):
    program = on_path("yosys", "Yosys 0.23 (git sha1 7ce5011c24b)")
    with pytest.raises(InputError) as refused:
        tools.yosys()
    line = f"{program} is of version 0.23 and 0.50 is needed; pip install 'pilaster[fpga]'"
    assert str(refused.value) == line


def test_a_program_of_which_no_version_is_asked_serves(on_path):
    on_path("yosys", "Yosys 0.60")
    on_path("nextpnr-ecp5", "(Version nextpnr-0.9)")
    program = on_path("ecppack", "no version")
    assert tools.find_tools(Family.ECP5)["ecppack"].command == (str(program),)


def test_what_packs_comes_from_where_the_router_is(on_path):
    on_path("nextpnr-ice40", "nextpnr-ice40 -- Next Generation Place and Route (Version 0.4-1)")
    program = on_path("icepack", "")
    assert tools.find_tools(Family.ICE40)["icepack"].command != (str(program),)


def test_a_version_is_none_of_the_path(on_path):
    told = '"/opt/tools-2.1/nextpnr-ecp5" -- Next Generation Place and Route (Version nextpnr-0.7)'
    program = on_path("nextpnr-ecp5", told)
    assert tools.tool_version(tools.Tool("nextpnr-ecp5", (str(program),))) == "0.7"

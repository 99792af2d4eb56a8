"""Laws: cells count for the stage they are named after; a path is told by its stages."""

import json

import pytest

from pilaster.rtl.boards.catalog import BOARDS, Family
from pilaster.rtl.boards.report import LINK, Resources, read_resources, read_timing, stage_of

STAGES = {"conv1": "conv1", "pool1": "pool1"}


def write_netlist(folder, cells):
    plain = {name: {"type": kind} for name, kind in cells.items()}
    design = {"modules": {"top": {"cells": plain}}}
    (folder / "top.json").write_text(json.dumps(design))


def test_cells_count_for_their_stage(tmp_path):
    cells = {
        "host.device.machine.conv1.lanes.p0_MULT18X18D": "MULT18X18D",
        "host.device.machine.conv1.x_LUT4": "LUT4",
        "host.device.machine.pool1.y_CCU2C": "CCU2C",
        "host.device.sender.z_TRELLIS_FF": "TRELLIS_FF",
        "host.device.machine.output.fifo_DPR": "TRELLIS_DPR16X4",
        "clock.pll": "EHXPLLL",
    }
    write_netlist(tmp_path, cells)
    found = read_resources(tmp_path, Family.ECP5, STAGES)
    assert found["conv1"] == Resources(luts=1, multipliers=1)
    assert found["pool1"] == Resources(luts=2)
    assert found[LINK] == Resources(flip_flops=1)
    assert found["total"] == Resources(luts=9, flip_flops=1, multipliers=1)


def test_what_is_too_much_is_told():
    used = Resources(luts=10, multipliers=9, block_rams=31)
    missing = used.missing(BOARDS["icebreaker"].device)
    assert missing == {"multipliers": (9, 8), "block_rams": (31, 30)}


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("host.device.machine.conv1.lanes.p0", "conv1"),
        ("host.device.machine.output.fifo", "output"),
        ("host.device.sender.crc", LINK),
        ("clock.ready", LINK),
    ],
)
def test_a_name_tells_its_stage(name, stage):
    assert stage_of(name, STAGES) == stage


def test_a_path_is_told_by_its_stages(tmp_path):
    def step(kind, delay, start, end, net=None):
        found = {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}
        return found | ({"net": net} if net else {})

    before, after = "host.device.machine.conv1.a", "host.device.machine.pool1.b"
    report = {
        "utilization": {"TRELLIS_COMB": {"used": 5, "available": 10}},
        "fmax": {
            "slow": {"achieved": 40.0, "constraint": 50.0},
            "fast": {"achieved": 90.0, "constraint": 12.0},
        },
        "critical_paths": [
            {"from": "<async>", "to": "posedge slow", "path": []},
            {
                "from": "posedge slow",
                "to": "posedge slow",
                "path": [
                    step("clk-to-q", 0.5, before, before),
                    step("routing", 20.0, before, after, "host.device.machine.conv1.a_Q"),
                    step("logic", 4.5, after, after),
                ],
            },
        ],
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    timing, cells = read_timing(tmp_path, STAGES)
    assert timing.fmax_mhz == 40.0
    assert cells == (5, 10)
    assert timing.stages == ("conv1", "pool1")
    assert "25.0 ns in conv1 -> pool1" in timing.describe()
    assert "20.0 ns of it in wires" in timing.describe()

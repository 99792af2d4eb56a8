"""Switching activity: what is counted is what the waves of the same run show."""

from collections import Counter
from dataclasses import replace

import pytest

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.data import images_for
from pilaster.rtl.verification.switching import Switching, read_switching, saif_nets
from pilaster.rtl.verification.verify import verify

VERILOG = """\
module pilaster_top(clk, o);
  input clk;
  reg [1:0] \\state$1  = 2'h0;
  always @(posedge clk)
    \\state$1  <= \\$2 ;
endmodule

module \\pilaster_top.conv1.sums$9 (clk);
  reg wide;
  reg [7:0] memory [3:0];
  always @(posedge clk) begin
    if (en)
      memory[address] <= data;
  end
  always @(posedge clk)
      _0_ <= memory[address];
  always @(posedge clk)
    wide <= \\$3 ;
  assign state = _0_ <= 5;
endmodule
"""

NET = "({} (T0 1) (T1 2) (TZ 0) (TX 0) (TB 0) (TC {}))"

SAIF = f"""\
(SAIFILE
(SAIFVERSION "2.0")
(DURATION 3)
 (INSTANCE pilaster_testbench
  (NET
   {NET.format("wide", 100)}
  )
  (INSTANCE top
   (NET
    {NET.format("clk", 20)}
    {NET.format(chr(92).join(["state$1", "[0", "]"]), 3)}
    {NET.format(chr(92).join(["state$1", "[1", "]"]), 4)}
   )
   (INSTANCE conv1
    (NET
     {NET.format("state", 7)}
    )
    (INSTANCE sums$9
     (NET
      {NET.format("wide", 5)}
      {NET.format("state", 11)}
     )
    )
   )
  )
 )
 (INSTANCE other
  (NET
   {NET.format("wide", 100)}
  )
 )
)
"""


def test_registers_alone_are_counted_where_they_stand(tmp_path):
    (tmp_path / "dump.saif").write_text(SAIF)
    assert read_switching(tmp_path / "dump.saif", VERILOG) == {
        ("top", "joins"): Switching(2, 7),
        ("conv1", "partial sums"): Switching(1, 5),
    }


@pytest.fixture(scope="module")
def conv1():
    """A network of one layer, its machine, and an image."""
    network = pl.load("digits").until("conv1")
    machine = pl.load_machine(None, pl.load("digits"))
    machine = replace(machine, stages={"conv1": machine.stages["conv1"]})
    return network, machine, images_for(pl.load("digits"), None, 1).images


def vcd_toggles(path):
    """Toggles of every variable of the machine in a VCD file, by modules and name."""
    scopes, places, toggles, values = [], {}, Counter(), Counter()
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:1] == ["$scope"]:
            scopes.append(words[2])  # the outermost has no name
        elif words[:1] == ["$upscope"]:
            scopes.pop()
        elif words[:1] == ["$var"] and "top" in scopes:
            places[tuple(scopes[scopes.index("top") + 1 :]), words[4]] = words[3]
        elif line[:1] in ("0", "1", "b"):
            bits, code = words if line[0] == "b" else (f"b{line[0]}", line[1:])
            value = int(bits[1:], 2)
            toggles[code] += (values[code] ^ value).bit_count()
            values[code] = value
    return {place: toggles[code] for place, code in places.items()}


def test_toggles_are_those_of_the_waves(conv1, tmp_path):
    verify(*conv1, waves=tmp_path / "waves.vcd", optimize=False)
    verdict = verify(*conv1, switching=True, saif=tmp_path / "kept.saif", optimize=False)
    found = Counter()
    for modules, net, toggles in saif_nets(tmp_path / "kept.saif"):
        found[modules, net] += toggles
    waves = vcd_toggles(tmp_path / "waves.vcd")
    assert found == {place: toggles for place, toggles in waves.items() if place in found}
    left_out = set(waves) - set(found)
    assert all("[" in name for _, name in left_out)  # words of memories
    assert sum(each.toggles for each in verdict.switching.values()) < found.total()
    assert verdict.switching["conv1", "lanes"].toggles > 0


def test_waves_and_switching_are_asked_for_one_at_a_time(conv1, tmp_path):
    with pytest.raises(InputError, match="one at a time"):
        verify(*conv1, waves=tmp_path / "waves.vcd", switching=True)

"""Law: between cocotbext-axi's source and sink the machine answers, a frame for an image."""

import json

import numpy as np
import pytest

import pilaster as pl
from pilaster.base.errors import InputError
from pilaster.cli import main
from pilaster.data import images_for
from pilaster.models.reference.network import infer
from pilaster.rtl.host.wire_format import WireFormat
from pilaster.rtl.verilog import TOP
from pilaster.sim.pipeline import Pipeline
from tests.rtl.cocotb_runner import need_cocotb, run_cocotb


@pytest.mark.parametrize("seed", [1, 2])
def test_digits_between_axi_streams(tmp_path, seed, monkeypatch):
    need_cocotb()
    pytest.importorskip("cocotbext.axi", reason="cocotbext-axi is not installed")
    network = pl.load("digits")
    machine = pl.load_machine(None, network)
    assert main(["rtl", "digits", "--bus", "axi4-stream", "--out", str(tmp_path)]) == 0
    values = network.encode(images_for(network, None, 4).images)
    wire = WireFormat(Pipeline(network, machine))
    columns = [column.hex() for image in values for column in wire.column_payloads(image)]
    task = {"columns": columns, "images": len(values), "seed": seed}
    (tmp_path / "task.json").write_text(json.dumps(task))
    module = "tests.rtl.axi_stream_bench"
    run_cocotb(tmp_path / f"{TOP}.v", TOP, module, tmp_path, monkeypatch)
    answers = json.loads((tmp_path / "answers.json").read_text())
    found = [wire.answer_values(bytes.fromhex(answer)) for answer in answers]
    np.testing.assert_array_equal(found, infer(network, values))


def test_the_page_tells_the_ports(tmp_path):
    assert main(["rtl", "digits", "--bus", "axi4-stream", "--out", str(tmp_path)]) == 0
    page = (tmp_path / "README.md").read_text()
    text = (tmp_path / f"{TOP}.v").read_text()
    for port in ("aclk", "aresetn", "s_axis_tdata", "m_axis_tlast"):
        assert f"| {port} |" in page
        assert f"{port};" in text
    assert "| i__payload |" not in page


def test_an_unknown_bus_is_refused(tmp_path):
    network = pl.load("digits")
    with pytest.raises(InputError, match="bus"):
        pl.write_rtl(network, pl.load_machine(None, network), tmp_path, bus="wishbone")

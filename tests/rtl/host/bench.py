"""A testbench that plays a script of bytes and waits to a device, all inside Verilator."""

from pathlib import Path

from pilaster.rtl.components.memory import RomFiles
from pilaster.rtl.host.device import Device
from pilaster.rtl.host.wire_format import LINK_LOAD_BITS
from pilaster.rtl.pipeline import PipelineComponent
from pilaster.rtl.toolchain.verilator import build_and_run
from pilaster.rtl.verilog import component_verilog

SEND, AWAIT, IDLE, FORGET, DEAF, QUIET = range(6)
"""Operations: send a byte; await a frame of a kind; do nothing; forget the frames of a kind that
have come; do not take bytes for a while; wait until no byte has come for a while."""

UNIT = 8
"""Cycles that IDLE, DEAF and QUIET count in."""

BENCH = """\
module bench (
    input wire clk,
    output reg done = 0,
    output reg late = 0
);
    reg [11:0] script [0:{length} - 1];
    initial $readmemh("script.hex", script);
    integer out;
    initial out = $fopen("out.hex", "w");
    reg [31:0] at = 0, wait_left = 0, deaf = 0, silent = 0, reset_left = 16;
    wire [11:0] op = script[at];
    wire [3:0] what = op[11:8];
    wire [31:0] span = {{24'b0, op[7:0]}} * {unit};
    wire going = reset_left == 0 && at < {length};
    wire strobe = going && what == {SEND};
    wire valid;
    wire [7:0] sent;
    wire ready = deaf == 0;
    reg [7:0] seen [0:255];
    reg kind_next = 0;
    integer i;
    initial for (i = 0; i < 256; i = i + 1) seen[i] = 0;
    device dut (.clk(clk), .rst(reset_left != 0), .data(op[7:0]), .strobe(strobe),
        .o__valid(valid), .o__ready(ready), .o__payload(sent));
    wire comes = valid && ready;
    always @(posedge clk) begin
        if (reset_left != 0) reset_left <= reset_left - 1;
        if (deaf != 0) deaf <= deaf - 1;
        silent <= comes || !ready ? 0 : silent + 1;
        wait_left <= 0;
        if (going) case (what)
            {SEND}: at <= at + 1;
            {AWAIT}: if (seen[op[7:0]] != 0) begin
                at <= at + 1;
                seen[op[7:0]] <= seen[op[7:0]] - 1;
            end else begin
                wait_left <= wait_left + 1;
                if (wait_left == {patience}) begin
                    $fwrite(out, "late at %0d\\n", at);
                    late <= 1;
                    at <= {length};
                end
            end
            {IDLE}: if (wait_left >= span) at <= at + 1; else wait_left <= wait_left + 1;
            {FORGET}: begin at <= at + 1; seen[op[7:0]] <= 0; end
            {DEAF}: begin at <= at + 1; deaf <= span; end
            {QUIET}: if (silent >= span) at <= at + 1;
            default: at <= at + 1;
        endcase
        if (comes) begin
            $fwrite(out, "%h\\n", sent);
            kind_next <= sent == 8'h7e;
            if (kind_next && sent != 8'h7e) seen[sent] <= seen[sent] + 1;
        end
        if (reset_left == 0 && at >= {length} && !done) begin
            done <= 1;
            $fclose(out);
        end
    end
endmodule
"""


def device_verilog(wire, clock_hz=1_000_000):
    """Verilog of a device without its UART, and the memories beside it."""
    files = RomFiles(wire.loaded, LINK_LOAD_BITS)
    machine = PipelineComponent(wire.pipeline, files, wire.counts)
    device = Device(machine, wire, wire.info(clock_hz))
    return component_verilog(device, "device"), files.contents


def play(wire, script, folder: Path, optimize=False, patience=100_000):
    """Run a script of (operation, argument); gives the bytes sent by the device.

    Raises AssertionError where an awaited frame did not come.
    """
    text, memories = device_verilog(wire)
    bench = BENCH.format(
        length=len(script),
        unit=UNIT,
        patience=patience,
        SEND=SEND,
        AWAIT=AWAIT,
        IDLE=IDLE,
        FORGET=FORGET,
        DEAF=DEAF,
        QUIET=QUIET,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "device.v").write_text(text, encoding="ascii")
    (folder / "bench.v").write_text(bench, encoding="ascii")
    for name, content in memories.items():
        (folder / name).write_text(content, encoding="ascii")
    words = "".join(f"{what:x}{argument:02x}\n" for what, argument in script)
    (folder / "script.hex").write_text(words, encoding="ascii")
    build_and_run(["device.v", "bench.v"], "bench", folder, optimize)
    lines = (folder / "out.hex").read_text(encoding="ascii").split("\n")
    late = [line for line in lines if line.startswith("late")]
    assert not late, f"no answer came: {late}"
    return bytes(int(line, 16) for line in lines if line)

"""The testbench that goes with a machine, and the rules of its streams, in SystemVerilog."""

from __future__ import annotations

from pilaster.rtl.bus import Bus
from pilaster.rtl.components.memory import LOAD_BITS
from pilaster.rtl.kit.naming import Naming
from pilaster.rtl.kit.vectors import ANSWERS_FILE, IMAGES_FILE, STAMPS_FILE, Vectors
from pilaster.rtl.verification.testbench import FIRST_CYCLE
from pilaster.rtl.verilog import Design
from pilaster.sim.pipeline import Pipeline

__all__ = ["LOAD_FILE", "bench_verilog", "rules_verilog"]

LOAD_FILE = "load.hex"

SETTLING = 64
"""Cycles after the last answer in which no other may come."""

_HEAD = """\
{header}
// Gives the machine {name} real images, and holds its answers to those of the model: values, and
// the cycles at which they come. With +stalls=SEED source and sink hesitate at random, and values
// alone are held. The vectors lie in the folder {name}_DIR, or where the simulator runs.

`ifndef {name}_DIR
`define {name}_DIR "."
`endif
`timescale 1ns / 1ps

// FINISH: whether it ends the simulation when it is done.
module {name}_bench #(parameter FINISH = 1) (output reg done = 0);
    localparam INPUT_BITS = {input_bits}, OUTPUT_BITS = {output_bits}, WORD_BITS = {word_bits};
    localparam INPUT_BEATS = {input_beats}, OUTPUT_BEATS = {output_beats};
    localparam OUTPUT_COLUMNS = {output_columns}, COLUMN_BEATS = {column_beats};
    localparam ROWS = {rows}, IMAGE_ROWS = {image_rows}, INTERVAL = {interval};
    localparam FIRST_CYCLE = {first_cycle}, LAST_CYCLE = {last_cycle}, SETTLING = {settling};
    // A hesitation takes 16 cycles at most, and comes once in four beats.
    localparam MOST_CYCLES = 2 * LAST_CYCLE + 16 * (INPUT_BEATS + OUTPUT_BEATS) + 10000;
    localparam TIMED = {timed};

    reg [INPUT_BITS - 1:0] images [0:INPUT_BEATS - 1];
    reg [2 * WORD_BITS - 1:0] answers [0:OUTPUT_BEATS - 1];  // masks, values
    reg [63:0] stamps [0:OUTPUT_COLUMNS - 1];

    task need(input string path);
        integer file;
        file = $fopen(path, "r");
        if (file == 0) begin
            $display("ERROR: %0s cannot be read: define {name}_DIR as its folder", path);
            $fatal(1);
        end
        $fclose(file);
    endtask

    integer seed = 0, errors = 0, stalls;
    initial begin
        need({{`{name}_DIR, "/{images_file}"}});
        need({{`{name}_DIR, "/{answers_file}"}});
        need({{`{name}_DIR, "/{stamps_file}"}});
        $readmemh({{`{name}_DIR, "/{images_file}"}}, images);
        $readmemh({{`{name}_DIR, "/{answers_file}"}}, answers);
        $readmemh({{`{name}_DIR, "/{stamps_file}"}}, stamps);
        stalls = $value$plusargs("stalls=%d", seed);
    end

    // Xorshift, Marsaglia 2003: the same stalls in every simulator.
    function [31:0] next(input [31:0] state);
        begin
            next = state ^ (state << 13);
            next = next ^ (next >> 17);
            next = next ^ (next << 5);
        end
    endfunction

    reg clk = 0;
    always #({half_period}) clk = ~clk;
    reg signed [63:0] t = -FIRST_CYCLE;
    always @(posedge clk) t <= t + 1;
    wire rst = t < -FIRST_CYCLE + {reset_cycles};

    // Source: a row is offered when its column is due and its stall has passed.
    reg [31:0] source_random = 1, sink_random = 1;
    integer sent = 0, row = 0, column = 0, image_row = 0, source_wait = 0;
    wire source_valid = !rst && t >= 0 && sent < INPUT_BEATS && source_wait == 0
        && (row != 0 || t >= column * INTERVAL);
    wire source_last = image_row == IMAGE_ROWS - 1;
    wire [INPUT_BITS - 1:0] source_beat = images[sent < INPUT_BEATS ? sent : 0];
    wire source_ready;
    always @(posedge clk) if (rst) begin
        source_random <= {{seed[30:0], 1'b1}};
        sink_random <= {{~seed[30:0], 1'b1}};
    end else if (source_valid && source_ready) begin
        sent <= sent + 1;
        image_row <= source_last ? 0 : image_row + 1;
        row <= row == ROWS - 1 ? 0 : row + 1;
        if (row == ROWS - 1) column <= column + 1;
        source_random <= next(source_random);
        if (stalls != 0 && source_random[1:0] == 0) source_wait <= source_random[7:4] + 1;
    end else if (source_wait != 0) source_wait <= source_wait - 1;

    // Sink: an answer is taken when its stall has passed, and compared.
    integer taken = 0, answer_column = 0, beat = 0, sink_wait = 0, settled = 0;
    wire sink_ready = sink_wait == 0;
    wire sink_valid;
    wire [OUTPUT_BITS - 1:0] sink_beat;
    wire [2 * WORD_BITS - 1:0] expected = answers[taken < OUTPUT_BEATS ? taken : 0];
    wire [OUTPUT_BITS - 1:0] mask = expected[WORD_BITS +: OUTPUT_BITS];
    wire [63:0] stamp = stamps[answer_column < OUTPUT_COLUMNS ? answer_column : 0];
    wire timed = TIMED && stalls == 0 && beat == COLUMN_BEATS - 1;
    wire [OUTPUT_BITS - 1:0] differs = (sink_beat ^ expected[OUTPUT_BITS - 1:0]) & mask;
    always @(posedge clk) if (!rst) begin
        if (sink_valid !== 0 && sink_ready) begin
            taken <= taken + 1;
            beat <= beat == COLUMN_BEATS - 1 ? 0 : beat + 1;
            if (beat == COLUMN_BEATS - 1) answer_column <= answer_column + 1;
            sink_random <= next(sink_random);
            if (stalls != 0 && sink_random[1:0] == 0) sink_wait <= sink_random[7:4] + 1;
            if (taken >= OUTPUT_BEATS || sink_valid !== 1) begin
                errors <= errors + 1;
                $display("FAIL: beat %0d of the answers: there is none such", taken);
            end else if (differs !== 0{last_check}) begin
                errors <= errors + 1;
                $display("FAIL: beat %0d of the answers: %h, expected %h where %h is set",
                    taken, sink_beat, expected[OUTPUT_BITS - 1:0], mask);
            end else if (timed && t + 1 != stamp) begin
                errors <= errors + 1;
                $display("FAIL: column %0d of the answers: taken at cycle %0d, expected at %0d",
                    answer_column, t + 1, stamp);
            end
        end else if (sink_wait != 0) sink_wait <= sink_wait - 1;
{reports}
        if (taken >= OUTPUT_BEATS) settled <= settled + 1;
        if (errors != 0) $fatal(1);
        if (t > MOST_CYCLES) begin
            $display("FAIL: %0d of %0d beats of the answers after %0d cycles",
                taken, OUTPUT_BEATS, t);
            $fatal(1);
        end
        if (settled == SETTLING) begin
            done <= 1;
            $display("PASS: {name}: %0d beats of the answers to {images} images: values%0s",
                taken, TIMED && stalls == 0 ? " and cycles" : "");
            if (FINISH != 0) $finish;
        end
    end
"""

_LOAD = """
    // Weights and biases are loaded before cycle 0.
    localparam LOAD_BEATS = {beats};
    reg [{bits} - 1:0] load_beats [0:LOAD_BEATS - 1];
    integer loaded = 0;
    wire load_valid = !rst && loaded < LOAD_BEATS;
    wire load_ready;
    initial begin
        need({{`{name}_DIR, "/{file}"}});
        $readmemh({{`{name}_DIR, "/{file}"}}, load_beats);
    end
    always @(posedge clk) if (load_valid && load_ready) loaded <= loaded + 1;
"""

_STREAM = (
    ".clk(clk), .rst(rst)",
    ".i__payload(source_beat), .i__valid(source_valid), .i__ready(source_ready)",
    ".o__payload(sink_beat), .o__valid(sink_valid), .o__ready(sink_ready)",
)

_AXI = (
    ".aclk(clk), .aresetn(!rst)",
    ".s_axis_tdata(source_bytes), .s_axis_tvalid(source_valid), .s_axis_tready(source_ready)",
    ".s_axis_tlast(source_last)",
    ".m_axis_tdata(sink_bytes), .m_axis_tvalid(sink_valid), .m_axis_tready(sink_ready)",
    ".m_axis_tlast(sink_last), .m_axis_tkeep(sink_keep)",
    ".image_short(image_short), .image_long(image_long)",
)

_AXI_WIRES = """
    wire [{input_bytes} * 8 - 1:0] source_bytes = source_beat;
    wire [{output_bytes} * 8 - 1:0] sink_bytes;
    wire [{output_bytes} - 1:0] sink_keep;
    wire sink_last, image_short, image_long;
    assign sink_beat = sink_bytes[OUTPUT_BITS - 1:0];
"""

_AXI_LAST = """
                    || sink_last !== ((taken + 1) % {answer_beats} == 0) || (&sink_keep) !== 1"""

_AXI_REPORTS = """\
        if (image_short !== 0 || image_long !== 0) begin
            errors <= errors + 1;
            $display("FAIL: an image is reported to be too short or too long");
        end
"""

_RULES = """\
{header}
// Rules of the streams of {name}, on every instance of it, where {name}_SVA is defined.

`ifdef {name}_SVA
module {name}_rules #(parameter INPUT_BITS = 1, parameter OUTPUT_BITS = 1) (
    input wire clk, input wire rst,
    input wire [INPUT_BITS - 1:0] i_payload, input wire i_valid, input wire i_ready,
    input wire [OUTPUT_BITS - 1:0] o_payload, input wire o_valid, input wire o_ready
);
    // A beat that is offered stays, unchanged, until it is taken.
    input_stays: assert property (@(posedge clk) disable iff (rst)
        i_valid && !i_ready |=> i_valid && $stable(i_payload));
    output_stays: assert property (@(posedge clk) disable iff (rst)
        o_valid && !o_ready |=> o_valid && $stable(o_payload));
    // Nothing is unknown that is said, and nothing is said after a reset.
    input_known: assert property (@(posedge clk) disable iff (rst)
        !$isunknown({{i_valid, i_ready}}) && (!i_valid || !$isunknown(i_payload)));
    output_known: assert property (@(posedge clk) disable iff (rst)
        !$isunknown({{o_valid, o_ready}}));
    output_reset: assert property (@(posedge clk) rst |=> !o_valid);
{whole}endmodule

bind {name} {name}_rules #(.INPUT_BITS({input_bits}), .OUTPUT_BITS({output_bits})) rules (
    {ports}
);
`endif
"""

_WHOLE = """\
    // A column that has begun is taken without a pause.
    int row;
    always_ff @(posedge clk)
        if (rst) row <= 0;
        else if (i_valid && i_ready) row <= row == {rows} - 1 ? 0 : row + 1;
    column_whole: assert property (@(posedge clk) disable iff (rst) row != 0 |-> i_ready);
"""


def bench_verilog(
    naming: Naming, pipeline: Pipeline, design: Design, vectors: Vectors, bus: Bus, period_ns: float
) -> str:
    """Write the testbench `NAME_bench`: it says PASS, or FAIL and ends with an error."""
    shape, last = pipeline.network.graph.input_shape, pipeline.stages[-1]
    output_bits = design.beat_bits[last.name]
    axi = bus is Bus.AXI4_STREAM
    answer_beats = vectors.output_beats // vectors.images
    text = _HEAD.format(
        header=naming.header(),
        name=naming.name,
        input_bits=design.input_bits,
        output_bits=output_bits,
        word_bits=-(-output_bits // 4) * 4,
        input_beats=vectors.input_beats,
        output_beats=vectors.output_beats,
        output_columns=vectors.output_columns,
        column_beats=vectors.output_beats // vectors.output_columns,
        rows=shape.height,
        image_rows=shape.height * shape.width,
        interval=pipeline.machine.column_interval,
        first_cycle=FIRST_CYCLE + len(design.load or ()),
        reset_cycles=FIRST_CYCLE // 2,
        last_cycle=vectors.last_cycle,
        settling=SETTLING,
        timed=int(not axi),
        half_period=period_ns / 2,
        images=vectors.images,
        images_file=IMAGES_FILE,
        answers_file=ANSWERS_FILE,
        stamps_file=STAMPS_FILE,
        last_check=_AXI_LAST.format(answer_beats=answer_beats) if axi else "",
        reports=_AXI_REPORTS if axi else "",
    )
    ports = list(_AXI if axi else _STREAM)
    if axi:
        text += _AXI_WIRES.format(
            input_bytes=-(-design.input_bits // 8), output_bytes=-(-output_bits // 8)
        )
    if design.load is not None:
        text += _LOAD.format(
            name=naming.name, beats=len(design.load), bits=LOAD_BITS, file=LOAD_FILE
        )
        ports.append(
            ".load__payload(load_beats[loaded < LOAD_BEATS ? loaded : 0]), "
            ".load__valid(load_valid), .load__ready(load_ready)"
        )
    joined = ",\n        ".join(ports)
    return f"{text}\n    {naming.name} machine (\n        {joined}\n    );\nendmodule\n"


def rules_verilog(naming: Naming, pipeline: Pipeline, design: Design, bus: Bus) -> str:
    """Write the rules of the streams as assertions, bound to the machine."""
    input_bits = design.input_bits
    output_bits = design.beat_bits[pipeline.stages[-1].name]
    names = {"clk": "clk", "rst": "rst"}
    for way in ("i", "o"):
        names |= {f"{way}_{part}": f"{way}__{part}" for part in ("payload", "valid", "ready")}
    if bus is Bus.AXI4_STREAM:
        names = {"clk": "aclk", "rst": "!aresetn"}
        for way, port in (("i", "s_axis"), ("o", "m_axis")):
            parts = (("payload", "tdata"), ("valid", "tvalid"), ("ready", "tready"))
            names |= {f"{way}_{part}": f"{port}_{signal}" for part, signal in parts}
        input_bits, output_bits = (-(-bits // 8) * 8 for bits in (input_bits, output_bits))
    rows = pipeline.network.graph.input_shape.height
    return _RULES.format(
        header=naming.header(),
        name=naming.name,
        input_bits=input_bits,
        output_bits=output_bits,
        whole=_WHOLE.format(rows=rows) if bus is Bus.STREAM else "",
        ports=", ".join(f".{port}({signal})" for port, signal in names.items()),
    )

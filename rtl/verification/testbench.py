"""The testbench around a machine: it feeds columns, takes answers, and writes down what it sees.

The testbench is hardware itself, so that a long run wakes Python only at its end.
"""

from __future__ import annotations

from pilaster.rtl.components.memory import LOAD_BITS
from pilaster.rtl.components.probes import ACTION_PROBES, STAMP_PROBES, probe_bits
from pilaster.rtl.stages.kinds import most_actions
from pilaster.rtl.verilog import TOP, Design
from pilaster.sim.pipeline import Pipeline

__all__ = ["END", "FIRST_CYCLE", "TESTBENCH", "testbench_verilog"]

TESTBENCH = "pilaster_testbench"
"""Name of the testbench's module."""

FIRST_CYCLE = 32
"""Clock cycles from the start of the simulation to cycle 0 of the stamps, loading aside."""

END = "end"
"""Last line of each file that the testbench writes: one without it is not whole."""

_HEAD = """\
// Feeds a machine, takes its answers, and writes what happens at every stage to files:
//   log.txt     letter, stage, cycle: a column accepted (a), started (s), finished (f), or a beat
//               of output (o, with its value); t for a beat of the answer taken
//   counts.txt  stage and count of every action; first, whether the run had to be given up
module {name} (
    input wire clk,
    output reg done = 0
);
    reg [{input_bits} - 1:0] beats [0:{input_beats} - 1];
    reg [31:0] input_gaps [0:{input_beats} - 1];
    reg [31:0] output_gaps [0:{output_beats} - 1];
    initial $readmemh("input.hex", beats);
    initial $readmemh("input_gaps.hex", input_gaps);
    initial $readmemh("output_gaps.hex", output_gaps);

    integer log_file, counts_file;
    initial log_file = $fopen("log.txt", "w");
    reg signed [63:0] t = -{first_cycle};
    always @(posedge clk) t <= t + 1;
    wire rst = t < -{first_cycle} + {reset_cycles};

    // Source: a beat is offered when its column is due and its gap has passed.
    reg [63:0] sent = 0, row = 0, column = 0, input_wait = 0;
    wire source_valid = t >= 0 && sent < {input_beats} && input_wait == 0
        && (row != 0 || t >= $signed(column * {interval}));
    wire source_ready;
    always @(posedge clk) if (!rst) begin
        if (source_valid && source_ready) begin
            sent <= sent + 1;
            row <= row == {rows} - 1 ? 0 : row + 1;
            if (row == {rows} - 1) column <= column + 1;
            input_wait <= sent + 1 < {input_beats} ? {{32'b0, input_gaps[sent + 1]}} : 0;
        end else if (input_wait != 0) input_wait <= input_wait - 1;
    end

    // Sink: an answer is taken when its gap has passed.
    reg [63:0] taken = 0, output_wait = 0;
    wire sink_ready = taken < {output_beats} && output_wait == 0;
    wire sink_valid;
    wire [{output_bits} - 1:0] sink_beat;
    always @(posedge clk) if (!rst) begin
        if (sink_valid && sink_ready) begin
            $fwrite(log_file, "t 0 %0d %h\\n", t + 1, sink_beat);
            taken <= taken + 1;
            output_wait <= taken + 1 < {output_beats} ? {{32'b0, output_gaps[taken + 1]}} : 0;
        end else if (output_wait != 0) output_wait <= output_wait - 1;
    end
"""

_LOAD = """
    // Weights and biases are loaded before cycle 0.
    reg [{load_bits} - 1:0] load_beats [0:{load_count} - 1];
    initial $readmemh("load.hex", load_beats);
    reg [63:0] loaded = 0;
    wire load_valid = !rst && loaded < {load_count};
    wire load_ready;
    always @(posedge clk) if (load_valid && load_ready) loaded <= loaded + 1;
"""

_STAGE = """
    wire [{beat_bits} - 1:0] beat{index};
    reg [63:0] columns{index} = 0;
{declarations}
    always @(posedge clk) if (!rst) begin
        if (accepted{index}) $fwrite(log_file, "a {index} %0d\\n", t + 1);
        if (started{index}) $fwrite(log_file, "s {index} %0d\\n", t);
        if (finished{index}) $fwrite(log_file, "f {index} %0d\\n", t + 1);
        if (stream{index} != 0) $fwrite(log_file, "o {index} %0d %h\\n", t + 1, beat{index});
        if (finished{index}) columns{index} <= columns{index} + 1;
{sums}
    end
"""

_TAIL = """
    wire all = taken == {output_beats}{finished};
    always @(posedge clk) if (!rst && !done && (all || t > {most_cycles})) begin
        done <= 1;
        counts_file = $fopen("counts.txt", "w");
        $fwrite(counts_file, "%0d\\n", !all);
{writes}
        $fwrite(counts_file, "{end}\\n");
        $fwrite(log_file, "{end}\\n");
        $fclose(counts_file);
        $fclose(log_file);
    end
endmodule
"""


def testbench_verilog(
    pipeline: Pipeline,
    design: Design,
    images: int,
    output_beats: int,
    most_cycles: int,
    probed: bool,
) -> str:
    """Write the testbench for `images` images.

    Parameters
    ----------
    output_beats : beats of answers to wait for
    most_cycles : cycles after which the run is given up
    probed : whether the machine shows its stamps and actions; where not, only answers are seen
    """
    shape = pipeline.network.graph.input_shape
    names = [stage.name for stage in pipeline.stages]
    text = _HEAD.format(
        name=TESTBENCH,
        input_bits=design.input_bits,
        input_beats=images * shape.width * shape.height,
        output_beats=output_beats,
        output_bits=design.beat_bits[names[-1]],
        interval=pipeline.machine.column_interval,
        rows=shape.height,
        first_cycle=FIRST_CYCLE + len(design.load or ()),
        reset_cycles=FIRST_CYCLE // 2,
    )
    ports = [
        ".clk(clk), .rst(rst)",
        ".i__payload(beats[sent]), .i__valid(source_valid), .i__ready(source_ready)",
        ".o__payload(sink_beat), .o__valid(sink_valid), .o__ready(sink_ready)",
    ]
    if design.load is not None:
        text += _LOAD.format(load_bits=LOAD_BITS, load_count=len(design.load))
        ports.append(
            ".load__payload(load_beats[loaded]), .load__valid(load_valid), .load__ready(load_ready)"
        )
    writes = []
    for index, stage in enumerate(pipeline.stages if probed else ()):
        bits = probe_bits(most_actions(stage))
        declarations = [f"    wire {stamp}{index};" for stamp in STAMP_PROBES]
        sums = []
        for action in ACTION_PROBES:
            declarations.append(f"    wire [{bits[action]} - 1:0] {action}{index};")
            declarations.append(f"    reg [63:0] {action}_count{index} = 0;")
            count = f"{action}_count{index}"
            sums.append(
                f"        {count} <= {count} + {{{64 - bits[action]}'b0, {action}{index}}};"
            )
            writes.append(
                f'        $fwrite(counts_file, "{index} {action} %0d\\n", {action}_count{index});'
            )
        text += _STAGE.format(
            index=index,
            beat_bits=design.beat_bits[stage.name],
            declarations="\n".join(declarations),
            sums="\n".join(sums),
        )
        probes = [f".{stage.name}_probes__{p}({p}{index})" for p in bits]
        ports += [*probes, f".{stage.name}_beat(beat{index})"]
    joined = ",\n        ".join(ports)
    text += f"\n    {TOP} top (\n        {joined}\n    );\n"
    finished = "".join(
        f" && columns{index} == {images * stage.columns_in}"
        for index, stage in enumerate(pipeline.stages if probed else ())
    )
    return text + _TAIL.format(
        output_beats=output_beats,
        finished=finished,
        most_cycles=most_cycles,
        writes="\n".join(writes),
        end=END,
    )

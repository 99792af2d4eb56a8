"""Other people's machines: programs that are not there, and a design that is built soon."""

import os
from pathlib import Path
from uuid import uuid4

from pilaster.rtl.toolchain.verilator import build_and_run

COUNTER = """\
module counter (input wire clk, output reg done = 0);
    integer out;
    reg [3:0] at = 0;
    initial out = $fopen("out.txt", "w");
    always @(posedge clk) begin
        at <= at + 1;
        if (!done) $fwrite(out, "%0d ", at);
        if (at == 4) done <= 1;
        if (at == 4) $fclose(out);
    end
endmodule
"""


def path_without(folder: Path, *programs: str) -> str:
    """A PATH on which all programs are found but some, by how their names begin."""
    links = folder / "programs"
    links.mkdir()
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for found in place.iterdir() if place.is_dir() else ():
            link = links / found.name
            if not found.name.startswith(programs) and not link.is_symlink():
                link.symlink_to(found)
    return str(links)


def path_with(folder: Path, *programs: str) -> str:
    """A PATH on which only some programs are found."""
    links = folder / "programs"
    links.mkdir()
    for program in programs:
        places = (Path(place) / program for place in os.environ["PATH"].split(os.pathsep))
        (links / program).symlink_to(next(place for place in places if place.exists()))
    return str(links)


def count(folder: Path, note: str | None = None) -> None:
    """Build a counter in `folder`, run it, and hold it to what it counts.

    note : in its text; by default one that no earlier build has, so that it is built anew
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "counter.v").write_text(f"// {note or uuid4()}\n{COUNTER}")
    (folder / "out.txt").unlink(missing_ok=True)
    build_and_run(["counter.v"], "counter", folder, optimize=False)
    assert (folder / "out.txt").read_text() == "0 1 2 3 4 "

"""A picture of a machine's ports, as SVG."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

from pilaster.rtl.kit.naming import Naming

__all__ = ["ports_svg"]

LINE, LETTER, ARROW, EDGE = 24, 8, 40, 16
"""Sizes in pixels: height of a port's line, width of a letter, length of an arrow, the margin."""

_PORT = re.compile(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", re.MULTILINE)


def ports_svg(naming: Naming, verilog: str) -> str:
    """Draw the ports of the top module: inputs on the left, outputs on the right, with widths."""
    start = verilog.index(f"\nmodule {naming.name}(")
    module = verilog[start : verilog.index("\nendmodule", start)]
    sides: dict[str, list[tuple[str, int]]] = {"input": [], "output": []}
    for way, high, port in sorted(_PORT.findall(module), key=lambda found: found[2]):
        sides[way].append((port, int(high or 0) + 1))
    lines = max(map(len, sides.values()))
    longest = {way: max(len(port) for port, _ in ports) for way, ports in sides.items()}
    letters = max(sum(longest.values()) + 4, len(naming.name) + 2)
    width, height = letters * LETTER, (lines + 2) * LINE
    left, right = EDGE + ARROW, EDGE + ARROW + width
    parts = [
        f'<rect x="{left}" y="{EDGE}" width="{width}" height="{height}" fill="#f6f6f4" '
        f'stroke="#333"/>',
        f'<text x="{left + width // 2}" y="{EDGE + LINE}" text-anchor="middle" '
        f'font-weight="bold">{escape(naming.name)}</text>',
    ]
    for way, ports in sides.items():
        edge, anchor, inside = (left, "start", 6) if way == "input" else (right, "end", -6)
        start_x = edge - ARROW if way == "input" else edge
        for line, (port, bits) in enumerate(ports):
            y = EDGE + (line + 2) * LINE
            parts += [
                f'<path d="M{start_x} {y} h{ARROW}" stroke="#333" '
                f'stroke-width="{3 if bits > 1 else 1}" marker-end="url(#end)"/>',
                f'<text x="{edge + inside}" y="{y + 4}" text-anchor="{anchor}">{port}</text>',
            ]
            if bits > 1:
                parts.append(
                    f'<text x="{start_x + ARROW // 2}" y="{y - 5}" text-anchor="middle" '
                    f'font-size="10">{bits}</text>'
                )
    drawn = "\n".join(parts)
    whole_width, whole_height = width + 2 * (EDGE + ARROW), height + 2 * EDGE
    header = " ".join(line.strip() for line in naming.header("").splitlines())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole_width}" height="{whole_height}" '
        f'font-family="monospace" font-size="13">\n'
        f"<title>{escape(header)}</title>\n"
        f'<defs><marker id="end" orient="auto" markerUnits="userSpaceOnUse" markerWidth="8" '
        f'markerHeight="8" refX="8" refY="4"><path d="M0 0 L8 4 L0 8 z" fill="#333"/></marker>'
        f"</defs>\n{drawn}\n</svg>\n"
    )

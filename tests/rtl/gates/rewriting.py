"""Liberty files that say the same in other ways."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np

from pilaster.rtl.gates.function import Function
from pilaster.rtl.gates.liberty_text import Group, read_groups

TEXTS = {"when", "function", "related_pin", "clocked_on", "next_state", "table", "state_function"}
ROWS = re.compile(r"index_\d|values")
LAST = "default_operating_conditions"
"""Comes after all else: OpenSTA looks for what it names among what it has read."""

UNQUOTED = re.compile(r"[A-Za-z_][\w.]*|[-+]?[\d.]+(e[-+]?\d+)?")


def walk(group):
    """Yield a group and all in it."""
    yield group
    for inner in group.groups:
        yield from walk(inner)


class Writer:
    """Writes a tree as text; a way of writing changes what it does."""

    def __init__(
        self,
        end: str = ";",
        quote: Callable[[str, str], str] = lambda name, text: f'"{text}"',
        complex_form: bool = False,
        comment: str = "",
        line: str = "\n",
        upside_down: bool = False,
    ) -> None:
        self.end, self.quote, self.complex_form = end, quote, complex_form
        self.comment, self.line, self.upside_down = comment, line, upside_down

    def text(self, group: Group) -> str:
        return self.line.join(self.lines(group)) + self.line

    def lines(self, group: Group):
        names = ", ".join(self.value("", name) for name in group.names)
        yield f"{group.kind} ({names}) {{{self.comment}"
        attributes = [(name, group.attributes[name]) for name in group.attributes if name != LAST]
        groups = [*group.groups]
        if self.upside_down:
            for inner in reversed(groups):
                yield from self.lines(inner)
            attributes.reverse()
        for name, values in attributes:
            yield self.attribute(name, values)
        if not self.upside_down:
            for inner in groups:
                yield from self.lines(inner)
        if LAST in group.attributes:
            yield self.attribute(LAST, group.attributes[LAST])
        yield "}"

    def attribute(self, name, values):
        if len(values) > 1 or ROWS.fullmatch(name) or name in ("capacitive_load_unit", "members"):
            inside = f", \\{self.line}  ".join(self.value(name, value) for value in values)
            return f"{name} ({inside}){self.end}{self.comment}"
        value = self.value(name, values[0])
        if self.complex_form and name not in ("voltage", "nom_voltage"):
            return f"{name} ({value}){self.end}{self.comment}"
        return f"{name} :{self.comment} {value} {self.end}"

    def value(self, name, text):
        if name == "capacitive_load_unit":
            return text
        if name in TEXTS or ROWS.fullmatch(name) or not UNQUOTED.fullmatch(text):
            return f'"{text}"'
        return self.quote(name, text)


def bare(name, text):
    return text


def write(path: Path, tree: Group, **options) -> list[Path]:
    path.write_text(Writer(**options).text(tree), encoding="utf-8")
    return [path]


def scale(tree: Group, names: str, factor: float) -> None:
    for group in walk(tree):
        for name, values in group.attributes.items():
            if re.fullmatch(names, name):
                group.attributes[name] = tuple(times(value, factor) for value in values)


def times(text: str, factor: float) -> str:
    numbers = [float(word) * factor for word in text.replace(",", " ").split()]
    return ", ".join(f"{number:.15g}" for number in numbers)


TIMES = "cell_rise|cell_fall|rise_transition|fall_transition|rise_constraint|fall_constraint"
POWERS = "rise_power|fall_power|power"


def in_other_units(tree: Group) -> Group:
    """Give times in 10 ps, capacitance in 100 ff, voltage in mV, leakage in a thousandth."""
    tree = deepcopy(tree)
    top = tree.attributes
    top["time_unit"], top["voltage_unit"] = ("10ps",), ("1mV",)
    top["capacitive_load_unit"] = ("100", "ff")
    top["leakage_power_unit"] = ({"1nW": "1pW", "1pW": "1fW"}[tree.text("leakage_power_unit")],)
    scale(tree, "(max_|rise_|fall_|default_max_)?capacitance(_range)?|default_\\w+_pin_cap", 10)
    scale(tree, "(default_)?max_transition", 100)
    scale(tree, "value|cell_leakage_power|default_cell_leakage_power", 1000)
    scale(tree, "nom_voltage|voltage", 1000)
    templates = {
        group.name: [group.text(f"variable_{i}") for i in (1, 2)]
        for group in walk(tree)
        if group.kind.endswith("template")
    }
    for group in walk(tree):
        if re.fullmatch(TIMES, group.kind):
            group.attributes["values"] = tuple(times(v, 100) for v in group.attributes["values"])
        if re.fullmatch(POWERS, group.kind):  # 100 fF times 1 mV squared
            group.attributes["values"] = tuple(times(v, 1e7) for v in group.attributes["values"])
        for i, variable in enumerate(templates.get(group.name, ())):
            axis = group.attributes.get(f"index_{i + 1}")
            if axis:
                factor = 10 if "capacitance" in variable else 100
                group.attributes[f"index_{i + 1}"] = tuple(times(v, factor) for v in axis)
    return tree


def with_axes_exchanged(tree: Group) -> Group:
    """Exchange the axes of all tables of two."""
    tree = deepcopy(tree)
    for group in walk(tree):
        at = group.attributes
        if group.kind.endswith("template"):
            for name in ("variable", "index"):
                at[f"{name}_1"], at[f"{name}_2"] = at[f"{name}_2"], at[f"{name}_1"]
        elif "values" in at and group.name != "scalar":
            rows = [[word.strip() for word in row.split(",")] for row in at["values"]]
            at["values"] = tuple(", ".join(row) for row in np.array(rows).T)
            for own, other in (("index_1", "index_2"),):
                if own in at and other in at:
                    at[own], at[other] = at[other], at[own]
    return tree


def with_axes_in_tables(tree: Group) -> Group:
    """Give every table its own axes, and the templates others."""
    tree = deepcopy(tree)
    axes = {
        group.name: {i: group.attributes[i] for i in ("index_1", "index_2")}
        for group in tree.of("lu_table_template", "power_lut_template")
    }
    for group in walk(tree):
        if group.kind.endswith("template"):
            group.attributes |= {"index_1": ("7, 8",), "index_2": ("5 6",)}
        elif "values" in group.attributes and group.name in axes:
            group.attributes = {**axes[group.name], **group.attributes}
    return tree


def with_functions_rewritten(tree: Group) -> Group:
    """Write functions with other operators and as sums of products."""
    tree = deepcopy(tree)
    for number, group in enumerate(walk(tree)):
        for name in ("function", "when"):
            if name not in group.attributes or "IQ" in group.text(name):
                continue
            text = Function.parse(group.text(name)).liberty()
            if number % 2:
                text = re.sub(r"!(\w+)", r"\1'", text).replace(" & ", " ")
            else:
                text = text.replace("&", "*").replace("|", "+")
            group.attributes[name] = (text,)
    return tree


def with_pins_listed_otherwise(tree: Group) -> Group:
    """Split lists of related pins, and join pins that are the same but for their name."""
    tree = deepcopy(tree)
    for group in walk(tree):
        split = []
        for inner in group.groups:
            names = inner.text("related_pin").split()
            if inner.kind == "timing" and len(names) > 1:
                for name in names:
                    one = deepcopy(inner)
                    one.attributes["related_pin"] = (name,)
                    split.append(one)
            else:
                split.append(inner)
        group.groups = split
        if group.kind == "cell":
            joined: list[Group] = []
            for pin in group.groups:
                same = [
                    other
                    for other in joined
                    if (other.kind, pin.kind) == ("pin", "pin")
                    and (other.attributes, other.groups) == (pin.attributes, pin.groups)
                ]
                if same:
                    same[0].names += pin.names
                else:
                    joined.append(pin)
            group.groups = joined
    return tree


def with_bundles(tree: Group) -> Group:
    """Make the inputs of every gate of two a bundle."""
    tree = deepcopy(tree)
    for cell in tree.of("cell"):
        pins = {pin.name: pin for pin in cell.of("pin")}
        if {"A", "B"} <= set(pins):
            bundle = Group("bundle", ("AB",), {"members": ("A", "B"), "direction": ("input",)})
            for name in "AB":
                del pins[name].attributes["direction"]
                cell.groups.remove(pins[name])
                bundle.groups.append(pins[name])
            cell.groups.append(bundle)
    return tree


def with_two_supplies(tree: Group) -> Group:
    """Draw half of every energy and leakage from each of two supplies."""
    tree = deepcopy(tree)
    for group in walk(tree):
        split = []
        for inner in group.groups:
            if inner.kind not in ("internal_power", "leakage_power"):
                split.append(inner)
                continue
            for supply in ("VDD", "VDDL"):
                half = deepcopy(inner)
                half.attributes["related_pg_pin"] = (supply,)
                scale(half, "values|value", 0.5)
                split.append(half)
        group.groups = split
    return tree


def with_defaults_left_out(tree: Group) -> Group:
    """Leave out what Liberty has a default for, and let defaults say what cells say."""
    tree = deepcopy(tree)
    leakages = [cell.text("cell_leakage_power") for cell in tree.of("cell")]
    common = max(set(leakages), key=leakages.count)
    tree.attributes["default_cell_leakage_power"] = (common,)
    tree.attributes["default_input_pin_cap"] = ("0.01",)
    tree.attributes["default_max_capacitance"] = ("10",)
    for group in walk(tree):
        at = group.attributes
        if group.kind == "timing" and at.get("timing_type") == ("combinational",):
            del at["timing_type"]
        if group.kind == "timing" and "timing_type" not in at:
            at.pop("timing_sense", None)
        if group.kind == "cell" and at.get("cell_leakage_power") == (common,):
            del at["cell_leakage_power"]
        if group.kind == "pin" and at.get("capacitance") == ("0.01",):
            del at["capacitance"]
        if at.get("max_capacitance") == ("10",):
            del at["max_capacitance"]
    return tree


def with_leakage_in_groups(tree: Group) -> Group:
    """Give the leakage of a cell as a group without a condition."""
    tree = deepcopy(tree)
    for cell in tree.of("cell"):
        value = cell.attributes.pop("cell_leakage_power")
        cell.groups.insert(0, Group("leakage_power", (), {"value": value}))
    return tree


def with_powers_of_both_edges(tree: Group) -> Group:
    """Give one table of power where those of both edges are the same."""
    tree = deepcopy(tree)
    for group in walk(tree):
        if group.kind == "internal_power":
            rise, fall = group.groups
            if (rise.names, rise.attributes) == (fall.names, fall.attributes):
                rise.kind = "power"
                group.groups = [rise]
    return tree


def with_other_conditions(tree: Group) -> Group:
    """Tell of other operating conditions, too."""
    tree = deepcopy(tree)
    tree.attributes["nom_voltage"] = ("1.5",)
    for name, voltage in (("fast", "1.1"), ("slow", "0.9")):
        tree.groups.append(Group("operating_conditions", (name,), {"voltage": (voltage,)}))
    return tree


def with_what_nobody_reads(tree: Group) -> Group:
    """Add what Liberty has and a bill does not need."""
    tree = deepcopy(tree)
    tree.attributes["define"] = ("drive", "cell", "integer")
    tree.groups.append(Group("type", ("word",), {"bit_width": ("4",), "base_type": ("array",)}))
    for cell in tree.of("cell"):
        cell.attributes["drive"] = ("1",)
        cell.groups.append(Group("pg_pin", ("VDD",), {"voltage_name": ("VDD",)}))
        cell.groups.append(
            Group("test_cell", (), {}, [Group("pin", ("A",), {"direction": ("x",)})])
        )
    return tree


def several_files(folder: Path, tree: Group) -> list[Path]:
    """Write a file for every cell, one of them packed."""
    files = []
    cells = [*tree.of("cell")]
    rest = [group for group in tree.groups if group.kind != "cell"]
    for number, cell in enumerate(cells):
        one = Group("library", tree.names, tree.attributes, [*rest, cell])
        path = folder / f"{number}.lib"
        text = Writer().text(one).encode()
        if number == 1:
            path, text = path.with_suffix(".lib.gz"), gzip.compress(text)
        path.write_bytes(text)
        files.append(path)
    return files


def included(folder: Path, tree: Group) -> list[Path]:
    """Write cells to files that the library includes."""
    text = Writer().text(
        Group(
            "library",
            tree.names,
            tree.attributes,
            [group for group in tree.groups if group.kind != "cell"],
        )
    )
    parts = []
    for number, cell in enumerate(tree.of("cell")):
        (folder / f"part{number}.inc").write_text(Writer().text(cell))
        parts.append(f'include_file ("part{number}.inc");\n')
    path = folder / "whole.lib"
    path.write_text(text.rstrip()[:-1] + '/* include_file ("none") */' + "".join(parts) + "}\n")
    return [path]


def in_latin_1(folder: Path, tree: Group) -> list[Path]:
    """Write comments in Latin-1, lines that end in two letters, and a date in an attribute."""
    text = Writer(comment=' /* \xb5m\xb2, {;" */', line="\r\n").text(tree)
    path = folder / "latin.lib"
    path.write_bytes(
        text.replace("technology", 'date : "9\xb0" ;\r\ntechnology', 1).encode("latin-1")
    )
    return [path]


def in_capitals(folder: Path, tree: Group) -> list[Path]:
    """Write words that are not names in capitals, and a byte order mark before all."""
    text = Writer(quote=bare).text(tree)
    for word in ("true", "input", "output", "negative_unate", "setup_rising", "table_lookup"):
        text = re.sub(rf": {word} ;", f": {word.upper()} ;", text)
    path = folder / "capitals.lib"
    path.write_text("\ufeff// capitals\n" + text, encoding="utf-8")
    return [path]


TREES: dict[str, Callable[[Group], Group]] = {
    "units": in_other_units,
    "exchanged axes": with_axes_exchanged,
    "axes in tables": with_axes_in_tables,
    "functions": with_functions_rewritten,
    "lists of pins": with_pins_listed_otherwise,
    "bundles": with_bundles,
    "two supplies": with_two_supplies,
    "defaults": with_defaults_left_out,
    "leakage in groups": with_leakage_in_groups,
    "powers of both edges": with_powers_of_both_edges,
    "operating conditions": with_other_conditions,
    "what nobody reads": with_what_nobody_reads,
}

TEXTS_OF: dict[str, dict[str, object]] = {
    "all quoted": {},
    "nothing quoted": {"quote": bare},
    "no semicolons": {"end": "", "quote": bare},
    "complex attributes": {"complex_form": True},
    "comments": {"comment": ' /* "a; { b\n : */ '},
    "upside down": {"upside_down": True},
    "carriage returns": {"line": "\r\n"},
}

FILES: dict[str, Callable[[Path, Group], list[Path]]] = {
    "several files": several_files,
    "included files": included,
    "Latin-1": in_latin_1,
    "capitals": in_capitals,
}

WAYS = (*TREES, *TEXTS_OF, *FILES)


def rewritten(way: str, source: Path, folder: Path) -> list[Path]:
    """Write a library in another way; gives its files."""
    tree = read_groups(source)
    if way in TREES:
        return write(folder / "way.lib", TREES[way](tree))
    if way in TEXTS_OF:
        return write(folder / "way.lib", tree, **TEXTS_OF[way])
    return FILES[way](folder, tree)

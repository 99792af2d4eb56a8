"""Law: a table that cannot be used is refused in one line: file, entry, key, what is right."""

import copy
from pathlib import Path

import pytest
import yaml

from pilaster.base.errors import InputError
from pilaster.models.energy import EnergyTable

GOOD = {
    "name": "good",
    "title": "the smallest table that prices every action",
    "node_nm": 45,
    "voltage_v": 0.9,
    "entries": [
        {"name": "multiply", "value": 0.2, "unit": "pJ", "scaling": "product-bits",
         "at": {"activation_bits": 8, "weight_bits": 8}, "source": "a paper"},
        {"name": "add", "points": [{"bits": 8, "value": 0.03}, {"bits": 32, "value": 0.1}],
         "unit": "pJ", "scaling": "linear-bits", "source": "a paper"},
        {"name": "register", "value": 0.009, "unit": "pJ/bit", "scaling": "linear-bits",
         "source": "a paper",
         "converted_from": {"node_nm": 40, "voltage_v": 0.9, "rule": "stillmaker-baas"}},
        {"name": "memory_read", "points": [{"bits": 64, "depth": 1024, "value": 10.0}],
         "unit": "pJ", "scaling": "word-depth", "source": "a paper"},
        {"name": "memory_write", "value": 10.0, "at": {"bits": 64, "depth": 1024},
         "unit": "pJ", "scaling": "word-depth", "source": "a paper"},
    ],
}  # fmt: skip
MULTIPLY, ADD, REGISTER, READ, WRITE = range(5)
GONE = object()


def edited(path, value):
    table = copy.deepcopy(GOOD)
    *above, key = path
    place = table
    for step in above:
        place = place[step]
    if value is GONE:
        del place[key]
    elif isinstance(place, list) and key == len(place):
        place.append(value)
    else:
        place[key] = value
    return table


def refusal(path):
    with pytest.raises(InputError) as caught:
        EnergyTable.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert "pydantic" not in message
    return message


def test_the_good_table_is_good(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(yaml.safe_dump(GOOD), encoding="utf-8")
    assert EnergyTable.load(path).name == "good"
    assert EnergyTable.load(str(path)).name == "good"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("name",), GONE, "name: is missing"),
        (("name",), "two words", "name: must be one word of letters"),
        (("title",), "", "title: is empty; write a few words"),
        (("node_nm",), 0, "node_nm: must be above 0, not 0"),
        (("voltage_v",), 900, "voltage_v: must be at most 100, not 900"),
        (("voltage_v",), "0.9 V", "voltage_v: must be a number, not '0.9 V'"),
        (("voltage",), 1.0, "voltage: unknown key; the keys here are name, title, node_nm, "
         "voltage_v, memories, entries; did you mean 'voltage_v'?"),
        (("entries",), [], "entries: is empty; give at least one"),
        (("entries",), {"add": 1}, "entries: must be a list, not keys and values"),
        (("entries", ADD), GONE, "entries: nothing prices mac: add an entry mac, or add"),
        (("entries", READ), GONE,
         "entries: nothing prices psum_read: add an entry psum_read, or memory_read"),
        (("entries", ADD), "add", "entry number 2: must hold keys and values, not 'add'"),
        (("entries", 5), GOOD["entries"][ADD], "entry add: is given 2 times; keep one"),
        (("entries", ADD, "name"), GONE, "entry number 2: name: is missing"),
        (("entries", ADD, "name"), "adder",
         "entry number 2 ('adder'): name: 'adder' is not an entry: use multiply, add, "),
        (("entries", ADD, "source"), GONE,
         "entry add: source: is missing; name the publication that the value comes from"),
        (("entries", ADD, "source"), "  ", "entry add: source: is empty; name the publication"),
        (("entries", ADD, "source"), 2014, "entry add: source: must be text, not 2014"),
        (("entries", ADD, "unit"), "pj",
         "entry add: unit: 'pj' is not a unit: use nJ, pJ, fJ, aJ, pJ/bit, fJ/bit, mac16, mW, uW, "
         "nW, pW, mm2, um2, um2/bit; did you mean 'pJ'?"),
        (("entries", ADD, "converted_from"),
         {"node_nm": 40, "voltage_v": 0.9, "rule": "feature-size"},
         "entry add: converted_from: rule: 'feature-size' does not convert an energy: use "
         "stillmaker-baas or cv2"),
        (("entries", 5),
         {"name": "add_area", "value": 3.0, "unit": "pJ", "scaling": "linear-bits",
          "at": {"bits": 8}, "source": "a paper"},
         "entry add_area: unit: 'pJ' is no unit of area, which add_area is: use mm2, um2"),
        (("entries", ADD, "unit"), "uW",
         "entry add: unit: 'uW' is no unit of energy, which add is: use nJ, pJ"),
        (("entries", ADD, "unit"), "mac16",
         "entry add: unit: a 16-bit MAC is made of it, so it cannot be relative to one: use pJ"),
        (("entries", ADD, "scaling"), "linear_bits",
         "entry add: scaling: 'linear_bits' is not a scaling rule: use constant, linear-bits"),
        (("entries", ADD, "scaling"), "word-depth",
         "entry add: scaling: 'word-depth' does not apply to add: use linear-bits or constant"),
        (("entries", ADD, "scaling"), "constant",
         "entry add: points: 0.03 and 0.1 are given for the same thing; keep one"),
        (("entries", ADD, "bits"), 8, "entry add: bits: unknown key; the keys here are name, unit"),
        (("entries", ADD, "value"), 0.03,
         "entry add: value: give either a value (with the attributes it holds at under 'at') or "
         "points"),
        (("entries", ADD, "points"), GONE, "entry add: value: give either a value"),
        (("entries", ADD, "points"), [], "entry add: points: is empty; give at least one"),
        (("entries", ADD, "at"), {"bits": 8},
         "entry add: at: goes with a value; each of the points has attributes of its own"),
        (("entries", ADD, "points", 1, "value"), -0.1,
         "entry add: point 2: value: must be 0 or more, not -0.1"),
        (("entries", ADD, "points", 1, "value"), float("nan"),
         "entry add: point 2: value: must be a finite number, not nan"),
        (("entries", ADD, "points", 1, "value"), float("inf"),
         "entry add: point 2: value: must be a finite number, not inf"),
        (("entries", ADD, "points", 1, "value"), "1e-1",
         "entry add: point 2: value: must be a number, not '1e-1' (in YAML an exponent needs a "
         "point and a sign: 1.0e-3)"),
        (("entries", ADD, "points", 1, "value"), True,
         "entry add: point 2: value: must be a number, not True"),
        (("entries", ADD, "points", 1, "value"), GONE, "entry add: point 2: value: is missing"),
        (("entries", ADD, "points", 1, "bits"), 8.5,
         "entry add: point 2: bits: must be a whole number, not 8.5"),
        (("entries", ADD, "points", 1, "bits"), 8,
         "entry add: points: 0.03 and 0.1 are given for the same bits; keep one"),
        (("entries", ADD, "points", 1, "bits"), GONE,
         "entry add: points: bits is missing; linear-bits needs to know at which bits the value "
         "0.1 holds"),
        (("entries", ADD, "points", 1, "width"), 8,
         "entry add: point 2: width: unknown key; the keys here are bits, depth,"),
        (("entries", ADD, "points", 1, "depth"), 8,
         "entry add: points: depth is no attribute of add, which takes bits"),
        (("entries", MULTIPLY, "at"), GONE,
         "entry multiply: at: activation_bits is missing; product-bits needs to know at which "
         "activation_bits and weight_bits the value 0.2 holds"),
        (("entries", MULTIPLY, "at", "weight_bits"), 0,
         "entry multiply: at: weight_bits: must be above 0, not 0"),
        (("entries", MULTIPLY, "value"), float("nan"),
         "entry multiply: value: must be a finite number, not nan"),
        (("entries", READ, "points", 0, "value"), 0,
         "entry memory_read: points: value: must be above 0 to be scaled by word-depth"),
        (("entries", WRITE, "at", "depth"), GONE,
         "entry memory_write: at: depth is missing; word-depth needs to know at which bits and "
         "depth the value 10 holds"),
        (("entries", WRITE, "at"), [64, 1024],
         "entry memory_write: at: must hold keys and values, not a list"),
        (("entries", REGISTER, "converted_from", "rule"), "moore",
         "entry register: converted_from: rule: 'moore' is not a conversion: use stillmaker-baas, "
         "cv2"),
        (("entries", REGISTER, "converted_from", "voltage_v"), GONE,
         "entry register: converted_from: voltage_v: is missing"),
        (("entries", REGISTER, "converted_from", "node"), 40,
         "entry register: converted_from: node: unknown key; the keys here are node_nm, voltage_v, "
         "rule; did you mean 'node_nm'?"),
        (("entries", REGISTER, "converted_from", "node_nm"), 180,
         "entry register: converted_from: Stillmaker and Baas energies hold from 7 to 130 nm, not "
         "at 180 nm"),
        (("entries", 5),
         {"name": "memory_leakage", "value": 1, "at": {"bits": 1, "depth": 1}, "unit": "nW",
          "scaling": "linear-capacity", "source": "a paper",
          "converted_from": {"node_nm": 40, "voltage_v": 0.9, "rule": "cv2"}},
         "entry memory_leakage: converted_from: only an energy in joules is converted; give the "
         "value at the table's own node and voltage"),
        (("entries", 5),
         {"name": "memory_leakage", "value": 1, "at": {"bits": 1, "depth": 1}, "unit": "pJ",
          "scaling": "linear-capacity", "source": "a paper"},
         "entry memory_leakage: unit: 'pJ' is no unit of power, which memory_leakage is: use mW, "
         "uW, nW, pW"),
    ],
)  # fmt: skip
def test_wrong_key_or_value(tmp_path, path, value, says):
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(edited(path, value), sort_keys=False), encoding="utf-8")
    assert refusal(file).startswith(f"{file}: {says}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds nothing, must hold an energy table: keys name, title, node_nm"),
        ("- 1\n- 2\n", "holds a list, must hold an energy table"),
        ("name: a\ntitle: [b\nnode_nm: 45\n", "line 3: not valid YAML: "),
        ("name: a\n\ttitle: b\n", "line 2: not valid YAML: "),
        ("name: a\nname: b\n", "line 2: not valid YAML: the key 'name' is given twice"),
        ("name: a\nmade: 2014-13-45\n", "not valid YAML: "),
    ],
)
def test_not_a_table(tmp_path, text, says):
    file = tmp_path / "bad.yaml"
    file.write_text(text, encoding="utf-8")
    assert refusal(file).startswith(f"{file}: {says}")


def test_not_text(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_bytes(b"\xff\xfe\x00\x01")
    assert refusal(file) == f"{file}: is not a text file in UTF-8, must be YAML"


def test_folder(tmp_path):
    assert refusal(tmp_path).startswith(f"{tmp_path}: cannot be read: ")


def test_missing_file():
    message = refusal(Path("nowhere.yaml"))
    assert message == (
        "nowhere.yaml: no such file; shipped tables are "
        "eyeriss65, horowitz45, ihp130, sg13g2, sky130"
    )


def test_unknown_name_lists_the_known_and_the_nearest():
    assert refusal("horowitz") == (
        "energy table 'horowitz' is not shipped: use eyeriss65, horowitz45, ihp130, sg13g2, "
        "sky130, or the path of a .yaml file; did you mean 'horowitz45'?"
    )

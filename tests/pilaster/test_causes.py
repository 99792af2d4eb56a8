"""Law: where the system refuses something, one line tells what, and that it was not the output."""

import errno
from pathlib import Path

import pytest

from pilaster import cli
from pilaster.base.errors import InputError
from pilaster.base.output_files import check_own, write_files
from pilaster.cli import main


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOENT, "No such file or directory", "gone.npz"), "gone.npz: No such file"),
        (PermissionError(errno.EACCES, "Permission denied", b"/secret"), "/secret: Permission"),
        (OSError(errno.EMFILE, "Too many open files"), "the system refused: Too many open files"),
        (OSError("it broke"), "the system refused: it broke, in "),
    ],
)
def test_the_cause_is_told(error, line, monkeypatch, capsys):
    def refuse(options):
        raise error

    parser = cli.command_parser

    class Refusing:
        def parse_args(self, arguments):
            options = parser().parse_args(arguments)
            options.handler = refuse
            return options

    monkeypatch.setattr(cli, "command_parser", Refusing)
    assert main(["networks"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"pilaster: {line}")
    assert len(told.splitlines()) == 1
    assert "output" not in told


def test_a_folder_that_is_written_anew_loses_what_is_outdated_and_no_more(tmp_path):
    folder = tmp_path / "out"
    write_files(folder, {"mark": b"1", "old.hex": b"1"}, "RTL")
    (folder / "mine.v").write_text("mine")
    check_own(folder, "mark", "RTL")
    write_files(folder, {"mark": b"2", "new.hex": b"2"}, "RTL", ["mark", "old.hex", "absent.hex"])
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {"mark": "2", "new.hex": "2", "mine.v": "mine"}


def test_a_folder_of_other_files_is_refused(tmp_path):
    check_own(tmp_path, "mark", "RTL")
    check_own(tmp_path / "new", "mark", "RTL")
    (tmp_path / ".gitignore").write_text("*")
    check_own(tmp_path, "mark", "RTL")
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(InputError, match=r"other files, such as README\.md, and no mark"):
        check_own(tmp_path, "mark", "RTL")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_exporting_again_leaves_no_memory_of_the_other_network(tmp_path, capsys):
    out = tmp_path / "rtl"
    assert main(["rtl", "lenet5", "--out", str(out)]) == 0
    lenet5 = names(out)
    assert {name for name in lenet5 if name.endswith(".hex")}
    (out / "mine.hex").write_text("0\n")
    assert main(["rtl", "digits", "--load-weights", "--out", str(out)]) == 0
    assert {name for name in names(out) if name.endswith(".hex")} == {"mine.hex", "load.hex"}
    assert main(["rtl", "lenet5", "--out", str(out)]) == 0
    assert names(out) == lenet5 | {"mine.hex"}


def test_exporting_into_a_folder_of_other_files_is_refused(tmp_path, capsys):
    (tmp_path / "README.md").write_text("mine")
    assert main(["rtl", "digits", "--out", str(tmp_path)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "other files, such as README.md" in line
    assert names(tmp_path) == {"README.md"}
    assert (tmp_path / "README.md").read_text() == "mine"

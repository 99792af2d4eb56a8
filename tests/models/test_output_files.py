"""A file is put in place whole or not at all."""

import shutil

import pytest

from pilaster.base.errors import InputError
from pilaster.base.output_files import copy_file


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_text("new")
    return path


def test_a_copy_replaces_what_was_there(source, tmp_path):
    target = tmp_path / "target"
    target.write_text("old")
    copy_file(source, target, "waves")
    assert target.read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_copy_that_fails_leaves_what_was_there(source, tmp_path, monkeypatch):
    target = tmp_path / "target"
    target.write_text("old")

    def fill(origin, draft):
        draft.write_text("n")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fill)
    with pytest.raises(InputError, match="the waves cannot be written: no space left"):
        copy_file(source, target, "waves")
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_a_directory_in_the_way(source, tmp_path):
    (tmp_path / "target").mkdir()
    with pytest.raises(InputError, match="is a directory"):
        copy_file(source, tmp_path / "target", "waves")

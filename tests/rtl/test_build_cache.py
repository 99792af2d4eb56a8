"""Law: what is kept of a build serves whom it fits, and never spoils a later build."""

import os
import threading
from pathlib import Path

import pytest

from pilaster.rtl.toolchain import build_cache
from pilaster.rtl.toolchain.build_cache import build_once, clear_builds, kept_builds
from tests.rtl.surroundings import count

OBJECTS = {"verilated.o": b"object" * 1000, "verilated_threads.o": b"another"}


class Compiler:
    """Stands for one; counts how often it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, 0
        folder.mkdir(exist_ok=True)

    def __call__(self) -> list[str]:
        self.asked += 1
        for name, content in OBJECTS.items():
            (self.folder / name).write_bytes(content)
        return list(OBJECTS)


def builds(folder: Path, *decides: str) -> bool:
    """Have the objects in `folder`; tells whether they were compiled for it."""
    compiler = Compiler(folder)
    assert build_once(folder, decides, compiler) == list(OBJECTS)
    assert {name: (folder / name).read_bytes() for name in OBJECTS} == OBJECTS
    return compiler.asked == 1


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pilaster" / "builds"


def test_the_same_is_built_once(cache, tmp_path):
    assert builds(tmp_path / "first", "g++", "-O3")
    assert not builds(tmp_path / "second", "g++", "-O3")
    assert builds(tmp_path / "third", "g++", "-O0")
    assert builds(tmp_path / "fourth", "g++-O3")
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"\0" * len(content),
    ],
    ids=["empty", "digest cut", "half", "a byte less", "a bit turned", "zeros"],
)
def test_what_is_not_whole_is_replaced(cache, tmp_path, spoil):
    builds(tmp_path / "first")
    (kept,) = cache.iterdir()
    kept.write_bytes(spoil(kept.read_bytes()))
    assert builds(tmp_path / "second")
    assert not builds(tmp_path / "third")


def test_a_cache_that_cannot_be_written_does_no_harm(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("a file where a folder should be")
    for place in (str(tmp_path / "file"), "/dev/null/nothing", "relative", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        monkeypatch.setenv("HOME", str(tmp_path / "file"))
        assert builds(tmp_path / "one")
        assert builds(tmp_path / "one")
    assert not Path("relative").exists()


def test_a_folder_of_that_name_does_no_harm(cache, tmp_path):
    builds(tmp_path / "first")
    (kept,) = cache.iterdir()
    kept.unlink()
    (kept / "verilated.o").mkdir(parents=True)
    assert builds(tmp_path / "second")
    assert [path.name for path in cache.iterdir()] == [kept.name], "no draft is left"


def test_a_full_disk_leaves_no_half(cache, monkeypatch, tmp_path):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pilaster.rtl.toolchain.build_cache.os.fdopen", full)
        assert builds(tmp_path / "first")
    assert not list(cache.iterdir())
    assert builds(tmp_path / "second")


def test_who_has_no_home_has_no_cache(monkeypatch, tmp_path):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert builds(tmp_path / "one")


def test_two_that_keep_at_once_leave_one_that_serves(cache, tmp_path):
    threads = [
        threading.Thread(target=builds, args=(tmp_path / f"design{number}",)) for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(cache.iterdir())) == 1
    assert not builds(tmp_path / "later")


def test_a_design_is_built_on_what_is_kept(cache, tmp_path):
    count(tmp_path / "first", "a")
    kept = list(cache.iterdir())
    assert len(kept) == 2, "the program, and Verilator's runtime"
    whole = {path: path.read_bytes() for path in kept}
    count(tmp_path / "second", "a")
    assert not (tmp_path / "second" / "build" / "main.cpp").exists(), "it was not built again"
    for path, content in whole.items():
        path.write_bytes(content[: len(content) // 2])
    count(tmp_path / "third", "a")
    assert all(len(path.read_bytes()) > len(whole[path]) // 2 for path in kept)


def test_another_text_is_another_design(cache, tmp_path):
    count(tmp_path / "first", "a")
    count(tmp_path / "second", "b")
    assert len(list(cache.iterdir())) == 3, "two programs on one runtime"


def test_what_was_used_longest_ago_goes_first(cache, monkeypatch, tmp_path):
    builds(tmp_path / "one", "one")
    (kept,) = cache.iterdir()
    monkeypatch.setattr(build_cache, "MOST_BYTES", 2 * kept.stat().st_size)
    os.utime(kept, (1, 1))
    builds(tmp_path / "two", "two")
    (two,) = set(cache.iterdir()) - {kept}
    os.utime(two, (2, 2))
    assert not builds(tmp_path / "again", "one")
    assert builds(tmp_path / "three", "three")
    assert kept.exists()
    assert not two.exists()
    assert kept_builds().builds == 2


def test_what_is_kept_is_told_and_cleared(cache, tmp_path):
    assert (kept_builds().builds, clear_builds().builds) == (0, 0)
    builds(tmp_path / "one", "one")
    told = kept_builds()
    assert told.folder == cache
    assert told.builds == 1
    assert told.bytes == sum(path.stat().st_size for path in cache.iterdir())
    assert clear_builds() == told
    assert builds(tmp_path / "two", "one")

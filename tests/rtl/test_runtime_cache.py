"""Law: what is kept of a build serves whom it fits, and never spoils a later build."""

import threading
from pathlib import Path

import pytest

from pilaster.rtl.toolchain.runtime_cache import runtime_objects
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
    assert runtime_objects(folder, decides, compiler) == list(OBJECTS)
    assert {name: (folder / name).read_bytes() for name in OBJECTS} == OBJECTS
    return compiler.asked == 1


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pilaster" / "verilator"


def test_the_runtime_is_compiled_once_for_the_same_that_decides(cache, tmp_path):
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
        patch.setattr("pilaster.rtl.toolchain.runtime_cache.os.fdopen", full)
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
    count(tmp_path / "first")
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    count(tmp_path / "second")
    kept.write_bytes(whole[: len(whole) // 2])
    count(tmp_path / "third")
    assert len(kept.read_bytes()) > len(whole) // 2

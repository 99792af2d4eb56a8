"""Law: a notebook runs from its first cell to its last, and is kept without what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))

RUN = """
import sys
import nbformat
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
nbformat.validate(notebook)
nbformat.write(notebook, sys.argv[2])
"""


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS == ["first_steps.ipynb"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_clean(name: str) -> None:
    notebook = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["execution_count"], cell["outputs"]) == (None, [])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name: str, tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    done = executed(EXAMPLES / name, tmp_path)
    outputs = [output for cell in done["cells"] for output in cell.get("outputs", [])]
    assert "error" not in {output["output_type"] for output in outputs}
    tables = [output["data"] for output in outputs if "text/html" in output.get("data", {})]
    told = ["".join(data["text/plain"]) for data in tables]
    for kind in ("<Network", "<Result", "<Mapping", "<Exploration", "<Verdict digits on"):
        assert any(text.startswith(kind) for text in told), kind
    assert any(text.endswith("equal>") for text in told)
    assert (tmp_path / "mine.yaml").is_file()


def executed(path: Path, folder: Path) -> dict[str, Any]:
    """Run a notebook in a folder, by the kernel of this environment and no other."""
    (folder / "jupyter").mkdir()
    found = subprocess.run(
        [sys.executable, "-c", RUN, path, folder / "done.ipynb"],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if "JUPYTER" not in name},
            "JUPYTER_DATA_DIR": str(folder / "jupyter"),
            "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
            "JUPYTER_RUNTIME_DIR": str(folder / "jupyter"),
            "IPYTHONDIR": str(folder / "jupyter"),
            "JUPYTER_PREFER_ENV_PATH": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    done: dict[str, Any] = json.loads((folder / "done.ipynb").read_text(encoding="utf-8"))
    return done

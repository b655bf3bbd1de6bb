"""docs/notebook.ipynb runs from its first cell to its last, and says what it said."""

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dps.library.run import StudyResult

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
CELLS: list[dict[str, Any]] = [
    cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"
]


def test_it_was_run_from_top_to_bottom_and_names_no_machine() -> None:
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    outputs = [output for cell in CELLS for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"execute_result", "display_data", "stream"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    said = json.dumps([[cell["source"], cell["outputs"]] for cell in CELLS])
    assert not re.search(r"[\" ]/(home|root|tmp|work|usr)/|stderr", said)


@pytest.mark.slow
def test_it_says_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NOTEBOOK.parent)
    names: dict[str, Any] = {}
    for cell in CELLS:
        stdout = io.StringIO()
        with contextlib.redirect_stdout(stdout):
            exec("".join(line for line in cell["source"] if not line.startswith("%")), names)
        assert stdout.getvalue() == "".join(text for one in cell["outputs"] for text in one.get("text", []))
    assert len(names["figure"].axes) == 4
    assert isinstance(names["study"], StudyResult) and names["study"].steps_to_result is not None

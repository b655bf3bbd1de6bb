"""What trained the studies: read from their folders, compared, and shown on the page."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import Parsed
from report_results import claims, results
from report_results import study as row_of_study

from dps.analysis import environments
from dps.analysis.results import gather
from dps.report.page import page
from dps.storage import records
from dps.storage.environments import FILE

CPU: dict[str, Any] = {"python": "3.11.9", "torch": "2.9.1", "device": "cpu", "threads": 2, "deterministic": True}


def study(folder: Path, batch_size: int, *recorded: dict[str, Any]) -> Path:
    """A study of one trial, and the environments that it records."""
    path = folder / f"batch_size={batch_size}"
    (path / ".hydra").mkdir(parents=True)
    row = {"workload": "w", "goal_error": 0.02, "pruning": "snip", "sparsity": 0.5, "batch_size": batch_size}
    row |= {
        "replicate": 0,
        "trial": 0,
        "seed": 0,
        "lr": 0.1,
        "status": "complete",
        "steps_to_result": 16,
        "steps_run": 16,
    }
    records.merge(path, [row | {"interval_steps": 16, "max_steps": 64}])
    if recorded:
        (path / FILE).write_text(yaml.safe_dump(list(recorded), sort_keys=False))
    return path


def section(text: str) -> Parsed:
    """The page's section on environments."""
    return Parsed(
        "<section>" + text.partition('<section id="environment">')[2].partition("</section>")[0] + "</section>"
    )


def test_what_all_studies_share_is_in_the_table_and_each_difference_is_a_sentence(tmp_path: Path) -> None:
    study(tmp_path, 4, CPU)
    study(tmp_path, 8, CPU, CPU | {"torch": "2.10.0"})  # resumed elsewhere: counts in both
    study(tmp_path, 16, CPU | {"device": "cuda", "gpu": "a GPU"})
    study(tmp_path, 32)
    found = gather([tmp_path])
    assert environments.shared(found.environments) == {"python": "3.11.9", "threads": "2", "deterministic": "true"}
    shown = section(page(found, claims(), [], Path()))
    assert dict(zip(shown.texts("th"), shown.texts("td"), strict=True)) == environments.shared(found.environments)
    assert shown.texts("p") == [
        "torch differs: 2.9.1 in 3 studies, 2.10.0 in 1 study.",
        "device differs: cpu in 2 studies, cuda in 1 study.",
        "gpu differs: not recorded in 2 studies, a GPU in 1 study.",
        "1 study records no environment.",
    ]


def test_studies_of_one_environment_do_not_differ(tmp_path: Path) -> None:
    for batch_size in (4, 8):
        study(tmp_path, batch_size, CPU)
    shown = section(page(gather([tmp_path]), claims(), [], Path()))
    assert shown.texts("th") == list(CPU) and shown.texts("p") == []


def test_without_any_record_a_sentence_says_so() -> None:
    shown = section(page(results([row_of_study(16, 0.0, 32)], [], []), claims(), [], Path()))
    assert shown.texts("p") == ["No study records the environment that trained it."] and not shown.texts("table")


def test_values_are_text_and_never_markup(tmp_path: Path) -> None:
    study(tmp_path, 4, {"<b>": "<script>"}, {"<b>": "&amp;"})
    study(tmp_path, 8, {"<i>": "<u>"})
    shown = section(page(gather([tmp_path]), claims(), [], Path()))
    assert shown.texts("p")[0] == "<b> differs: <script> in 1 study, &amp; in 1 study, not recorded in 1 study."
    assert {tag for tag, _, _ in shown.elements} == {"section", "h2", "p"}


@pytest.mark.parametrize("text", ["a: [", "a: 1", "- 3", "", "- a\n- {}", "- {a: [1]}", "- &a {b: 1}\n- *a"])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    path = study(tmp_path, 4) / FILE
    path.write_text(text)
    with pytest.raises(ValueError, match=r"environment\.yaml is damaged: .*; restore the file, or remove it") as error:
        gather([tmp_path])
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_what_has_changed_since_a_record() -> None:
    now = CPU | {"torch": "2.10.0", "deterministic": False, "commit": None}
    assert environments.changes([CPU], [CPU]) == {}
    assert environments.changes([CPU | {"commit": "a"}, CPU | {"threads": 1, "commit": "a"}], [now]) == {
        "torch": "2.9.1 -> 2.10.0",
        "threads": "2 and 1 -> 2",
        "deterministic": "true -> false",
        "commit": "a -> not recorded",
    }

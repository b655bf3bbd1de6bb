"""Metaparameters that a configuration declares, from the records of a study to its command, page and figures."""

import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import yaml
from artists import shown, xy
from pages import rows
from report_results import claims, theory
from report_trials import made_up, made_up_trials
from rich.console import Console

from dps.analysis.results import Results, gather, joined
from dps.analysis.study_folder import StudyFolder
from dps.analysis.study_table import known_to, rows_of_studies
from dps.protocol.metaparameters import TABLE, declared
from dps.protocol.space import parse, sample
from dps.report import terminal
from dps.report.figures import draw
from dps.report.page import page
from dps.storage import records, trial_rows

DECLARED = {
    "ramp_steps": {"option": "lr_schedule.ramp_steps", "type": "int", "range": "[0, inf)", "scale": "linear"},
    "decay_rate": {"option": "lr_schedule.decay_rate", "type": "float", "range": "(0, inf)", "scale": "log"},
    "dampening": {"option": "optimizer.dampening", "type": "float", "range": "[0, 1)", "scale": "one_minus_log"},
}
SPACE = {
    "optimizer.lr": "tag(log, interval(1e-4, 1))",
    "lr_schedule.ramp_steps": "int(interval(1000, 2000))",
    "optimizer.dampening": "tag(one_minus, log, interval(0.9, 0.9999))",
}
COLUMNS = {"optimizer.lr": "lr", "lr_schedule.ramp_steps": "ramp_steps", "optimizer.dampening": "dampening"}
METAPARAMETERS = declared({name: row | {"idle": 0} for name, row in DECLARED.items()})
NAMES = [*(one.name for one in TABLE), *DECLARED]
LINE = "digits_simple_cnn"


@pytest.fixture(autouse=True)
def _own_parameters() -> Iterator[None]:
    with matplotlib.rc_context():
        yield


def made_up_frame(batch_size: int, sparsity: float, **changed: Any) -> pd.DataFrame:
    """Trials at the Sobol points of SPACE, as records.read would have them."""
    frame = made_up_trials((batch_size,), (sparsity,), trials=8, optimizer="momentum", workload=LINE, dataset="digits")
    points = sample([parse(key, text) for key, text in SPACE.items()], 0, 8)
    frame = frame.assign(**{COLUMNS[key]: values for key, values in points.items()}, decay_rate=10.0 ** -np.arange(8))
    frame = frame.assign(**changed).astype({"ramp_steps": "Int64"})
    last = [name for name in trial_rows.COLUMNS if name not in NAMES]
    at = last.index("goal_error")
    return frame[[*last[:at], *NAMES, *last[at:]]]


def study(frame: pd.DataFrame) -> StudyFolder:
    """The study of these trials, as `read` has it of the folder of a sweep's job."""
    config: dict[str, Any] = {f"space.{key}": text for key, text in SPACE.items()}
    config |= {key: frame[COLUMNS[key]].tolist() for key in SPACE}
    typed = [
        "lr_schedule=ramp",
        f"lr_schedule.ramp_steps={frame['ramp_steps'].tolist()}",
        "lr_schedule.decay_rate=1",
    ]
    path = Path(f"batch_size={frame['batch_size'].iloc[0]},sparsity={frame['sparsity'].iloc[0]:g}")
    return StudyFolder(path, frame, config, METAPARAMETERS, typed, [], unfinished=False, trials_asked=len(frame))


@dataclass
class Declared:
    """Two studies that declare metaparameters, and one that does not."""

    studies: list[StudyFolder]
    results: Results


@pytest.fixture
def found() -> Declared:
    plain = made_up_trials((64,), (0.0,), trials=4, workload=LINE, dataset="digits")
    studies = [study(made_up_frame(4, sparsity)) for sparsity in (0.0, 0.9)]
    studies.append(StudyFolder(Path("plain"), plain, {}, TABLE, None, [], unfinished=False, trials_asked=4))
    trials, known = joined([one.trials for one in studies]), known_to(studies)
    assert known == METAPARAMETERS
    results = replace(made_up(trials), studies=rows_of_studies(studies, known), metaparameters=known)
    results = replace(results, theory=pd.DataFrame(columns=list(theory(0, 1, 1))))
    return Declared(studies, results)


def test_it_stands_among_the_metaparameters_of_all_frames(found: Declared) -> None:
    trials, studies = found.results.trials, found.results.studies
    for frame, before, after in ((trials, "seed", "goal_error"), (studies, "train_seconds", "boundary")):
        names = list(frame.columns)
        assert names[names.index(before) + 1 : names.index(after)] == NAMES
    assert str(trials["ramp_steps"].dtype) == str(studies["ramp_steps"].dtype) == "Int64"
    assert str(studies["dampening"].dtype) == "float64"
    dense = studies[studies["folder"] == "batch_size=4,sparsity=0"].iloc[0]
    best = records.best(found.studies[0].trials)
    assert best is not None and dense[list(DECLARED)].tolist() == best[list(DECLARED)].tolist()
    assert studies.loc[studies["folder"] == "plain", list(DECLARED)].isna().all(axis=None)


def test_the_best_trial_at_the_edge_of_its_range_is_named(found: Declared) -> None:
    one = found.studies[0]
    assert one.space == "; ".join(f"{key}={text}" for key, text in SPACE.items())
    middle = one.trials.iloc[0]
    edge = middle.copy()
    edge["ramp_steps"] = 1990
    assert one.boundary(middle) == "" and one.boundary(edge) == "ramp_steps"


def test_the_command_searches_it_or_lists_it() -> None:
    command = shlex.split(rows_of_studies([study(made_up_frame(4, 0))], METAPARAMETERS)["command"].iloc[0])
    assert command[1] == "-m" and command[-2:] == ["lr_schedule=ramp", "lr_schedule.decay_rate=1"]
    apart = study(made_up_frame(4, 0, lr=0.5))
    command = shlex.split(rows_of_studies([apart], METAPARAMETERS)["command"].iloc[0])
    steps = ",".join(map(str, apart.trials["ramp_steps"]))
    assert "-m" not in command and f"lr_schedule.ramp_steps=[{steps}]" in command
    assert [word.partition("=")[0] for word in command[5:]] == [
        *("trial", "optimizer.lr", "optimizer.momentum"),
        *(str(row["option"]) for row in DECLARED.values()),
    ]


def test_two_declarations_of_one_name_are_refused(found: Declared) -> None:
    other = declared({"ramp_steps": {**DECLARED["ramp_steps"], "idle": 0, "scale": "log"}})
    changed = replace(found.studies[1], metaparameters=other)
    with pytest.raises(ValueError, match=r"sparsity=0\.9 declare the metaparameter ramp_steps differently"):
        known_to([found.studies[0], changed])


def test_the_page_shows_it_with_the_digits_of_its_scale(found: Declared) -> None:
    row = rows(page(found.results, claims(), [], Path()), 1)[0]
    best = found.results.studies.iloc[0]
    assert list(row)[3:9] == ["lr", "momentum", "ramp steps", "decay rate", "dampening", "trials"]
    assert row["ramp steps"] == str(best["ramp_steps"]) and row["dampening"] == f"{best['dampening']:.4g}"
    assert row["decay rate"] == f"{best['decay_rate']:.3g}"


def test_each_has_a_plane_with_the_learning_rate_on_its_own_scale(found: Declared) -> None:
    figures = {stem: figure for stem, _, figure in draw(found.results, ["3"])}
    assert list(figures) == [f"figure_3_{LINE}", *(f"figure_3_{LINE}_{name}" for name in DECLARED)]
    trials = found.studies[1].trials
    for name, (scale, label, heights) in {
        "ramp_steps": ("linear", "ramp steps", trials["ramp_steps"]),
        "decay_rate": ("log", "decay rate", trials["decay_rate"]),
        "dampening": ("log", "1 \N{MINUS SIGN} dampening", 1 - trials["dampening"]),
    }.items():
        panel = shown(figures[f"figure_3_{LINE}_{name}"])["S=90%, B=4"]
        assert (panel.get_xscale(), panel.get_yscale()) == ("log", scale)
        assert (panel.get_xlabel(), panel.get_ylabel()) in {("learning rate", label), ("learning rate", "")}
        drawn = [line for line in panel.lines if line.get_label() != "end of the search range"]
        marks = [(x, y) for line in drawn for x, y in xy(line).tolist()]
        assert sorted(marks) == sorted(zip(trials["lr"], heights.astype(float), strict=True))


def test_the_terminal_shows_every_column_that_is_not_empty() -> None:
    frame = made_up_frame(4, 0.9)
    console = Console(file=io.StringIO(), record=True, width=200)
    console.print(terminal.k_star_table({Path("study"): frame}))
    found = re.findall(r"(\w+)=(\S+)", console.export_text())
    best = records.best(frame)
    assert best is not None and [name for name, _ in found] == ["lr", "momentum", *DECLARED]
    assert dict(found)["ramp_steps"] == str(best["ramp_steps"])
    assert float(dict(found)["dampening"]) == pytest.approx(best["dampening"], abs=0.05 * (1 - best["dampening"]))


def test_it_is_read_from_the_files_of_a_study(tmp_path: Path) -> None:
    for sparsity in (0.0, 0.9):
        path, frame = tmp_path / f"sparsity={sparsity:g}", made_up_frame(4, sparsity, decay_rate=1.0)
        (path / ".hydra").mkdir(parents=True)
        trials = frame.astype(object).where(frame.notna(), None).to_dict("records")
        records.merge(path, trials, list(DECLARED))
        cfg: dict[str, Any] = {"space": SPACE, "trial": frame["trial"].tolist()}
        cfg |= {"metaparameters": {name: row | {"idle": 0} for name, row in DECLARED.items()}}
        for key in SPACE:
            owner, name = key.split(".")
            cfg.setdefault(owner, {})[name] = frame[COLUMNS[key]].tolist()
        (path / ".hydra" / "config.yaml").write_text(yaml.safe_dump(cfg, sort_keys=False))
        (path / ".hydra" / "overrides.yaml").write_text("- lr_schedule=ramp")
    found = gather([tmp_path])
    assert [one.name for one in found.metaparameters] == NAMES
    assert found.trials["decay_rate"].dtype == float and str(found.trials["ramp_steps"].dtype) == "Int64"
    assert (found.studies["space"] == "; ".join(f"{key}={text}" for key, text in SPACE.items())).all()
    assert "ramp steps" in rows(page(found, claims(), [], Path()), 1)[0]
    assert f"figure_3_{LINE}_ramp_steps" in [stem for stem, _, _ in draw(found, ["3"])]

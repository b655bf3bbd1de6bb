"""What is gathered from folders of studies, made here with the records' own writers."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from dps.analysis import study_folder
from dps.analysis.fits.curve import curve_of
from dps.analysis.fits.fit import fit
from dps.analysis.results import Results, gather
from dps.storage import measurements, records, trial_rows

SPACE = {
    "optimizer.lr": "tag(log, interval(1e-4, 1))",
    "optimizer.momentum": "tag(one_minus, log, interval(0.9, 0.9999))",
}
LR = [1e-2, 1e-1, 1e-3, 10**-2.5]  # the first points of the Sobol sequence, .5 .75 .25 .375
MOMENTUM = (1 - 10 ** np.array([-2.5, -3.25, -1.75, -2.875])).tolist()
WORKLOAD = {"workload": "w", "dataset": "digits", "model": "cnn", "optimizer": "momentum", "lr_schedule": "constant"}


def rows(steps: Sequence[float | None], **changed: Any) -> list[dict[str, Any]]:
    """A trial for each steps-to-result: inf incomplete, None censored at the least of them."""
    finite = [step for step in steps if step is not None and math.isfinite(step)]
    common = {**WORKLOAD, "pruning": "snip", "goal_error": 0.02, "interval_steps": 16, "max_steps": 8000}
    common |= {"replicate": 0, **changed}
    found = []
    for trial, step in enumerate(steps):
        row = {**common, "trial": trial, "seed": trial, "lr": LR[trial % 4], "momentum": MOMENTUM[trial % 4]}
        if step is None:
            row |= {"status": "censored", "steps_run": min(finite)}
        elif math.isfinite(step):
            row |= {"status": "complete", "steps_to_result": int(step), "steps_run": int(step)}
        else:
            row |= {"status": "incomplete", "steps_run": common["max_steps"]}
        found.append(row | {name: value for name, value in changed.items() if name in row})
    return found


def study(folder: Path, batch_size: int, sparsity: float, steps: Sequence[float | None], **changed: Any) -> Path:
    path = folder / f"batch_size={batch_size},sparsity={sparsity:g}"
    path.mkdir(parents=True)
    records.merge(path, rows(steps, batch_size=batch_size, sparsity=sparsity, **changed))
    return path


def configure(path: Path, overrides: Sequence[str], **changed: Any) -> None:
    """The configuration and the overrides of a sweep's job, as the command records them."""
    frame = records.read(path)
    names = ("dataset", "model", "optimizer", "lr_schedule", "pruning")
    cfg = {
        "workload": "w",
        "space": SPACE,
        "trial": frame["trial"].tolist(),
        "optimizer": {"_partial_": True, "lr": frame["lr"].tolist(), "momentum": frame["momentum"].tolist()},
        "names": {name: str(frame[name].iloc[0]) for name in names},
        "batch_size": int(frame["batch_size"].iloc[0]),
        "sparsity": float(frame["sparsity"].iloc[0]),
        "goal": {"error": 0.02},
        "seed_data": 0,
        "race": True,
        "trainer": {"precision": "32-true"},
        "lr_schedule": {"_target_": "dps.stack.schedules.constant"},
        **changed,
    }
    (path / ".hydra").mkdir()
    (path / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    (path / ".hydra" / "overrides.yaml").write_text(OmegaConf.to_yaml(list(overrides)))


def lists(path: Path) -> list[str]:
    frame = records.read(path)
    columns = {"trial": "trial", "optimizer.lr": "lr", "optimizer.momentum": "momentum"}
    return [f"{key}=[{','.join(map(repr, frame[name].tolist()))}]" for key, name in columns.items()]


def the_study(found: Results) -> "pd.Series[Any]":
    assert len(found.studies) == 1
    return found.studies.iloc[0]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs" / "w"
    for batch_size in (4, 16, 64, 256):
        for sparsity, factor in ((0, 1), (0.9, 3)):
            best = 16 * factor * (400 // batch_size + 4)
            study(folder, batch_size, sparsity, [best + 32, best, math.inf, best + 160])
    (folder / "report").mkdir()
    (tmp_path / "outputs" / "bench").mkdir()
    (tmp_path / "outputs" / "bench" / "bench.json").write_text("{}")
    return folder


def test_a_sweep_gives_its_studies_in_order(sweep: Path) -> None:
    found = gather([sweep])
    assert found.studies["batch_size"].tolist() == [4, 16, 64, 256] * 2
    assert found.studies["sparsity"].tolist() == [0.0] * 4 + [0.9] * 4
    assert found.studies["steps_to_result"].tolist() == [1664, 464, 160, 80, 4992, 1392, 480, 240]
    assert found.studies.loc[0, ["trials", "complete", "incomplete", "infeasible", "censored"]].tolist() == [
        4,
        3,
        1,
        0,
        0,
    ]
    assert (found.studies["best_trial"] == 1).all() and found.studies["lr"].eq(LR[1]).all()
    assert len(found.trials) == 32 and list(found.trials.columns) == list(trial_rows.COLUMNS)
    assert {name: str(found.studies[name].dtype) for name in ("best_of_5_high", "lr", "command")} == {
        "best_of_5_high": "Int64",
        "lr": "float64",
        "command": "str",
    }
    assert found.missing == [
        "In 8 of 8 studies the trials are not the Sobol points of a recorded space, so that whether the best lies at "
        "the edge of what was searched is not known."
    ]


def test_folders_above_below_and_given_twice_are_one(sweep: Path) -> None:
    whole = gather([sweep])
    for given in ([sweep.parents[1]], [sweep, sweep], [sweep / "batch_size=4,sparsity=0", sweep]):
        found = gather(given)
        columns = [name for name in found.studies if name != "folder"]
        pd.testing.assert_frame_equal(found.studies[columns], whole.studies[columns])
        pd.testing.assert_frame_equal(found.theory, whole.theory)
    assert gather([sweep / "batch_size=4,sparsity=0"]).studies["steps_to_result"].tolist() == [1664]


def test_the_theory_is_that_of_the_best_trials(sweep: Path) -> None:
    found = gather([sweep])
    dense, sparse = (row for _, row in found.theory.iterrows())
    expected = fit(curve_of(found.studies[found.studies["sparsity"] == 0]))
    assert (dense["c1"], dense["c1_low"], dense["c1_high"]) == expected.c1
    assert dense["c1"] == pytest.approx(6400, rel=0.05) and 40 < dense["c2"] <= 64
    assert (dense["critical_batch_size"], dense["critical_low"], dense["critical_high"]) == expected.critical_batch_size
    assert (dense["batch_sizes"], dense["replicates"], dense["interval"]) == (4, 1, "profile")
    assert sparse["c1_ratio_measured"] == pytest.approx(3, rel=0.01) and math.isnan(sparse["c1_ratio_predicted"])


def test_a_raced_curve_has_an_interval_and_knows_no_smaller_search(tmp_path: Path) -> None:
    for batch_size in (4, 16, 64, 256):
        study(tmp_path, batch_size, 0, [16 * (400 // batch_size + 4), None, None])
    found = gather([tmp_path])
    assert found.theory["interval"].tolist() == ["profile"]
    assert found.studies.filter(like="best_of_").isna().all(axis=None)


def test_running_and_missing_studies_are_named_and_left_out_of_the_fit(sweep: Path) -> None:
    running, gone, begun = (sweep / f"batch_size={n},sparsity=0" for n in (256, 4, 64))
    (running / "trials=0-3.ckpt").touch()
    (gone / "trials.csv").unlink()
    configure(begun, [])
    (begun / "trials.csv").unlink()
    (begun / "trials=0-3.ckpt").touch()
    found = gather([sweep])
    assert found.studies.set_index("folder").loc[str(running), "state"] == "unfinished"
    assert found.theory["batch_sizes"].tolist() == [1, 4]
    sentences = "\n".join(found.missing)
    assert f"{running} is still running or was stopped, with 4 of its 4 trials recorded" in sentences
    assert f"{begun} is still running or was stopped, with 0 of its 4 trials" in sentences
    assert "w with goal.error=0.02 has no study at batch_size=4 sparsity=0." in sentences
    assert "batch_size=64 sparsity=" not in sentences and "sparsity=0.9" not in sentences


def test_a_study_of_another_criterion_that_was_begun_hides_none_that_is_absent(sweep: Path, tmp_path: Path) -> None:
    study(tmp_path / "random", 4, 0.9, [432], pruning="random")
    configure(begun := study(tmp_path / "random", 64, 0.9, [432], pruning="random"), [])
    (begun / "trials.csv").unlink()
    (begun / "trials=0-0.ckpt").touch()
    (sweep / "batch_size=64,sparsity=0.9" / "trials.csv").unlink()
    sentences = [one for one in gather([sweep, tmp_path / "random"]).missing if "at batch_size=64" in one]
    assert sentences == ["w with goal.error=0.02 has no study at batch_size=64 sparsity=0.9 pruning=snip."]


def test_a_trial_of_a_huge_number_is_no_point_of_a_sweep(tmp_path: Path) -> None:
    path = study(tmp_path, 4, 0, [64, 128])
    frame = records.read(path)
    frame["trial"] = [0, 5_000_000_000]
    frame.to_csv(path / "trials.csv", index=False)
    configure(path, [], trial=[0, 5_000_000_000])
    assert study_folder.read(path).searched == [] and gather([path]).studies["trials"].tolist() == [2]


def test_a_study_with_trials_to_come_is_running(tmp_path: Path) -> None:
    path = study(tmp_path, 4, 0, [64, math.inf])
    configure(path, [], trial=[0, 1, 2, 3])
    assert the_study(gather([tmp_path]))["state"] == "unfinished"


def test_a_study_whose_next_job_is_still_to_come_is_running(tmp_path: Path) -> None:
    path = study(tmp_path, 4, 0, [64, math.inf])
    configure(path, [])
    assert the_study(gather([tmp_path]))["state"] == "finished"
    (path / ".hydra" / "sweep.yaml").write_text("trials: 4\n")
    found = gather([tmp_path])
    row = the_study(found)
    assert row["state"] == "unfinished" and "hydra.sweeper.trials=4" in row["command"]
    assert "2 of its 4 trials" in " ".join(found.missing)


def test_command_of_a_sweep_and_boundary(tmp_path: Path) -> None:
    path = study(tmp_path / "it's", 64, 0.9, [math.inf, 96, 160, None])
    typed = ["data.root=my data", "++sparsity=0.9", "batch_size=64", "+x='a: b'", *lists(path)]
    configure(path, typed)
    row = the_study(gather([tmp_path]))
    command = shlex.split(row["command"])
    assert command[:6] == ["dps", "-m", "workload=w", "batch_size=64", "++sparsity=0.9", "hydra.sweeper.trials=4"]
    assert command[6:] == ["data.root=my data", "+x='a: b'"]
    assert row["boundary"] == "" and row["space"].startswith("optimizer.lr=tag(log, interval(1e-4, 1)); ")


def test_the_edge_of_the_search_is_on_its_scale(tmp_path: Path) -> None:
    """The best is the first trial in the lowest 5% of log lr with a momentum well inside."""
    from scipy.stats.qmc import Sobol

    u = Sobol(2, scramble=False).random(128)[1:]
    edge = int(np.flatnonzero((u[:, 0] < 0.05) & (u[:, 1] > 0.06) & (u[:, 1] < 0.94))[0])
    path = tmp_path / "study"
    path.mkdir()
    made = rows([math.inf] * edge + [64], batch_size=4, sparsity=0)
    for trial, row in enumerate(made):
        row |= {"lr": 10 ** (-4 + 4 * u[trial, 0]), "momentum": 1 - 10 ** (-4 + 3 * u[trial, 1])}
    records.merge(path, made)
    configure(path, [])
    assert the_study(gather([path]))["boundary"] == "lr"


def test_typed_trials_are_listed(tmp_path: Path) -> None:
    path = study(tmp_path, 64, 0, [128, 96], lr=0.25, momentum=None)
    configure(path, ["workload=w", "trial=[0,1]", "optimizer.lr=[0.25,0.25]", "optimizer=sgd"])
    row = the_study(gather([path]))
    expected = "dps workload=w batch_size=64 sparsity=0 optimizer=sgd 'trial=[0,1]' 'optimizer.lr=[0.25,0.25]'"
    assert row["command"] == expected and row["boundary"] == row["space"] == ""


def test_intervals_that_were_typed_are_not_taken_for_the_recorded_space(tmp_path: Path) -> None:
    path = study(tmp_path, 64, 0, [128, 96, 80, 112], lr=0.25)
    configure(path, ["workload=w", *lists(path)])
    row = the_study(gather([path]))
    assert row["space"] == row["boundary"] == "" and "-m" not in shlex.split(row["command"])
    assert "optimizer.lr=[0.25,0.25,0.25,0.25]" in shlex.split(row["command"])


def test_an_interval_that_was_typed_beside_the_recorded_space_is_not_forgotten(tmp_path: Path) -> None:
    path = study(tmp_path, 64, 0, [128, 96], warmup_steps=250)
    schedule = {"_target_": "dps.stack.schedules.constant", "warmup_steps": [250, 250]}
    configure(path, ["workload=w", *lists(path), "lr_schedule.warmup_steps=[250,250]"], lr_schedule=schedule)
    command = shlex.split(the_study(gather([path]))["command"])
    assert "-m" not in command and "lr_schedule.warmup_steps=[250,250]" in command


def test_command_without_a_record_comes_from_the_columns(tmp_path: Path) -> None:
    path = study(tmp_path, 64, 0.9, [96])
    command = the_study(gather([path]))["command"]
    assert command == (
        "dps workload=w batch_size=64 sparsity=0.9 data=digits model=cnn optimizer=momentum lr_schedule=constant "
        f"pruning=snip goal.error=0.02 goal.interval_steps=16 max_steps=8000 trial=0 optimizer.lr=0.01 "
        f"optimizer.momentum={MOMENTUM[0]!r}"
    )


def measure(path: Path, factor: float) -> None:
    """Two trials: Delta is 2 factor, L 4 factor, beta 5 factor, the noise scale 95 / 14; over all weights L and beta
    are 10 and 15 factor squared."""
    for trial, more in ((0, 0.5), (1, 1.5)):
        scale, values = factor * more, [(0, 2.0, 5.0, 1.0), (100, 4.0, 90.0, 13.0)]
        smoothness = [
            {"trial": trial, "step": step, "smoothness": scale * L, "smoothness_all_weights": 2 * scale**2 * L}
            for step, L, _, _ in values
        ]
        noise = [
            {
                "trial": trial,
                "step": step,
                "gradient_variance": factor * more * v,
                "gradient_squared_norm": g * more * factor,
                "gradient_variance_all_weights": 3 * more * factor**2 * v,
            }
            for step, _, v, g in values
        ]
        losses = [(0, 1.0), (16, 1 - more * factor), (32, 1.0)]
        curves = [{"trial": trial, "step": step, "train_loss": loss} for step, loss in losses]
        rest = dict.fromkeys(("train_error", "validation_loss", "validation_error"), math.nan)
        measurements.merge(path, measurements.SMOOTHNESS, smoothness)
        measurements.merge(path, measurements.NOISE, [row | {"noise_scale": math.nan} for row in noise])
        measurements.merge(path, measurements.CURVES, [row | rest for row in curves])


def test_measured_constants_give_the_predicted_ratio(sweep: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    for sparsity, factor in ((0, 1.0), (0.9, 1.5)):
        measure(study(apart, 64, sparsity, [math.inf]), factor)
    measure(sweep / "batch_size=16,sparsity=0.9", 100)  # no dense partner: counts in the means, not in the ratio
    found = gather([sweep], [apart])
    dense, sparse = (row for _, row in found.theory.iterrows())
    names = ["delta", "smoothness", "beta"]
    assert dense[names].tolist() == pytest.approx([2, 4, 5])
    assert dense["noise_scale"] == pytest.approx(95 / 14)
    assert sparse[names].tolist() == pytest.approx([value * (1.5 + 100) / 2 for value in (2, 4, 5)])
    assert sparse["c1_ratio_predicted"] == pytest.approx(1.5**3)
    assert dense[["smoothness_all_weights", "beta_all_weights"]].tolist() == pytest.approx([10, 15])
    assert sparse["c1_ratio_predicted_all_weights"] == pytest.approx(1.5**5)
    assert len(found.studies) == 8 and len(found.trials) == 32
    assert list(found.smoothness.columns[-5:]) == ["replicate", "trial", "step", "smoothness", "smoothness_all_weights"]
    measured = {name: len(frame) for name, frame in found.measurements.items()}
    assert measured == {"smoothness": 12, "noise": 12, "curves": 18}


def test_only_the_steps_that_both_networks_have_count_in_the_ratio(tmp_path: Path) -> None:
    for sparsity, factor in ((0, 1.0), (0.9, 1.5)):
        measure(study(tmp_path, 64, sparsity, [math.inf]), factor)
    later = [{"trial": trial, "step": 200, **dict.fromkeys(measurements.SMOOTHNESS.values, 1e6)} for trial in (0, 1)]
    measurements.merge(tmp_path / "batch_size=64,sparsity=0.9", measurements.SMOOTHNESS, later)
    assert gather([tmp_path]).theory["c1_ratio_predicted"].tolist() == pytest.approx([math.nan, 1.5**3], nan_ok=True)


def test_the_same_measured_twice_is_refused(sweep: Path, tmp_path: Path) -> None:
    measure(sweep / "batch_size=16,sparsity=0.9", 1)
    measure(study(tmp_path / "apart", 16, 0.9, [math.inf]), 1)
    with pytest.raises(ValueError, match=r"both measure trial 0 of w at batch_size=16 sparsity=0.9"):
        gather([sweep], [tmp_path / "apart"])
    assert len(gather([sweep], [sweep]).smoothness) == 4


def test_a_damaged_measurement_is_named(sweep: Path) -> None:
    path = sweep / "batch_size=16,sparsity=0" / "smoothness.csv"
    path.write_text("trial,step,smoothness,smoothness_all_weights\n0,0,1.5,2\n0,sixteen,1.5,2\n")
    with pytest.raises(ValueError, match=r"smoothness\.csv is damaged: line 3"):
        gather([sweep])


def test_two_criteria_and_two_goals_are_curves_of_their_own(sweep: Path, tmp_path: Path) -> None:
    for batch_size in (4, 16, 64):
        study(tmp_path / "random", batch_size, 0.9, [32 * (400 // batch_size + 4)], pruning="random")
        study(tmp_path / "goal", batch_size, 0, [16], goal_error=0.03)
    found = gather([sweep, tmp_path / "random", tmp_path / "goal"])
    curves = found.theory[["goal_error", "pruning", "sparsity"]].to_numpy().tolist()
    assert curves == [[0.02, "random", 0.9], [0.02, "snip", 0.0], [0.02, "snip", 0.9], [0.03, "snip", 0.0]]
    assert found.theory["c1_ratio_measured"].notna().tolist() == [True, False, True, False]  # one dense curve for both
    assert found.missing[0] == "w with goal.error=0.02 has no study at batch_size=256 sparsity=0.9 pruning=random."
    assert found.missing[2:] == [
        "The claims judge one pruning criterion of a workload, snip if it is among them; of w they leave out random."
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {},
            r"are both w with goal\.error=0\.02 at batch_size=4 sparsity=0 pruning=snip replicate=0; give only one of",
        ),
        ({"interval_steps": 32}, r"interval_steps is 16 in the one and 32 in the other; report on them apart"),
        ({"max_steps": 80}, r"max_steps is 8000 in the one and 80 in the other"),
        ({"optimizer": "sgd"}, r"optimizer is momentum in the one and sgd in the other"),
    ],
)
def test_mixtures_are_refused(sweep: Path, tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    other = study(tmp_path / "other", 8 if changed else 4, 0, [64], **changed)
    with pytest.raises(ValueError, match=message) as error:
        gather([sweep, other])
    assert str(other) in str(error.value) and str(sweep) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed_data": 1}, "seed_data is 0 in the one and 1 in the other"),
        ({"trainer": {"precision": "64-true"}}, r"trainer\.precision is 32-true in the one and 64-true"),
        ({"space": dict(list(SPACE.items())[:1])}, r"space is optimizer\.lr=.*; optimizer\.momentum=.* in the one"),
        ({"race": False, "data": {"root": "elsewhere"}, "stack": {"trials_per_slice": 3}}, None),
        ({"lr_schedule": {"_target_": "dps.optim.constant"}}, None),  # as records of before have it
        (
            {"lr_schedule": {"_target_": "dps.stack.schedules.linear"}},
            r"lr_schedule\._target_ is dps\.stack\..*constant",
        ),
    ],
)
def test_configurations_are_compared(tmp_path: Path, changed: dict[str, Any], message: str | None) -> None:
    for batch_size, other in ((4, {}), (8, changed)):
        path = study(tmp_path, batch_size, 0, [64, 80])
        configure(path, lists(path), **other)
    if message is None:
        assert len(gather([tmp_path]).studies) == 2
        return
    with pytest.raises(ValueError, match=message):
        gather([tmp_path])


def test_what_cannot_be_read_is_said_in_a_sentence(sweep: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given, message in (
        ([tmp_path / "none"], "none is not a folder"),
        ([sweep, tmp_path / "empty"], r"empty holds no trials\.csv or trials=\*\.ckpt"),
    ):
        with pytest.raises(ValueError, match=message):
            gather(given)
    with pytest.raises(ValueError, match=r"empty holds no smoothness\.csv or noise\.csv or curves\.csv"):
        gather([sweep], [tmp_path / "empty"])
    records.merge(tmp_path / "empty", [])
    with pytest.raises(ValueError, match="no study has recorded a trial yet"):
        gather([tmp_path / "empty"])
    damaged = sweep / "batch_size=4,sparsity=0" / "trials.csv"
    damaged.write_text(damaged.read_text().replace("complete", "done", 1))
    with pytest.raises(ValueError, match=r"trials\.csv is damaged: line 2, column status"):
        gather([sweep])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("config.yaml", text) for text in ("a: [", "- a", "42", "space: {optimizer.lr: often}", "space: 3")),
        *(("config.yaml", f"metaparameters: {text}") for text in ("3", "{wd: 3}", "{wd: {type: int}}", "[1]")),
        *(("overrides.yaml", text) for text in ("- 3", "a: 1", "- [a]", "&a [*a]")),
        *(("sweep.yaml", text) for text in ("trials: many", "- 3")),
    ],
)
def test_a_damaged_file_of_the_study_is_named(sweep: Path, name: str, text: str) -> None:
    path = sweep / "batch_size=4,sparsity=0" / ".hydra" / name
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        gather([sweep])
    assert str(error.value).startswith(f"{path} is damaged: ") and "; restore the file" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_number_of_trials_beyond_all_memory_is_only_a_number(sweep: Path) -> None:
    hydra = sweep / "batch_size=4,sparsity=0" / ".hydra"
    hydra.mkdir()
    (hydra / "sweep.yaml").write_text("trials: 1000000000000000\n")
    assert "with 4 of its 1000000000000000 trials recorded" in " ".join(gather([sweep]).missing)


def test_a_wrong_declaration_is_named_with_its_file(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(configured: Any) -> None:
        raise ValueError(f"metaparameters={configured} is wrong")

    monkeypatch.setattr(study_folder, "declared", refused)
    with pytest.raises(ValueError, match=r"config\.yaml is damaged: metaparameters=.* is wrong; restore the file"):
        gather([sweep])

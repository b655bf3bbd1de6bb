"""What the loggers see of a study."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command import dps, rows, study
from configuration import Composed
from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter

from dps.engine import tracking
from dps.engine.module import StudyTask
from dps.engine.study import Study

TYPED = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=32"]


def curves(folder: Path, trials: str = "trials=*") -> pd.DataFrame:
    (path,) = folder.glob(f"csv/{trials}/version_*/metrics.csv")
    return pd.read_csv(path)


def test_csv_holds_the_curves_and_the_result(tmp_path: Path) -> None:
    typed = ["trial=[0,1]", "optimizer.lr=[0.02,1e-6]", "race=false"]
    assert dps(tmp_path, *TYPED, *typed).code == 0
    found, metrics = rows(study(tmp_path, 8)), curves(study(tmp_path, 8))
    best = found.loc[0, "steps_to_result"]
    assert metrics["steps_to_result"].dropna().tolist() == [best]
    assert metrics["train_loss/trial=0"].dropna().index.size == best / 4
    steps = metrics.set_index("step")["train_loss/trial=1"].dropna()
    assert list(steps.index) == list(range(4, 33, 4)) and steps.between(2, 3).all()
    reached = metrics.set_index("step")["validation_error/trial=0"].dropna()
    assert reached[best] == pytest.approx(found.loc[0, "validation_error"], abs=1e-12)
    bounds = metrics["validation_error_lower_bound/trial=1"].dropna()
    assert (bounds > 0.3).all() and (bounds <= found.loc[1, "validation_error"] + 0.2).all() and len(bounds) >= 1
    assert dps(tmp_path, *TYPED, "trial=2", "optimizer.lr=1e-6", "max_steps=32", "race=false").code == 0
    other_job = curves(study(tmp_path, 8), "trials=2-2")
    assert other_job["train_loss/trial=2"].notna().any() and other_job["steps_to_result"].isna().all()


def test_a_check_that_read_everything_is_no_lower_bound(tmp_path: Path) -> None:
    assert dps(tmp_path, *TYPED, "optimizer.lr=1e-6", "goal.early_reject=false").code == 0
    metrics = curves(study(tmp_path, 8))
    assert not [name for name in metrics if "lower_bound" in name]
    assert metrics["validation_error/trial=0"].dropna().size == 8
    last = metrics["validation_error/trial=0"].dropna().iloc[-1]
    assert last == pytest.approx(rows(study(tmp_path, 8)).loc[0, "validation_error"], abs=1e-12)


class Own(Logger):
    """A logger of somebody's own, that fails where it is told to."""

    def __init__(self, fails_at: str = "") -> None:
        self.fails_at = fails_at
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails_at:
            raise OSError(28, "No space left on device")

    @property
    def name(self) -> str:
        return "own"

    @property
    def version(self) -> int:
        return 0

    @property
    def experiment(self) -> "Own":
        self._called("experiment")
        return self

    def log_metrics(self, metrics: object, step: int | None = None) -> None:
        self._called("log_metrics")

    def log_hyperparams(self, params: object) -> None: ...

    def log_picture(self) -> None:
        self._called("log_picture")

    def finalize(self, status: str) -> None:
        self._called(f"finalize {status}")


def test_the_run_of_a_study_that_failed_is_closed_too() -> None:
    def study_that_fails(own: Own) -> None:
        with tracking.closing([tracking.Tracker(own)]):
            raise OSError

    ended, failed = Own(), Own()
    with tracking.closing([tracking.Tracker(ended)]):
        pass
    with pytest.raises(OSError):
        study_that_fails(failed)
    assert (ended.calls, failed.calls) == (["finalize success"], ["finalize failed"])


@pytest.mark.parametrize("fails_at", ["experiment", "log_metrics", "log_picture", "finalize success"])
@pytest.mark.fault("a tracker that fails")
def test_a_logger_that_fails_is_dropped_with_one_warning(monkeypatch: pytest.MonkeyPatch, fails_at: str) -> None:
    said: list[str] = []
    monkeypatch.setattr(tracking.log, "warning", lambda text, *values: said.append(text % values))
    own = Own(fails_at)
    tracker: Any = tracking.Tracker(own)
    assert issubclass(tracking.Tracker, Logger) and not hasattr(tracker, "log_film")
    with tracking.closing([tracker]):
        assert hasattr(tracker, "experiment")
        for _ in range(2):
            tracker.log_metrics({"loss": 1.0}, step=3)
            tracker.log_picture()
    assert own.calls.count(fails_at) == 1 and own.calls[-1] == "finalize failed"
    (warning,) = said
    assert warning.startswith(
        "Own is dropped, and the study goes on: [Errno 28] No space left on device (test_tracking.py"
    )


@pytest.mark.fault("a tracker that fails")
def test_a_logger_that_cannot_be_made_stops_no_study(tmp_path: Path) -> None:
    (tmp_path / "lab" / "logger").mkdir(parents=True)
    (tmp_path / "lab" / "logger" / "own.yaml").write_text("own:\n  _target_: lab_loggers.Own\n")
    code = "class Own:\n    def __init__(self):\n        raise ConnectionError('no answer from the server')\n"
    (tmp_path / "lab" / "lab_loggers.py").write_text(code)
    done = dps(tmp_path, "--config-dir=lab", "logger=own", *TYPED[:-1], "optimizer.lr=1e-6", "max_steps=4")
    assert (done.code, done.stderr) == (0, "") and len(rows(study(tmp_path, 8))) == 1
    assert "Own is dropped, and the study goes on: " in (study(tmp_path, 8) / "dps.log").read_text()


@pytest.mark.fault("a tracker that fails")
def test_a_full_disk_under_the_curves_stops_no_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(self: ExperimentWriter) -> None:
        raise OSError(28, "No space left on device", "metrics.csv")

    monkeypatch.setattr(ExperimentWriter, "save", save)
    done = dps(tmp_path, *TYPED, "trial=[0,1]", "optimizer.lr=[0.02,1e-6]", "race=false")
    assert (done.code, done.stderr) == (0, "")
    assert rows(study(tmp_path, 8))["status"].tolist() == ["complete", "incomplete"]
    assert (study(tmp_path, 8) / "dps.log").read_text().count("CSVLogger is dropped") == 1


def test_jobs_and_starts_have_curves_of_their_own(composed: Composed, tmp_path: Path) -> None:
    def logged(trial: int | list[int]) -> Path:
        logger: Any = tracking.trackers(Study.parse(composed(f"trial={trial}")))[0]
        logger.log_metrics({"loss": 1.0}, step=0)
        logger.save()
        return Path(logger.log_dir).relative_to(tmp_path)

    found = [logged([0, 1]), logged([2, 3]), logged([1, 0]), logged(2)]
    assert list(map(str, found)) == [
        *("csv/trials=0-1/version_0", "csv/trials=2-3/version_0"),
        *("csv/trials=0-1/version_1", "csv/trials=2-2/version_0"),
    ]


def test_the_least_error_is_known_after_a_stop_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [*TYPED[:1], *TYPED[2:], "goal.error=0", "race=false", "goal.early_reject=false", "optimizer.lr=0.1"]
    training_step = StudyTask.training_step

    def stopped(task: StudyTask, *given: Any) -> Any:
        if task.trainer.global_step == 22:
            raise OSError("stopped")
        return training_step(task, *given)

    with monkeypatch.context() as patch:
        patch.setattr(StudyTask, "training_step", stopped)
        assert dps(tmp_path, *typed, "bookkeeping.checkpoint.every_seconds=0").code != 0
    assert dps(tmp_path, *typed).code == 0
    first, last = (pd.read_csv(path) for path in sorted(study(tmp_path, 8).glob("csv/*/version_*/metrics.csv")))
    least = first["validation_error/trial=0"].min()
    assert last["step"].iloc[0] > 20 and last["validation_error/trial=0"].min() > least
    assert set(last["best_validation_error/trial=0"].dropna()) == {least}

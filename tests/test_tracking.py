"""What the loggers see of a study."""

from pathlib import Path

import pandas as pd
import pytest
from command import Done, dps, process, rows, study
from pytorch_lightning.loggers import Logger

from dps.engine import tracking

TYPED = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=32"]


def curves(folder: Path) -> pd.DataFrame:
    (path,) = folder.rglob("metrics.csv")
    return pd.read_csv(path)


def test_csv_holds_the_curves_and_the_result(tmp_path: Path) -> None:
    typed = ["trial=[0,1]", "optimizer.lr=[0.02,1e-6]", "race=false"]
    assert dps(tmp_path, *TYPED, *typed).code == 0
    found, metrics = rows(study(tmp_path, 8)), curves(tmp_path)
    best = found.loc[0, "steps_to_result"]
    assert metrics["steps_to_result"].dropna().tolist() == [best]
    assert metrics["train_loss/trial=0"].dropna().index.size == best / 4
    steps = metrics.set_index("step")["train_loss/trial=1"].dropna()
    assert list(steps.index) == list(range(4, 33, 4)) and steps.between(2, 3).all()
    reached = metrics.set_index("step")["validation_error/trial=0"].dropna()
    assert reached[best] == pytest.approx(found.loc[0, "validation_error"], abs=1e-12)
    bounds = metrics["validation_error_lower_bound/trial=1"].dropna()
    assert (bounds > 0.3).all() and (bounds <= found.loc[1, "validation_error"] + 0.2).all() and len(bounds) >= 1


def test_a_check_that_read_everything_is_no_lower_bound(tmp_path: Path) -> None:
    assert dps(tmp_path, *TYPED, "optimizer.lr=1e-6", "goal.early_reject=false").code == 0
    metrics = curves(tmp_path)
    assert not [name for name in metrics if "lower_bound" in name]
    assert metrics["validation_error/trial=0"].dropna().size == 8
    last = metrics["validation_error/trial=0"].dropna().iloc[-1]
    assert last == pytest.approx(rows(study(tmp_path, 8)).loc[0, "validation_error"], abs=1e-12)


def test_the_run_of_a_study_that_failed_is_closed_too() -> None:
    class Tracker(Logger):
        statuses: list[str] = []  # noqa: RUF012

        @property
        def name(self) -> str:
            return "tracker"

        @property
        def version(self) -> int:
            return 0

        def log_metrics(self, metrics: object, step: int | None = None) -> None: ...

        def log_hyperparams(self, params: object) -> None: ...

        def finalize(self, status: str) -> None:
            self.statuses.append(status)

    def study_that_fails() -> None:
        with tracking.closing([Tracker()]):
            raise OSError

    with tracking.closing([Tracker()]):
        pass
    with pytest.raises(OSError):
        study_that_fails()
    assert Tracker.statuses == ["success", "failed"]


def offline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Done:
    """A sweep of two studies by someone whom Weights & Biases does not know, without a terminal or a network."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    env = {"HOME": str(folder), "WANDB_BASE_URL": "http://127.0.0.1:9"}
    typed = ["-m", *TYPED, "batch_size=8,16", "hydra.sweeper.trials=2", "max_steps=8", "logger=wandb"]
    return process(folder, *typed, env=env)


@pytest.mark.slow
def test_wandb_without_a_key_is_offline_and_every_study_has_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = offline(tmp_path, monkeypatch)
    assert done.code == 0, done.stderr
    assert len(rows(study(tmp_path, 8))) == len(rows(study(tmp_path, 16))) == 2
    for size in (8, 16):
        runs = list((study(tmp_path, size) / "wandb").glob("offline-run-*/*.wandb"))
        assert len(runs) == 1, f"batch_size={size}"
        content = runs[0].read_bytes()
        assert b"train_loss/trial=0" in content and b"steps_to_result" in content
        assert b"batch_size=%d, sparsity" % size in content and b"batch_size=%d, sparsity" % (24 - size) not in content
    assert "choose" not in done.stdout + done.stderr and "api key" not in (done.stdout + done.stderr).lower()

"""Weights & Biases: a run for each trial, one for the sweep, and nothing that a study waits for."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command import Done, process, rows, study
from configuration import Composed
from omegaconf import OmegaConf
from wandb_reader import OfflineRun, offline_runs

from dps.engine import wandb_run
from dps.engine.study import Study
from dps.engine.wandb_trials import WandbTrials
from dps.storage import ownership, records, run_ids

KEY = "0123456789" * 4
TYPED = ["goal.error=0.3", "goal.interval_steps=4", "max_steps=32", "logger=wandb"]
SWEEP = ["-m", *TYPED, "hydra.sweeper.trials=6"]


class Run:
    """What is kept of a run, in place of one."""

    def __init__(self, arguments: Mapping[str, Any]):
        self.arguments, self.id, self.offline, self.url = arguments, arguments["id"], False, "http://run"
        self.starting_step, self.project_url = 0, "http://project"
        self.logged: list[tuple[int | None, dict[str, float]]] = []
        self.summary: dict[str, Any] = {}
        self.exit_code: int | None = None

    def log(self, values: dict[str, float], step: int | None) -> None:
        self.logged.append((step, values))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Those that are opened, in order."""
    found: list[Run] = []

    def opened(settings: Mapping[str, Any], wanted: Sequence[Mapping[str, Any]]) -> list[Run]:
        new = [Run(arguments) for arguments in wanted]
        found.extend(new)
        return new

    def ended(over: Sequence[Run], exit_code: int) -> None:
        for run in over:
            assert run.exit_code is None
            run.exit_code = exit_code

    monkeypatch.setattr(wandb_run, "opened", opened)
    monkeypatch.setattr(wandb_run, "ended", ended)
    monkeypatch.delenv(wandb_run.MODE, raising=False)
    return found


def claimed(composed: Composed, *typed: str) -> Study:
    found = Study.parse(composed("trial=[0,1,2]", "optimizer.lr=[0.1,0.2,0.3]", *typed))
    ownership.claim(found.folder, found.cfg, [], [one.option for one in found.metaparameters])
    return found


def logger_of(of: Study) -> WandbTrials:
    return WandbTrials(of, "p", str(of.folder), {})


def test_a_trial_has_its_own_metrics_until_it_ends(composed: Composed, runs: list[Run]) -> None:
    of = claimed(composed, "sparsity=0.9", "batch_size=64")
    logger = logger_of(of)
    assert list(logger.experiment) == [0, 1, 2]
    names = [run.arguments["name"] for run in runs]
    assert names[2] == "digits_simple_cnn_momentum B=64 90% trial 2"
    assert len({run.id for run in runs}) == 3 and len({run.arguments["group"] for run in runs}) == 1
    first = {"train_loss/trial=0": 1.0, "train_loss/trial=1": 2.0, "train_loss/trial=2": 3.0, "steps_to_result": 4.0}
    logger.log_metrics({**first, "validation_error/trial=1": 0.4}, step=16)
    of.record([{"trial": 0, "status": "infeasible", "steps_run": 16}])
    logger.log_metrics({"train_loss/trial=1": 0.5, "train_loss/trial=2": 0.6, "validation_error/trial=1": 0.5}, step=32)
    assert runs[0].logged == [(16, {"step": 16, "train_loss": 1.0})]
    assert (runs[0].exit_code, runs[0].summary) == (0, {"status": "infeasible", "steps_run": 16})
    assert runs[1].logged[1] == (32, {"step": 32, "train_loss": 0.5, "validation_error": 0.5})
    assert not runs[1].summary
    of.record([{"trial": 1, "status": "censored", "steps_run": 32, "validation_error": 0.5, "train_seconds": 2.0}])
    logger.finalize("failed")
    logger.finalize("failed")
    assert runs[1].summary == {"status": "censored", "steps_run": 32, "validation_error": 0.5, "train_seconds": 2.0}
    assert (runs[1].exit_code, runs[2].exit_code, runs[2].summary) == (0, 1, {"status": "stopped"})


def test_a_resumed_study_goes_on_in_the_same_runs(composed: Composed, runs: list[Run]) -> None:
    of = claimed(composed)
    list(logger_of(of).experiment)
    of.record([{"trial": 1, "status": "infeasible", "steps_run": 16}])
    resumed = logger_of(claimed(composed))
    assert list(resumed.experiment) == [0, 2]
    before, after = [run.id for run in runs[:3]], [run.id for run in runs[3:]]
    assert after == [before[0], before[2]]
    assert run_ids.read(of.folder) == {str(trial): (id_, "http://run") for trial, id_ in enumerate(before)}
    runs[3].starting_step = 33  # which the server says: the step 32 was logged before
    for step in (16, 32, 48):
        resumed.log_metrics({"train_loss/trial=0": 1.0, "train_loss/trial=2": 1.0}, step=step)
    assert [step for step, _ in runs[3].logged] == [48]


def test_a_study_that_is_run_again_in_a_new_folder_has_new_runs(composed: Composed, runs: list[Run]) -> None:
    of = claimed(composed)
    list(logger_of(of).experiment)
    for path in (of.folder / run_ids.FILE, of.folder / ".hydra" / "config.yaml"):
        path.unlink()
    list(logger_of(claimed(composed)).experiment)
    assert len({run.id for run in runs}) == 6


def test_a_run_knows_every_value_of_its_trial_and_no_secret(composed: Composed, runs: list[Run]) -> None:
    of = claimed(composed, "logger=wandb", f"+logger.wandb.settings.api_key={KEY}", "replicate=1")
    list(logger_of(of).experiment)
    config = runs[1].arguments["config"]
    assert (config["optimizer.lr"], config["lr"], config["trial"], config["seed"]) == (0.2, 0.2, 1, 1_000_001)
    assert config["goal.error"] == of.cfg.goal.error and config["callbacks.goal._target_"] == "callbacks.Goal"
    assert KEY not in repr(runs[1].arguments)
    resolved: Any = OmegaConf.to_container(of.cfg, resolve=True)
    shared = dict(ownership.flat({key: value for key, value in resolved.items() if key != "logger"}))
    assert set(shared) <= set(config)
    assert not [value for value in config.values() if isinstance(value, dict) and value]


def test_disabled_opens_nothing(composed: Composed, runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(wandb_run.MODE, "disabled")
    logger = logger_of(claimed(composed))
    logger.log_metrics({"train_loss/trial=0": 1.0}, step=16)
    logger.finalize("success")
    assert not runs and not (Path(logger.save_dir) / run_ids.FILE).exists()


@pytest.fixture
def silent_server() -> Iterator[str]:
    """One that takes connections and says nothing, as behind many a firewall."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_whether_a_server_answers(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_run, "SECONDS_TO_ANSWER", 0.2)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert wandb_run._answers(f"http://127.0.0.1:{server.server_port}")  # that it does not know what was asked
        server.shutdown()
    assert not wandb_run._answers(f"http://127.0.0.1:{server.server_port}")
    begun = time.monotonic()
    assert not wandb_run._answers(silent_server)
    assert time.monotonic() - begun < 2


# ---- with wandb itself


def offline(folder: Path, monkeypatch: pytest.MonkeyPatch, *typed: str, **env: str) -> Done:
    """The command, without a terminal or a network."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SILENT", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    return process(folder, *typed, env={"HOME": str(folder), "WANDB_BASE_URL": "http://127.0.0.1:9", **env})


def check_trial(run: OfflineRun, row: "pd.Series[Any]") -> None:
    """The run's config, summary and curve are those of the trial."""
    assert run.started["display_name"].endswith(f"trial {row.name}") and run.exit_code == 0
    for name in ("lr", "momentum", "seed", "batch_size", "sparsity", "workload"):
        assert run.config[name] == row[name], name
    assert run.config["environment.torch"] and run.config["optimizer.lr"] == row["lr"]
    for name in ("status", "steps_to_result", "steps_run", "validation_error"):
        assert run.summary.get(name) == (None if pd.isna(row[name]) else row[name]), name
    assert run.summary["train_seconds"] > 0
    assert run.step_metrics == {"*": "step"}
    assert [point["step"] for point in run.history] == list(range(4, row["steps_run"] + 1, 4))
    assert all(set(point) >= {"step", "train_loss"} and not any("=" in key for key in point) for point in run.history)


def logged_table(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of a table that the one run in a folder has logged."""
    (path,) = (folder / "wandb").glob(f"offline-run-*/files/media/table/{name}_*.table.json")
    table = json.loads(path.read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


@pytest.mark.slow
def test_offline_runs_of_a_sweep_hold_what_its_record_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = offline(tmp_path, monkeypatch, *SWEEP, "batch_size=8,16", WANDB_API_KEY=KEY)
    assert done.code == 0, done.stderr
    said = done.stdout + done.stderr
    assert said.count("Weights & Biases logs offline") == 1 and "wandb:" not in said and "anonymous" not in said
    for size in (8, 16):
        found, recorded = offline_runs(study(tmp_path, size)), rows(study(tmp_path, size))
        with_seconds = records.read(study(tmp_path, size)).set_index("trial")
        ids = run_ids.read(study(tmp_path, size))
        assert sorted(found) == sorted(run.run_id for run in ids.values()) and len(recorded) == len(found) == 6
        assert "censored" in set(recorded["status"])
        for trial, row in with_seconds.iterrows():
            (run,) = found[ids[str(trial)].run_id]
            check_trial(run, row)
            assert run.started["job_type"] == "digits_simple_cnn_momentum" and f"B={size}" in run.started["tags"]
            assert f"B={size} dense" in run.started["run_group"]
    sweep = study(tmp_path, 8).parent
    ((summary,),) = offline_runs(sweep).values()
    assert summary.started["run_id"] == run_ids.read(sweep)[""].run_id and summary.started["job_type"] == "sweep"
    assert (summary.summary["studies_recorded"], summary.summary["trials"], summary.exit_code) == (2, 12, 0)
    assert summary.summary["figure_1.count"] == 1 and {"index.html", "study.csv"} <= set(summary.artifacts["report"])
    shown = {row["batch_size"]: row["steps_to_result"] for row in logged_table(sweep, "studies")}
    assert shown == {size: rows(study(tmp_path, size))["steps_to_result"].min() for size in (8, 16)}
    assert {row["verdict"] for row in logged_table(sweep, "claims")} == {"not enough data"}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


@pytest.mark.slow
def test_wandb_that_is_disabled_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = offline(tmp_path, monkeypatch, *SWEEP, "batch_size=8", "max_steps=8", WANDB_MODE="disabled")
    assert done.code == 0, done.stderr
    assert len(rows(study(tmp_path, 8))) == 6 and not list(tmp_path.rglob("*wandb*"))

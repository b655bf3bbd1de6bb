"""Offline runs of Weights & Biases, read back by the command that comes with it."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class OfflineRun:
    """What a run's record holds: config and summary by key, the rows of its history, and the rest of its first record.

    `artifacts` has the files of each by its type. The exit code is None where the run has not ended.
    """

    started: dict[str, Any]
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    step_metrics: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    exit_code: int | None = None


def offline_runs(folder: Path) -> dict[str, list[OfflineRun]]:
    """The runs kept in a folder, by their id: a run that was resumed has several parts, in order."""
    found: dict[str, list[OfflineRun]] = {}
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        run = read(path)
        found.setdefault(run.started["run_id"], []).append(run)
    return found


def read(path: Path) -> OfflineRun:
    """One part of a run."""
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(path)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    (started,) = (record["run"] for record in records if record["type"] == "run")
    run = OfflineRun(started, started["config"]["update"])
    for record in records:
        if record["type"] == "summary":
            run.summary |= record["summary"]["update"]
        elif record["type"] == "history":
            run.history.append(record["history"]["item"])
        elif record["type"] == "metric" and "step_metric" in record["metric"]:
            run.step_metrics[record["metric"]["glob_name"]] = record["metric"]["step_metric"]
        elif record["type"] == "artifact":
            artifact = record["artifact"]
            run.artifacts[artifact["type"]] = [content["path"] for content in artifact["manifest"]["contents"]]
        elif record["type"] == "exit":
            run.exit_code = record["exit"].get("exit_code", 0)
    return run

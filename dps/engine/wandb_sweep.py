"""Weights & Biases of a sweep: one run with the table of its studies, Figure 1, the claims and the report's page."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from dps.engine import wandb_run
from dps.errors import one_line
from dps.storage import run_ids
from dps.storage.run_ids import LoggedRun

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
TRIALS = "dps.engine.wandb_trials.WandbTrials"
SECONDS_FOR_REPORT = 600
REPORT = "from dps import signals; signals.end_with_command(); from dps.report.main import main; main()"


def summarise(jobs: Sequence[JobReturn]) -> None:
    """Log the report on a sweep's folders where its trials are logged; a failure is one warning."""
    logger = next((part for job in jobs for part in _loggers(job.cfg) if part.get("_target_") == TRIALS), None)
    if logger is None or wandb_run.is_disabled():
        return
    folders = list(dict.fromkeys(Path(job.hydra_cfg.hydra.sweep.dir).absolute() for job in jobs if job.hydra_cfg))
    try:
        with tempfile.TemporaryDirectory() as report:
            _report(folders, Path(report))
            _log(folders, Path(report), logger)
    except Exception as error:
        log.warning("Weights & Biases has no run of the sweep: %s", one_line(error))


def _loggers(cfg: DictConfig | None) -> list[Any]:
    configured: Any = (cfg.get("logger") if cfg else None) or {}
    return [configured] if "_target_" in configured else list(configured.values())


def _report(folders: Sequence[Path], report: Path) -> None:
    """The report, as the command dps-report makes it; RuntimeError with its sentence where there is none."""
    command = [sys.executable, "-c", REPORT, *map(str, folders), "--output", str(report)]
    safe = {**os.environ, "PYTHONSAFEPATH": "1"}  # else a module of the user's, where they are, stands in for ours
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS_FOR_REPORT, env=safe)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])


def _log(folders: Sequence[Path], report: Path, logger: DictConfig) -> None:
    import pandas as pd
    import wandb

    shown = {"studies": _studies(report), "claims": pd.read_csv(report / "claims.csv")}
    studies = shown["studies"]
    workloads = list(dict.fromkeys(studies["workload"]))
    place = Path(os.path.commonpath(folders))
    new = LoggedRun(hashlib.sha256(f"{place} {time.time_ns()}".encode()).hexdigest()[:16], "")
    wanted = {
        "project": logger.project,
        "dir": str(place),
        "id": run_ids.read(place).get("", new).run_id,
        "name": f"{', '.join(workloads)} sweep",
        "job_type": "sweep",
        "tags": [workload[: wandb_run.LONGEST_TAG] for workload in workloads],
        "config": {"workloads": workloads, "folders": [str(folder) for folder in folders]},
    }
    (run,) = wandb_run.opened(logger.settings, [wanted])
    try:
        run_ids.note(place, {"": wandb_run.logged(run)})
        tables = {name: wandb.Table(columns=list(rows), data=_values(rows)) for name, rows in shown.items()}
        run.log({**tables, "figure_1": [wandb.Image(str(path)) for path in sorted(report.glob("figure_1_*.png"))]})
        page = wandb.Artifact(f"report-{run.id}", type="report")
        page.add_dir(str(report))
        run.log_artifact(page)
        run.summary.update({"studies_recorded": len(studies), "trials": int(studies["trials"].sum())})
    finally:
        wandb_run.ended([run], exit_code=0)


def _studies(report: Path) -> pd.DataFrame:
    """study.csv, without the columns that are empty, with the confirmed K* of k_star.csv."""
    import pandas as pd

    from dps.analysis.columns import STUDY

    studies, k_star = (pd.read_csv(report / name) for name in ("study.csv", "k_star.csv"))
    confirmed = k_star[[*STUDY, *(name for name in k_star if name.startswith("confirmed_"))]]
    return studies.merge(confirmed, how="left", on=list(STUDY)).dropna(axis="columns", how="all")


def _values(rows: pd.DataFrame) -> list[list[Any]]:
    return rows.astype(object).where(rows.notna(), None).to_numpy().tolist()

"""The configuration that the results in a study's folder belong to, as it was recorded: .hydra/config.yaml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dps.protocol.values import is_int
from dps.storage.files import damaged, read_yaml
from dps.storage.trial_rows import KNOWN

FILE = Path(".hydra", "config.yaml")
OVERRIDES = FILE.with_name("overrides.yaml")  # what was typed
REMEDY = "restore the file, or remove the folder to run its study again"
NAMES = ("dataset", "model", "optimizer", "lr_schedule", "pruning")
GROUPS = ("names", "goal", "data", "model", "optimizer", "lr_schedule", "space", "trainer", "callbacks")


def read(folder: Path, remedy: str = REMEDY) -> dict[str, Any] | None:
    """It, with nothing left to resolve; None where there is none. ValueError where the file is damaged."""
    found: dict[str, Any] | None = read_yaml(folder / FILE, dict, remedy)
    if found is not None and (wrong := _wrong(found)):
        raise damaged(folder / FILE, wrong, remedy)
    return found


def about(config: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of trials.csv that all trials of a configuration share, as far as it has them."""
    goal = {"error": "goal_error", "interval_steps": "interval_steps"}
    shared = ("workload", "batch_size", "sparsity", "replicate", "max_steps")
    found = {name: config[name] for name in shared if name in config}
    found |= {name: text or "" for name, text in (config.get("names") or {}).items() if name in NAMES}
    return found | {goal[key]: value for key, value in (config.get("goal") or {}).items() if key in goal}


def _wrong(config: Mapping[str, Any]) -> str:
    """What no study has written; "" where there is nothing."""
    for name in (*GROUPS, "metaparameters"):
        if not isinstance(config.get(name) or {}, Mapping):
            return f"{name} is no mapping"
    for name, value in about(config).items():
        if wrong := KNOWN[name].wrong(value):
            return f"{name}: {wrong}"
    trials = config.get("trial", [])
    if not all(is_int(trial) and trial >= 0 for trial in (trials if isinstance(trials, list) else [trials])):
        return f"trial: {trials} is no number from 0 on, nor a list of them"
    return ""

"""The command line that makes a study."""

import shlex
from typing import Any

import pandas as pd

from dps.analysis.study_folder import StudyFolder

ALWAYS = ("workload", "batch_size", "sparsity")  # options and columns of the same name
# Options that the columns of trials.csv settle, where nothing else says what was typed.
SETTLED_BY = {
    "data": "dataset",
    "model": "model",
    "optimizer": "optimizer",
    "lr_schedule": "lr_schedule",
    "pruning": "pruning",
    "goal.error": "goal_error",
    "goal.interval_steps": "interval_steps",
    "max_steps": "max_steps",
}


def command(study: StudyFolder) -> str:
    """The `dps` command of a study, quoted for a shell: a sweep's (-m) where its Sobol points are those of its space.

    Otherwise the trials are listed with their metaparameters, and without a record of what was typed so are the groups.
    """
    typed = {_key(override): override for override in _typed(study)}
    flags = [typed.pop(key) for key in list(typed) if key.startswith("--")]
    head = [typed.pop(key, f"{key}={_text(study.first[key])}") for key in ALWAYS]
    typed.pop("trial", None)
    points = {dimension.key for dimension in study.searched}
    beside = [one.option for one in study.metaparameters if one.option not in points and one.option in typed]
    if points and study.overrides is not None and not any("=[" in typed[option] for option in beside):
        for key in points:
            typed.pop(key, None)
        sweep = [f"hydra.sweeper.trials={study.trials_asked}"]
        if typed.pop("replicate", None):
            sweep.append(f"hydra.sweeper.replicates={study.first['replicate'] + 1}")
        return shlex.join(["dps", *flags, "-m", *head, *sweep, *typed.values()])
    for metaparameter in study.metaparameters:
        typed.pop(metaparameter.option, None)
    return shlex.join(["dps", *flags, *head, *typed.values(), *_listed(study)])


def _typed(study: StudyFolder) -> list[str]:
    if study.overrides is not None:
        return list(study.overrides)
    columns = {option: study.first[name] for option, name in SETTLED_BY.items()}
    return [f"{option}={_text(value)}" for option, value in columns.items() if not pd.isna(value) and value != ""]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")


def _listed(study: StudyFolder) -> list[str]:
    """The trials and those of their metaparameters that all of them have, as options."""
    columns = {"trial": "trial"} | {one.option: one.name for one in study.metaparameters if one.name in study.trials}
    known = {option: study.trials[name] for option, name in columns.items() if study.trials[name].notna().all()}
    return [f"{option}={_values(column)}" for option, column in known.items()]


def _values(column: "pd.Series[Any]") -> str:
    values = [_text(value) for value in column.tolist()]
    return values[0] if len(values) == 1 else f"[{','.join(values)}]"


def _text(value: Any) -> str:
    return repr(float(value)).removesuffix(".0") if isinstance(value, float) else str(value)

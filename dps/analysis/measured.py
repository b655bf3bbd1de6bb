"""Gathers what was measured during training: smoothness, gradient noise, losses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dps.analysis.columns import MEASURED
from dps.analysis.study_folder import StudyFolder, read
from dps.storage import measurements, records, trial_rows
from dps.storage.measurements import Measurement

FILES = tuple(f"{kind.name}.csv" for kind in measurements.KINDS)


def gather_measured(paths: Sequence[Path], kind: Measurement) -> pd.DataFrame:
    """All rows of the folders' files of this measurement, behind the columns MEASURED.

    ValueError where a file is damaged, or two folders measure the same trial of the same study.
    """
    types = {name: trial_rows.DTYPES[trial_rows.TYPES[name]] for name in MEASURED}
    types |= {"trial": "Int64", "step": "Int64", **dict.fromkeys(kind.values, "float64")}
    frames = [pd.DataFrame(columns=list(types)).astype(types)]
    owners: dict[tuple[Any, ...], Path] = {}
    for path in paths:
        if (rows := measurements.read(path, kind)).empty:
            continue
        study = _study(read(path))
        for trial in rows["trial"].unique():
            other = owners.setdefault((*study.values(), trial), path)
            if other != path:
                raise ValueError(
                    f"{kind.path(other)} and {kind.path(path)} both measure trial {trial} of {study['workload']} at "
                    f"batch_size={study['batch_size']} sparsity={study['sparsity']:g}; give only one of the two"
                )
        frames.append(pd.DataFrame(study, index=rows.index).join(rows).astype(types))
    return pd.concat(frames, ignore_index=True)


def after_step_0(smoothness: pd.DataFrame) -> pd.DataFrame:
    """What counts in an average of L: at step 0, L is several times what it is later, and would outweigh a short run.

    In the paper's average over an entire training, step 0 is one of hundreds (Section 3.2 and Appendix C).
    """
    return smoothness[smoothness["step"] > 0]


def _study(folder: StudyFolder) -> dict[str, Any]:
    """The values of the columns MEASURED, from the trials or, before the first is recorded, from the configuration."""
    if not folder.trials.empty:
        return {name: folder.first[name] for name in MEASURED}
    try:
        config = {"replicate": 0, **folder.config}
        return {name: config[name if name in config else f"names.{name}"] for name in MEASURED}
    except KeyError as error:
        raise ValueError(
            f"{folder.path} holds measurements, but neither {records.FILE} nor .hydra/config.yaml says of which "
            f"{error.args[0].removeprefix('names.')}; restore one of them"
        ) from error

"""What a configuration is called: names and a folder, which follow from what was chosen and are set nowhere else."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from dps.protocol.values import FORMULA

GROUPS = {"dataset": "data", **{name: name for name in ("model", "optimizer", "lr_schedule", "pruning")}}
FOLLOW_FROM = {
    "workload": "choose one of the files in workload/",
    "names": "they are those of the chosen data, model, optimizer, lr_schedule and pruning",
    "folder": "set it by hydra.run.dir, or hydra.sweep.dir in a sweep",
}
CALLED = ("data.load", "optimizer", "lr_schedule", "pruning.criterion")  # when a study runs, with what only it has


def named(cfg: DictConfig, choices: Mapping[str, str], folder: Path | str) -> DictConfig:
    """The configuration with its `workload`, `names` and `folder`, for trials.csv and for what refers to them.

    What dps calls itself becomes `_partial_`, so that no file need say it. `choices` are Hydra's runtime choices.
    ValueError where one of the three was typed, where nothing was chosen, and where a choice is no name for a cell of a
    table.
    """
    for key, why in FOLLOW_FROM.items():
        if key in list(cfg):
            raise ValueError(f"{key} is not an option: {why}")
    for group in ("workload", *GROUPS.values()):
        if (name := dict(choices).get(group)) is None:
            raise ValueError(f"{group} must have one name, as in {group}=NAME: `dps --help` lists them")
        if str(name).startswith(FORMULA):
            raise ValueError(f"{group}={name} would be run as a formula by a spreadsheet: rename its file")
    with open_dict(cfg):
        cfg.workload = choices["workload"]
        cfg.names = {name: choices[group] for name, group in GROUPS.items()}
        cfg.folder = str(folder)
        for key in CALLED:
            part = OmegaConf.select(cfg, key, throw_on_resolution_failure=False)
            if isinstance(part, DictConfig) and "_target_" in part:
                part["_partial_"] = True
    return cfg

"""The configuration that a study was run with, to train it again: what may be typed over it, and what a run sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dps.protocol.metaparameters import declared
from dps.storage import configurations

if TYPE_CHECKING:
    import pandas as pd

REMEDY = "restore the file, or run the search again"
# These change no result.
OPTIONS = (
    *("data.root", "data.download", "trainer.accelerator", "trainer.devices"),
    *("stack.trials_per_slice", "stack.examples_per_pass", "stack.products"),
    *("goal.early_reject", "goal.examples_per_block"),
)


def folders_and_options(typed: Sequence[str]) -> tuple[list[Path], list[str]]:
    """What was typed, FOLDER and KEY=VALUE in any order, told apart.

    ValueError where there is no folder, and on an option that is not one of OPTIONS.
    """
    folders = [text for text in typed if _is_folder(text)]
    if not folders:
        raise ValueError(f"{typed[0]} is no folder: give that of a study, or of a sweep with its studies, first")
    options = [text for text in typed if text not in folders]
    for key in (text.partition("=")[0] for text in options):
        if key not in OPTIONS:
            what = "a study is trained again as it was"
            raise ValueError(f"{key} is not an option here, for {what}: {', '.join(OPTIONS)} are")
    return [Path(text) for text in folders], options


def _is_folder(text: str) -> bool:
    """Whether an argument is no option: the name of a folder may hold a =, too."""
    key, equals, _ = text.partition("=")
    return not equals or "/" in key or Path(text).is_dir()


def configuration(folder: Path, overrides: Sequence[str]) -> DictConfig:
    """The configuration of the study in a folder, with those of the overrides KEY=VALUE that it has an option for.

    ValueError where the folder holds none of today's form, or an override has no fitting value.
    """
    recorded = configurations.read(folder, REMEDY)
    if recorded is None:
        raise ValueError(f"{folder} holds no {configurations.FILE}, without which its trials cannot be trained again")
    if "bookkeeping" not in recorded:
        what = "was written by an earlier version of dps, so that its trials cannot be trained again"
        raise ValueError(f"{folder} {what}: run its search again")
    cfg = OmegaConf.create({"precision": "ieee"} | recorded)
    OmegaConf.set_struct(cfg, True)
    for override in overrides:
        if not _has(cfg, override):
            continue
        try:
            cfg.merge_with_dotlist([override])
        except (OmegaConfBaseException, YAMLError) as error:
            problem = str(error).splitlines()[0]
            raise ValueError(f"{override} does not fit the study in {folder}: {problem}") from error
    OmegaConf.set_struct(cfg, False)
    return cfg


def trained_again(cfg: DictConfig, folder: Path, metaparameters: pd.DataFrame, **run: Any) -> DictConfig:
    """A configuration with the values that `run` has, for a study in a folder of its own, not logged or measured.

    The metaparameters of its trials are the columns of a frame, a row a trial; an empty column is none of the study's.
    """
    own = cfg.copy()
    with open_dict(own):
        own.update({"folder": str(folder), "logger": None, "callbacks": {"goal": cfg.callbacks.goal}} | run)
        for one in declared(cfg.get("metaparameters")):
            if one.name in metaparameters and metaparameters[one.name].notna().any():
                OmegaConf.update(own, one.option, metaparameters[one.name].tolist())
    return own


def refuse_unused(overrides: Sequence[str], studies: Sequence[DictConfig]) -> None:
    """ValueError where none of the studies has an option."""
    for override in overrides:
        if not any(_has(cfg, override) for cfg in studies):
            what = "this study" if len(studies) == 1 else "any of these studies"
            raise ValueError(f"{override.partition('=')[0]} is not an option of {what}")


def _has(cfg: DictConfig, override: str) -> bool:
    owner, _, name = override.partition("=")[0].rpartition(".")
    return name in list(OmegaConf.select(cfg, owner) or {})  # `in cfg` is false for a value of null

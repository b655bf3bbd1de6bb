"""The configuration that a study was run with, and what may be typed over it."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dps.storage import configurations

REMEDY = "restore the file, or run the search again"
# These change no result.
OPTIONS = (
    *("data.root", "data.download", "trainer.accelerator", "trainer.devices"),
    *("stack.trials_per_slice", "stack.examples_per_pass", "stack.products"),
    *("goal.early_reject", "goal.examples_per_block"),
)


def configuration(folder: Path, overrides: Sequence[str]) -> DictConfig:
    """The configuration of the study in a folder, with the overrides KEY=VALUE.

    ValueError where the folder holds none of today's form, or an override is not one of OPTIONS that the study has.
    """
    recorded = configurations.read(folder, REMEDY)
    if recorded is None:
        raise ValueError(f"{folder} holds no {configurations.FILE}, without which its trials cannot be trained again")
    if "bookkeeping" not in recorded:
        raise ValueError(f"{folder} was written by an earlier version of dps: to confirm it, run its search again")
    cfg = OmegaConf.create({"precision": "ieee"} | recorded)
    OmegaConf.set_struct(cfg, True)
    for override in overrides:
        _check(override)
        try:
            cfg.merge_with_dotlist([override])
        except (OmegaConfBaseException, YAMLError) as error:
            problem = str(error).splitlines()[0]
            raise ValueError(f"{override} is not an option of the study in {folder}: {problem}") from error
    OmegaConf.set_struct(cfg, False)
    return cfg


def _check(override: str) -> None:
    key, equals, _ = override.partition("=")
    if not equals:
        raise ValueError(f"{override} cannot be understood: give one FOLDER, and then options as KEY=VALUE")
    if key not in OPTIONS:
        what = "a confirmation trains as the study did"
        raise ValueError(f"{key} is not an option here, for {what}: {', '.join(OPTIONS)} are")

"""The table of wrong inputs, and what is said of one without a command being started."""

import shlex
from pathlib import Path
from typing import NamedTuple

from hydra import compose
from omegaconf import OmegaConf, open_dict

from dps import errors
from dps.engine.named import named
from dps.engine.overrides import refuse_renaming, understood
from dps.engine.study import Study

TABLE = Path(__file__).with_name("wrong_inputs.txt")


class Wrong(NamedTuple):
    """What is typed after `dps`, and how the sentence begins that it is answered with."""

    typed: list[str]
    answer: str


def wrong_inputs(sweep: bool) -> list[Wrong]:
    """Those of a single study, or of a sweep."""
    lines = [line for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    every = [Wrong(shlex.split(typed), answer.strip()) for typed, answer in zip(lines[::2], lines[1::2], strict=True)]
    return [one for one in every if ("-m" in one.typed) == sweep]


def refused(typed: list[str], folder: Path) -> str:
    """The sentence about what is typed for a single study, as the command has it, within hydra.initialize...()."""
    try:
        cfg = compose("config", understood(typed), return_hydra_config=True)
        choices, overrides = cfg.hydra.runtime.choices, cfg.hydra.overrides.task
        refuse_renaming(overrides)
        with open_dict(cfg):
            del cfg["hydra"]
        OmegaConf.resolve(named(cfg, choices, folder))
        Study.parse(cfg)
    except Exception as error:
        return errors.one_line(error)
    return ""

"""What is to be trained again: the studies below folders, each replicate as its record has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from dps.analysis import study_folder
from dps.analysis.replicates import finished_studies, home
from dps.analysis.study_folder import RECORDS, StudyFolder
from dps.engine.recorded import configuration, refuse_unused, trained_again
from dps.engine.study import Study
from dps.protocol.kinds import SEEDS_OF_A_REPLICATE
from dps.reproduce.reproduction import Reproduction
from dps.stack import shape
from dps.storage import records


def plan(folders: Sequence[Path], output: Path, overrides: Sequence[str]) -> list[Reproduction]:
    """The repetitions of the studies at or below the folders, each in a folder of its own below `output`.

    ValueError, one sentence, on whatever is wrong, before anything is trained.
    """
    own = output.resolve()
    paths = study_folder.find([folder.resolve() for folder in folders], RECORDS)
    if not (paths := [path for path in paths if not path.is_relative_to(own)]):
        raise ValueError(f"{folders[0]} lies in {output}, which holds what is trained again: give the record itself")
    found = []
    for path, group in finished_studies(paths).items():
        k_stars = _k_stars(path)
        found += [Reproduction(one, k_stars, _study(one, output, overrides)) for one in group]
    refuse_unused(overrides, [one.study.cfg for one in found])
    places: dict[Path, Reproduction] = {}
    for one in found:
        if (other := places.setdefault(one.study.folder, one)) is not one:
            both = f"{other.recorded.path} and {one.recorded.path} would both be trained in {one.study.folder}"
            raise ValueError(f"{both}: give one of them, and the other with another --output FOLDER")
        one.missing()
    return sorted(found, key=_place)


def _place(one: Reproduction) -> tuple[str, float, int, int]:
    cfg = one.study.cfg
    return cfg.workload, cfg.sparsity, cfg.batch_size, cfg.replicate


def _k_stars(study: Path) -> list[int | None]:
    """Those of the replicates of a study that are finished, also where they are not to be trained again."""
    paths = (path for path in (study, *study.glob("replicate=*")) if (path / records.FILE).exists())
    return [records.k_star(one.trials) for one in map(study_folder.read, paths) if not one.unfinished]


def _study(recorded: StudyFolder, output: Path, overrides: Sequence[str]) -> Study:
    trials, replicate = recorded.trials, int(recorded.first["replicate"])
    cfg = trained_again(
        configuration(recorded.path, overrides),
        output / recorded.path.relative_to(home(recorded.path).parent.parent),
        trials,
        trial=trials["trial"].tolist(),
        seed=(trials["seed"] - replicate * SEEDS_OF_A_REPLICATE).tolist(),
        replicate=replicate,
    )
    _shape_as(recorded, cfg, overrides)
    return replace(Study.parse(cfg), elsewhere="name another folder with --output FOLDER")


def _shape_as(recorded: StudyFolder, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Give the stack the recorded shape, on which rounding depends, but for what is typed, and on another device."""
    kept, typed = shape.recorded(recorded.path), {override.partition("=")[0] for override in overrides}
    if kept is not None and cfg.trainer.accelerator == recorded.config["trainer.accelerator"]:
        for name, value in vars(kept).items():
            if f"stack.{name}" not in typed:
                cfg.stack[name] = value

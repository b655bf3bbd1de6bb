"""From the command line to jobs: the grid of comma lists, the search dimensions of each point, and its trials."""
# Hydra's plugin scan fails on a dataclass whose annotations are postponed to strings: no `from __future__` import here.

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, Quote, QuotedString
from omegaconf import DictConfig, OmegaConf

from dps.protocol.metaparameters import declared
from dps.protocol.space import Dimension, from_override, parse, sample

# The text in hydra.sweep.dir or subdir that tells a key's values apart; a key of the grid without it is appended.
NAMED_BY = {"workload": "runtime.choices.workload", "batch_size": "{batch_size}", "sparsity": "{sparsity}"}


@dataclass(frozen=True)
class CommandLine:
    """What was typed: fixed overrides, the grid (key as typed to its values as text) and the intervals by key."""

    fixed: list[str]
    grid: dict[str, list[str]]
    intervals: dict[str, Dimension]
    settled_keys: frozenset[str]  # keys of fixed and grid: no longer searched

    def points(self) -> list[dict[str, str]]:
        """All combinations of the grid's values; one empty point where there is no grid."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]


def read(arguments: list[str], config_loader: ConfigLoader) -> CommandLine:
    """Sorts the overrides by kind, the last of a repeated key counting; raises ValueError for what cannot be swept."""
    typed = OverridesParser.create(config_loader).parse_overrides(arguments)
    overrides = list({override.get_key_element(): override for override in typed}.values())
    for override in overrides:
        _refuse(override)
    return CommandLine(
        fixed=[o.input_line for o in overrides if not o.is_sweep_override() and o.input_line],
        grid={o.get_key_element(): _values(o) for o in overrides if o.is_discrete_sweep()},
        intervals={o.key_or_group: from_override(o) for o in overrides if o.is_interval_sweep()},
        settled_keys=frozenset(o.key_or_group for o in overrides if not o.is_interval_sweep()),
    )


def _refuse(override: Override) -> None:
    if (key := override.key_or_group) in ("trial", "replicate"):
        raise ValueError(
            f"{override.input_line} cannot be combined with --multirun (-m): the sweeper numbers the {key}s, "
            f"hydra.sweeper.{key}s says how many"
        )
    value = override.value()
    if isinstance(value, ChoiceSweep) and any(isinstance(choice, IntervalSweep) for choice in value.list):
        raise ValueError(f"{override.input_line} mixes an interval with other values; give the interval alone")


def _values(override: Override) -> list[str]:
    if values := list(override.sweep_string_iterator()):
        return values
    raise ValueError(f"{override.input_line} gives no value to sweep over; give at least one")


def dimensions(command: CommandLine, cfg: DictConfig) -> list[Dimension]:
    """The search dimensions of the grid point composed as `cfg`: its space in order, then the extra intervals as typed.

    Raises ValueError where there is none, or where the space holds something else than an interval.
    """
    space = {
        key: command.intervals.get(key) or parse(key, str(text))
        for key, text in (cfg.get("space") or {}).items()
        if key not in command.settled_keys
    }
    found = list((space | command.intervals).values())
    if not found:
        raise ValueError(
            "space is empty: give at least one interval, such as optimizer.lr='tag(log, interval(1e-4, 1))', "
            "or a space, such as space=lr, or leave out -m"
        )
    return found


def check(
    found: Sequence[Dimension],
    cfg: DictConfig,
    study: Sequence[str],
    compose: Callable[[list[str]], DictConfig],
    spaces: Sequence[str],
) -> None:
    """ValueError where a dimension is of no metaparameter that `cfg` has, or of an integer one in other numbers.

    `study` are the overrides of which `cfg` is composed; of the `spaces` the one that fits it is named.
    """
    if missing := missing_key([dimension.key for dimension in found], cfg):
        if missing not in (cfg.get("space") or {}):
            raise ValueError(f"{missing} is given an interval, but the configuration has no {missing}")
        others = [override for override in study if not override.startswith("space=")]
        fitting = {name: len(keys) for name in spaces if (keys := _fitting(compose([*others, f"space={name}"])))}
        hint = f"; space={max(fitting, key=fitting.__getitem__)} fits it" if fitting else ""
        raise ValueError(f"space has the dimension {missing}, but the configuration has no {missing}{hint}")
    known = {one.option: one for one in declared(cfg.get("metaparameters"))}
    for dimension in found:
        if (one := known.get(dimension.key)) is None:
            wanted = f"only metaparameters are searched; several values make a grid, as in {dimension.key}=A,B"
            raise ValueError(f"{dimension.key} takes no interval: {wanted}")
        if one.type is int and not dimension.integer:
            written = f"int(interval({dimension.low:g}, {dimension.high:g}))"
            raise ValueError(f"{dimension.key} is searched among numbers that are no integers: write {written}")


def _fitting(cfg: DictConfig) -> list[str]:
    """The keys of a configuration's space, where it has an option for each of them."""
    keys = [str(key) for key in cfg.space]
    return keys if missing_key(keys, cfg) is None else []


def missing_key(keys: Sequence[str], cfg: DictConfig) -> str | None:
    """The first of the dotted `keys` that `cfg` does not have."""
    for key in keys:
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(cfg, parent) if parent else cfg
        if not isinstance(node, DictConfig) or name not in set(node):  # `in node` is false for a value of ???
            return key
    return None


def folder_override(point: dict[str, str], replicate: int, cfg: DictConfig) -> list[str]:
    """An override that tells the study's folder from those of other points, where the usual folder's name cannot.

    A replicate's lies in that of the study, which is replicate 0's.
    """
    sweep = OmegaConf.to_container(cfg.hydra.sweep, resolve=False)
    assert isinstance(sweep, dict)
    usual = f"{sweep['dir']}/{sweep['subdir']}"
    named = [key for key, text in NAMED_BY.items() if text in usual]
    extra = "".join(f",{one}" for one in _named(point) if one.partition("=")[0] not in named)
    extra += f"/replicate={replicate}" if replicate else ""
    if not extra:
        return []
    subdir = QuotedString(f"{sweep['subdir']}{extra}", Quote.single).with_quotes()
    return [f"hydra.sweep.subdir={subdir}"]


def title(point: dict[str, str], replicate: int, cfg: DictConfig) -> str:
    """What the study is called in lines: its batch size, its sparsity, and what else of the grid is its own."""
    usual = [f"{key}={OmegaConf.select(cfg, key)}" for key in ("batch_size", "sparsity")]
    rest = [one for one in _named(point) if one.partition("=")[0] not in ("batch_size", "sparsity")]
    return ", ".join([*usual, *rest, *([f"replicate={replicate}"] if replicate else [])])


def _named(point: dict[str, str]) -> list[str]:
    """The keys and values of a point, as they can stand in the name of a folder."""
    named = {key.lstrip("+"): value.strip("'\"") for key, value in point.items()}
    return [f"{quote(key, safe='@')}={quote(value, safe='[],')}" for key, value in named.items()]


def trial_overrides(found: list[Dimension], replicate: int, trials: int, trials_per_job: int) -> list[list[str]]:
    """One list of overrides a job: the numbers of its trials, and their metaparameters in full precision."""
    jobs = []
    for first in range(0, trials, trials_per_job):
        count = min(trials_per_job, trials - first)
        lists = {"trial": list(range(first, first + count)), **sample(found, first, count, replicate)}
        jobs.append([f"{key}=[{','.join(map(repr, values))}]" for key, values in lists.items()])
    return jobs

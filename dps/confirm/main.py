"""The command `dps-confirm`: train the best configurations of finished studies again, with fresh seeds."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dps import durations, ending, signals
from dps.protocol.values import require
from dps.stages import Stages

if TYPE_CHECKING:
    from dps.confirm.confirmation import Confirmation


def command() -> None:
    """`main`, as a process of its own."""
    ending.ended(main)


def main() -> None:
    """Run the command line; a failure prints one sentence (HYDRA_FULL_ERROR=1: the traceback) and exits with 1."""
    with signals.stopping("dps-confirm"):
        from dps import errors

        typed = _parser().parse_intermixed_args()
        errors.run_command("dps-confirm", lambda: _confirm(typed))


def _parser() -> argparse.ArgumentParser:
    from dps.analysis.confirmed import LEAST_SEEDS

    parser = argparse.ArgumentParser(
        prog="dps-confirm",
        description="Trains the best configurations of each study again, with seeds that no search has used, each with "
        "its own initial weights, split and order of the data. Writes confirm.csv into the study's folder: how often "
        "each reaches the goal, and in how many steps at the median.",
        epilog="The same command again goes on where it stopped.",
    )
    parser.add_argument("places", nargs="+", metavar="FOLDER", help="a study, a sweep, or several of them")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="where to train, as data.root=FOLDER")
    parser.add_argument("--config-dir", type=Path, metavar="FOLDER", help="that of `dps`, where code of your own lies")
    parser.add_argument("--configurations", default="5", metavar="C", help="of each study, the best; default: 5")
    parser.add_argument("--seeds", default="24", metavar="S", help=f"of each, at least {LEAST_SEEDS}; default: 24")
    parser.add_argument(
        "--times", metavar="X", help="train for X times K* of the search at most; default: the study's max_steps"
    )
    return parser


def _confirm(typed: argparse.Namespace) -> None:
    from dps.analysis.confirmed import LEAST_SEEDS

    count = _whole("--configurations", typed.configurations, 1)
    seeds = _whole("--seeds", typed.seeds, LEAST_SEEDS)
    times = None if typed.times is None else _times(typed.times)
    from dps.confirm import table
    from dps.confirm.plan import plan
    from dps.engine import targets
    from dps.engine.recorded import folders_and_options

    targets.allow_config_dir(typed.config_dir)
    folders, overrides = folders_and_options([*typed.places, *typed.options])  # the parser gives all to the first
    studies = plan(folders, count, times, overrides)
    _train(studies, seeds, overrides)
    table.show(studies)


def _train(studies: Sequence[Confirmation], seeds: int, overrides: Sequence[str]) -> None:
    """Seed by seed, so that there is something of every study early, and the time that is left can be told."""
    from rich.console import Console
    from rich.progress import Progress, TimeElapsedColumn, TimeRemainingColumn

    trained = {one.folder: set(one.seeds_trained()) for one in studies}
    jobs = [(seed, one) for seed in range(seeds) for one in studies if seed not in trained[one.folder]]
    console, begun = Console(stderr=True), time.monotonic()
    with (
        Stages("dps-confirm") as at,
        Progress(
            *Progress.get_default_columns()[:-1],
            TimeElapsedColumn(),
            "left",
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=math.inf,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as progress,
    ):
        line = progress.add_task("", total=len(jobs))
        for number, (seed, one) in enumerate(jobs):
            if not console.is_terminal and (number == 0 or seed > jobs[number - 1][0]):
                at(f"seed {seed + 1} of {seeds}{_left(begun, number, len(jobs))}")
            about = f"batch_size={one.cfg.batch_size} sparsity={one.cfg.sparsity}"
            progress.update(line, description=f"seed {seed + 1} of {seeds}, {about}")
            one.train(seed, overrides)
            progress.advance(line)
    for one in studies:
        one.record()


def _left(begun: float, done: int, jobs: int) -> str:
    """About how long the rest takes, where some are done."""
    if not done:
        return ""
    return f", about {durations.rough((time.monotonic() - begun) / done * (jobs - done))} left"


def _whole(option: str, text: str, least: int) -> int:
    right = text.isdecimal() and int(text) >= least
    require(right, option, text, f"an integer from {least} on")
    return int(text)


def _times(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    require(math.isfinite(value) and value >= 1, "--times", text, "a number from 1 on")
    return value


if __name__ == "__main__":
    command()

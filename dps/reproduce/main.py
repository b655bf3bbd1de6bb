"""The command `dps-reproduce`: train recorded studies again as they were, and compare."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dps import durations, ending, signals

if TYPE_CHECKING:
    from dps.reproduce.reproduction import Reproduction

OUTPUT = Path("outputs", "reproduced")


def command() -> None:
    """`main`, as a process of its own."""
    ending.ended(main)


def main() -> None:
    """Run the command line; exits with 1 where a study does not agree with its record.

    A failure prints one sentence (HYDRA_FULL_ERROR=1: the traceback) and exits with 1.
    """
    with signals.stopping("dps-reproduce"):
        from dps import errors

        typed = _parser().parse_intermixed_args()
        errors.run_command("dps-reproduce", lambda: _reproduce(typed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dps-reproduce",
        description="Trains studies again as their records have them: the same trials, data, seeds, slices and "
        "threads. Says of each whether it ends as recorded, and exits with 1 where one does not. Only reads records.",
        epilog="The same command again goes on where it stopped.",
    )
    parser.add_argument("places", nargs="+", metavar="FOLDER", help="a study, a replicate of one, a sweep, or several")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="where to train them, as data.root=FOLDER")
    parser.add_argument("--config-dir", type=Path, metavar="FOLDER", help="that of `dps`, where code of your own lies")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, metavar="FOLDER", help=f"where to train them; default: {OUTPUT}"
    )
    return parser


def _reproduce(typed: argparse.Namespace) -> None:
    from dps.engine import targets
    from dps.engine.recorded import folders_and_options
    from dps.reproduce import table
    from dps.reproduce.plan import plan

    targets.allow_config_dir(typed.config_dir)
    folders, overrides = folders_and_options([*typed.places, *typed.options])  # the parser gives all to the first
    studies = plan(folders, typed.output, overrides)
    _train(studies, overrides)
    if not table.show(studies):
        sys.exit(1)


def _train(studies: Sequence[Reproduction], overrides: Sequence[str]) -> None:
    """One after the other, with a line on each that has ended."""
    from dps.engine import display
    from dps.engine.sweep import Sweep, planned

    jobs = []
    for number, one in enumerate(studies, start=1):
        cfg = one.study.cfg
        title = f"{number} of {len(studies)}  batch_size={cfg.batch_size}, sparsity={cfg.sparsity}"
        title += f", replicate={cfg.replicate}" if cfg.replicate else ""
        jobs.append(planned(one.study, title))
    with display.opened(display.Shown(Sweep(jobs))):
        for number, (job, one) in enumerate(zip(jobs, studies, strict=True)):
            begun, is_new = time.monotonic(), one.missing() > 0
            with display.study(job.title, number):
                one.train(overrides)
            took = durations.exact(time.monotonic() - begun) if is_new else "finished before"
            print(f"{job.title}: {one.comparison.verdict}, {took}", flush=True)


if __name__ == "__main__":
    command()

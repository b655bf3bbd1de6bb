"""The cases of the bench, in the order in which they are measured."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytorch_lightning as pl
from omegaconf import DictConfig

from dps.bench import study, timing
from dps.bench.plain import clock
from dps.bench.report import Case
from dps.data import StudyData
from dps.engine.module import Check
from dps.engine.study import Study
from dps.protocol.goal import allowed_mistakes
from dps.stages import Stages

Rates = dict[str, float]


def data_for(cfg: DictConfig) -> StudyData:
    """The data of a resolved configuration, on the device and in the precision of its trainer."""
    data = Study.parse(cfg).data()
    data.trainer = pl.Trainer(**timing.trainer_options(cfg))
    data.prepare_data()
    data.setup("fit")
    return data


def plain_steps(cfg: DictConfig, data: StudyData, at: Stages) -> dict[int, tuple[float, float]]:
    """By batch size, the seconds of a step of one trial alone: in bare PyTorch, and the plain way."""
    found = {}
    for batch_size in cfg.bench.batch_sizes:
        at(f"a step, B={batch_size}, of one trial: in bare PyTorch, and the plain way")
        sized = timing.with_values(cfg, {"batch_size": batch_size})
        raw = timing.raw_step_seconds(sized, data, batch_size, cfg.bench.seconds)
        found[batch_size] = raw, timing.plain_step_seconds(sized, data, cfg.bench.seconds)
    return found


def step_cases(
    cfg: DictConfig, data: StudyData, rates: Rates, alone: Mapping[int, tuple[float, float]], at: Stages
) -> Iterator[Case]:
    """A step of one trial: alone, as `plain_steps` has it, and as its share of a step of several."""
    seconds = cfg.bench.seconds
    for batch_size, (raw, plain) in alone.items():
        sized = timing.with_values(cfg, {"batch_size": batch_size})
        least = batch_size / rates["train"]
        yield Case(f"step, B={batch_size}, alone in bare PyTorch", plain, raw, least)
        for trials in cfg.bench.stacks:
            at(f"a step, B={batch_size}, of {trials} in the stack")
            ours = timing.stack_step_seconds(sized, data, trials, seconds)
            note = f"one trial's share, {raw / ours:.1f} times cheaper than in bare PyTorch"
            yield Case(f"step, B={batch_size}, {trials} in the stack", plain, ours, least, note=note)


def small_study_case(cfg: DictConfig, folder: Path, at: Stages) -> Case:
    """A study run whole in both ways in float64, without race; RuntimeError where the answers differ."""
    small = cfg.bench.small
    values = {"batch_size": small.batch_size, "max_steps": small.max_steps, "goal.error": small.goal_error}
    values |= {"race": False, "trainer.precision": "64-true"}
    at("a small study, whole, in float64: our way")
    run = study.run_study(cfg, folder / "small", small.trials, values)
    at("a small study, whole, in float64: the plain way")
    data = data_for(timing.with_values(cfg, values))
    plain, seconds = study.plain_steps_to_result(cfg, data, small.trials, values)
    ours = [None if value is pd.NA else int(value) for value in run.frame["steps_to_result"]]
    if ours != plain:
        raise RuntimeError(f"steps-to-result differ: {ours} our way, {plain} the plain way")
    return Case("small study, whole, float64", seconds, run.seconds, note=f"both ways: {plain}")


@dataclass
class Costs:
    """Seconds of the plain way's parts for one trial, measured in this run."""

    step: float
    check: float
    scores: float


def plain_costs(cfg: DictConfig, data: StudyData, at: Stages) -> Costs:
    """Measure a step, a full check and the pruning scores of one trial the plain way, at the study's own batch size."""
    at("a step, a check and the pruning scores of one trial, the plain way")
    sized = timing.with_values(cfg, {})
    step = timing.plain_step_seconds(sized, data, cfg.bench.seconds)
    check = timing.plain_check_seconds(sized, data)
    start = clock()
    study.plain_masks(timing.with_values(cfg, {"sparsity": 0.9}), data, 0)
    return Costs(step, check, clock() - start)


def study_cases(
    cfg: DictConfig, data: StudyData, rates: Rates, plain: Costs, folder: Path, at: Stages
) -> Iterator[Case]:
    """The start of a study, its checks, the whole of it, and what each idea saves."""
    trials = cfg.bench.trials
    for name in ("first", "second"):
        at(f"the start of a study, the {name} of a grid")
        started = study.run_study(cfg, folder / name, trials, {"max_steps": 1})
        note = "scores as found on disk" if name == "first" else "scores kept from the first"
        yield Case(
            f"start to the first step, {name} study of a grid", plain.scores * trials, started.seconds, note=note
        )
    at(f"the whole study, of {trials} trials")
    run = study.run_study(cfg, folder / "study", trials, {})
    allowed = allowed_mistakes(cfg.goal.error, len(data.validation_labels))
    yield from _check_cases(run, allowed, plain, rates)
    yield _whole_study(cfg, run, allowed, plain, rates)
    at("what each idea saves of it")
    yield from _ideas(cfg, data, run, plain)


def _check_cases(run: study.Run, allowed: int, plain: Costs, rates: Rates) -> Iterator[Case]:
    """By thirds of the study, as far as they have checks: a study that ends at its first has an early third alone."""
    least = (allowed + 1) / rates["forward"]
    third = max(1, len(run.checks) // 3)
    for name, first in (("early", 0), ("middle", third), ("late", 2 * third)):
        if some := run.checks[first : first + third]:
            read = statistics.mean(check.examples_read for check in some)
            note = f"{read:.0f} examples read on average"
            yield Case(f"goal check, {name} third", plain.check, _check_seconds(some), least, note=note)


def _check_seconds(checks: Sequence[Check]) -> float:
    """The mean seconds of a trial's check; 0 where the study has ended before any."""
    return sum(check.seconds / check.trials for check in checks) / max(1, len(checks))


def _whole_study(cfg: DictConfig, run: study.Run, allowed: int, plain: Costs, rates: Rates) -> Case:
    """The plain protocol trains every trial to the end of its budget; irreducible is a race to K* and its checks."""
    trials, steps, interval = cfg.bench.trials, run.steps_to_result or cfg.max_steps, cfg.goal.interval_steps
    protocol = cfg.max_steps * plain.step + cfg.max_steps // interval * plain.check
    train = steps * cfg.batch_size / rates["train"]
    checks = steps // interval * (allowed + 1) / rates["forward"]
    note = f"K*={run.steps_to_result}; {_failed_checks(run.checks)}"
    scores = plain.scores if cfg.sparsity else 0.0
    total = trials * (protocol + scores)
    return Case("whole study", total, run.seconds, trials * (train + checks), assembled=True, note=note)


def _failed_checks(checks: Sequence[Check]) -> str:
    failed = sum(check.failed for check in checks)
    read = sum(check.read_by_failed for check in checks)
    return f"a failed check read {read / failed:.0f} examples" if failed else "no check failed"


def _ideas(cfg: DictConfig, data: StudyData, run: study.Run, plain: Costs) -> Iterator[Case]:
    """The study's time with one idea off: ours, and what the run's own counts say that it would add."""
    trials, frame = cfg.bench.trials, run.frame
    sized, steps = timing.with_values(cfg, {}), int(frame["steps_run"].sum())
    alone = timing.stack_step_seconds(sized, data, 1, cfg.bench.seconds)
    ours = float(frame["train_seconds"].sum()) / steps
    full_check = timing.full_check_seconds(sized, data, cfg.goal.examples_per_block)
    failed_check = _check_seconds(run.checks)
    left = int((frame["steps_run"].max() - frame["steps_run"]).sum())
    unrun = trials * cfg.max_steps - steps
    added = {
        "stack": steps * (alone - ours),
        "race": unrun * (ours + failed_check / cfg.goal.interval_steps),
        "early reject": sum(check.failed for check in run.checks) * (full_check - failed_check),
        "kept scores": trials * plain.scores if cfg.sparsity else 0.0,
        "leaving the stack": left * ours,
        "data on the device": steps / trials * (timing.loader_seconds(data) - timing.gather_seconds(data)),
    }
    for idea, seconds in added.items():
        yield Case(f"whole study without: {idea}", run.seconds + max(0.0, seconds), run.seconds, assembled=True)

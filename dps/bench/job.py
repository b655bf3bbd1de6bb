"""A benchmark: measure, add up, and show the plain way, ours and the irreducible work in one table."""

import sys
import tempfile
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from dps import errors, stages
from dps.engine import hydras_part, targets
from dps.engine.named import named
from dps.engine.study import Study


def run_command_line() -> None:
    """Measure what the command line asks for."""
    errors.run_command("dps-bench", _guarded)


def _guarded() -> None:
    with hydras_part.guarded():
        _bench()


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="bench")
def _bench(cfg: DictConfig) -> None:
    try:
        job = HydraConfig.get()
        targets.allow_own(job.runtime)
        Study.parse(named(cfg, job.runtime.choices, job.runtime.output_dir))
        _measure(cfg)
    except Exception as error:
        errors.stop("dps-bench", error)


def _measure(cfg: DictConfig) -> None:
    from rich.console import Console

    from dps.bench import cases, comparable, report, timing
    from dps.engine.fit import quieten_lightning
    from dps.engine.memory import keep_freed_memory
    from dps.engine.precision import set_precision

    comparable.refuse_incomparable(cfg)
    quieten_lightning()
    set_precision(cfg.precision, cfg.trainer.accelerator)
    console = Console(width=None if sys.stdout.isatty() else 120)
    with stages.Stages("dps-bench") as at, tempfile.TemporaryDirectory() as folder:
        at("reads the data")
        data = cases.data_for(timing.with_values(cfg, {}))
        alone, plain = cases.plain_steps(cfg, data, at), cases.plain_costs(cfg, data, at)
        keep_freed_memory()  # only now: the plain way was timed with memory as PyTorch leaves it
        at("what the machine can do")
        rates = timing.throughput(timing.with_values(cfg, {}), data, cfg.bench.seconds)
        rates["matrix_product_flops"] = timing.matrix_product_flops(data.train_images.device, cfg.bench.seconds)
        steps = cases.step_cases(cfg, data, rates, alone, at)
        studies = cases.study_cases(cfg, data, rates, plain, Path(folder), at)
        found = [*steps, *studies, cases.small_study_case(cfg, Path(folder), at)]
    report.show(found, rates, console)
    report.save(Path(cfg.bench.json), found, rates, OmegaConf.to_container(cfg, resolve=True))
    console.print(f"Also in {cfg.bench.json}")

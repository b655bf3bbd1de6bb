"""The sweeper, in a small Hydra application of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hydra
import pytest
from hydra._internal.core_plugins.basic_launcher import BasicLauncherConf
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf, open_dict

from dps.protocol.space import parse, sample

ROOT = Path(__file__).parents[1]
FILES = {
    "config.yaml": """
defaults:
  - _self_
  - optimizer: momentum
  - space: lr_momentum
  - workload: fast
  - override hydra/sweeper: sobol
  - override hydra/hydra_logging: disabled
  - override hydra/job_logging: disabled
batch_size: 16
sparsity: 0
trial: 0
replicate: 0
max_steps: 40000
lr_schedule: {decay_steps: 40000}
trainer: {accelerator: cpu, devices: 1}
hydra:
  output_subdir: null
  sweep:
    dir: outputs/${hydra.runtime.choices.workload}
    subdir: batch_size=${batch_size},sparsity=${shortest:${sparsity}}
  sweeper:
    trials: 4
""",
    "optimizer/sgd.yaml": "lr: ???",
    "optimizer/momentum.yaml": "lr: ???\nmomentum: 0.9",
    "workload/fast.yaml": "# @package _global_",
    "workload/plain.yaml": """# @package _global_
defaults:
  - override /optimizer: sgd
  - override /space: lr
""",
}
LR = parse("optimizer.lr", "tag(log, interval(1e-4, 1))")
MOMENTUM = parse("optimizer.momentum", "tag(one_minus, log, interval(0.9, 0.9999))")


@dataclass
class App:
    """What one sweep did.

    The configurations that ran and those that were checked before, with the workload and the optimizer that these were
    said to have; the folders of the table, the number of launches, and which of the studies each job was told it is.
    """

    jobs: list[DictConfig] = field(default_factory=list)
    checked: list[DictConfig] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)
    table: list[str] | None = None
    launches: int = 0
    studies: list[str | None] = field(default_factory=list)


Sweep = Callable[..., App]


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def sweep(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Runs the application with -m and the arguments given, in an empty folder; errors come through as raised."""
    for name, text in FILES.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copytree(ROOT / "conf" / "space", tmp_path / "conf" / "space")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    _watch(app, tmp_path, monkeypatch)

    def run(*arguments: str) -> App:
        monkeypatch.setattr(sys, "argv", ["app", "-m", *arguments])
        hydra.main(config_path=str(tmp_path / "conf"), config_name="config", version_base="1.3")(_task_of(app))()
        return app

    return run


def _task_of(app: App) -> Callable[[DictConfig], float]:
    def task(cfg: DictConfig) -> float:
        app.jobs.append(cfg)
        app.studies.append(os.environ.get("DPS_STUDY"))
        if cfg.batch_size == 666:
            raise OSError("disk full\nsecond line")
        return 0.0

    return task


def _watch(app: App, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(cfg: DictConfig) -> SimpleNamespace:
        assert not OmegaConf.missing_keys(cfg)
        about = SimpleNamespace(workload=cfg.workload, batch_size=cfg.batch_size, sparsity=cfg.sparsity)
        with open_dict(cfg):
            app.names.append((cfg.pop("workload"), cfg.pop("names").optimizer))
            folder = Path(cfg.pop("folder"))
        app.checked.append(cfg)
        if cfg.batch_size < 1:
            raise ValueError(f"batch_size={cfg.batch_size} must be positive")
        trials = [{"trial": trial} for trial in cfg.trial]
        return SimpleNamespace(refuse_another=lambda: None, cfg=about, folder=folder, trials=trials)

    def show(folders: list[Path]) -> dict[Path, str]:
        app.table = [str(path.relative_to(folder)) for path in folders]
        return {}

    def launch(self: Launcher, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        app.launches += 1
        returns: Sequence[JobReturn] = original(self, job_overrides, initial_job_idx)
        return returns

    launcher: Any
    (launcher,) = (found for found in Plugins.instance().discover(Launcher) if found.__name__ == "BasicLauncher")
    original = launcher.launch
    monkeypatch.setattr(launcher, "launch", launch)
    monkeypatch.setattr("dps.engine.named.GROUPS", {"optimizer": "optimizer"})  # all that this application has
    monkeypatch.setattr("dps.engine.study.Study.parse", parse)
    monkeypatch.setattr("dps.engine.sweep.read_data", lambda studies: None)  # which it does not have either
    monkeypatch.setattr("dps.report.terminal.show", show)


def test_devices_are_looked_for_where_the_studies_run(app: App, sweep: Sweep) -> None:
    with pytest.raises(ValueError, match=r"trainer\.devices=1000 must be at most"):
        sweep("trainer.devices=1000")
    assert not app.launches
    ConfigStore.instance().store(group="hydra/launcher", name="elsewhere", node=BasicLauncherConf)
    assert len(sweep("trainer.devices=1000", "hydra/launcher=elsewhere").jobs) == 1


def test_grid_of_studies_with_their_trials(sweep: Sweep) -> None:
    app = sweep("batch_size=4,16", "sparsity=0,0.9")
    assert [(job.batch_size, job.sparsity) for job in app.jobs] == [(4, 0), (4, 0.9), (16, 0), (16, 0.9)]
    expected = sample([LR, MOMENTUM], 0, 4)
    for job in app.jobs:
        assert job.trial == [0, 1, 2, 3]
        assert job.optimizer.lr == expected["optimizer.lr"]
        assert job.optimizer.momentum == expected["optimizer.momentum"]
    assert app.checked == app.jobs
    assert app.launches == 1
    titles = [f"batch_size={b}, sparsity={s}" for b, s in [(4, 0), (4, 0.9), (16, 0), (16, 0.9)]]
    assert app.studies == [f"{number} of 4  {title}" for number, title in enumerate(titles, start=1)]
    assert app.table == [f"outputs/fast/batch_size={b},sparsity={s}" for b, s in [(4, 0), (4, 0.9), (16, 0), (16, 0.9)]]


def test_replicates_repeat_the_grid_with_points_of_their_own_in_folders_of_their_own(sweep: Sweep) -> None:
    app = sweep("batch_size=4,16", "hydra.sweeper.replicates=3")
    assert [(job.replicate, job.batch_size) for job in app.jobs] == [(r, b) for r in range(3) for b in (4, 16)]
    for job in app.jobs:
        assert job.trial == [0, 1, 2, 3]
        assert job.optimizer.lr == sample([LR, MOMENTUM], 0, 4, job.replicate)["optimizer.lr"]
    folders = [f"outputs/fast/batch_size={b},sparsity=0" for b in (4, 16)]
    assert app.table == [*folders, *(f"{folder}/replicate={r}" for r in (1, 2) for folder in folders)]
    assert app.studies[-1] == "6 of 6  batch_size=16, sparsity=0, replicate=2"


def test_no_grid_is_one_study(sweep: Sweep) -> None:
    app = sweep("hydra.sweeper.trials=2", "batch_size=8")
    assert [(job.batch_size, job.trial) for job in app.jobs] == [(8, [0, 1])]


def test_study_split_over_jobs(sweep: Sweep) -> None:
    app = sweep("batch_size=4,16", "hydra.sweeper.trials=5", "hydra.sweeper.trials_per_job=2")
    assert [job.trial for job in app.jobs] == [[0, 1], [2, 3], [4]] * 2
    lr = sample([LR, MOMENTUM], 0, 5)["optimizer.lr"]
    assert [value for job in app.jobs[:3] for value in job.optimizer.lr] == lr
    assert app.table == ["outputs/fast/batch_size=4,sparsity=0", "outputs/fast/batch_size=16,sparsity=0"]
    assert app.launches == 1


def test_every_workload_has_its_own_space(sweep: Sweep) -> None:
    app = sweep("workload=plain,fast")
    plain, fast = app.jobs
    assert plain.optimizer == {"lr": sample([LR], 0, 4)["optimizer.lr"]}
    assert app.names == [("plain", "sgd"), ("fast", "momentum")]
    assert list(fast.optimizer.values()) == list(sample([LR, MOMENTUM], 0, 4).values())
    assert app.table == ["outputs/plain/batch_size=16,sparsity=0", "outputs/fast/batch_size=16,sparsity=0"]


def test_a_folder_that_was_typed_still_tells_studies_apart(sweep: Sweep) -> None:
    assert sweep("workload=plain,fast", "hydra.sweep.dir=mine").table == [
        f"mine/batch_size=16,sparsity=0,workload={name}" for name in ("plain", "fast")
    ]
    assert sweep("sparsity=0.0").table == ["outputs/fast/batch_size=16,sparsity=0"]
    assert sweep("batch_size=8,16", "hydra.sweep.subdir=one").table == [
        f"outputs/fast/one,batch_size={size}" for size in (8, 16)
    ]


def test_only_folders_of_studies_are_made(sweep: Sweep, tmp_path: Path) -> None:
    sweep("workload=choice(plain)")  # not that of the configuration's own workload, `fast`
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["plain"]


def test_interval_on_the_command_line_replaces_the_spaces(sweep: Sweep) -> None:
    (job,) = sweep("lr_schedule.decay_steps=int(interval(1, 9))", "optimizer.lr=interval(0, 1)").jobs
    decay_steps = parse("lr_schedule.decay_steps", "int(interval(1, 9))")
    expected = sample([parse("optimizer.lr", "interval(0, 1)"), MOMENTUM, decay_steps], 0, 4)
    assert job.optimizer.lr == expected["optimizer.lr"] == [0.5, 0.75, 0.25, 0.375]
    assert job.optimizer.momentum == expected["optimizer.momentum"]
    assert job.lr_schedule.decay_steps == expected["lr_schedule.decay_steps"]


def test_settled_keys_leave_the_space(sweep: Sweep) -> None:
    app = sweep("optimizer.lr=0.1,0.2", "sparsity=0.5")
    expected = sample([MOMENTUM], 0, 4)["optimizer.momentum"]
    assert [(job.optimizer.lr, job.optimizer.momentum) for job in app.jobs] == [(0.1, expected), (0.2, expected)]


def test_other_grid_keys_are_in_the_folders_names(sweep: Sweep) -> None:
    app = sweep("batch_size=4,8", "+root=/a/b,'it\\'s, $x'", "optimizer=sgd", "space=lr")
    assert app.table == [
        f"outputs/fast/batch_size={b},sparsity=0,root={root}"
        for b in (4, 8)
        for root in ("%2Fa%2Fb", "it%5C%27s,%20%24x")
    ]
    assert [job.root for job in app.jobs] == ["/a/b", "it's, $x"] * 2
    assert app.studies[1] == "2 of 4  batch_size=4, sparsity=0, root=it%5C%27s,%20%24x"


def test_the_last_of_a_repeated_key_counts(sweep: Sweep) -> None:
    assert [job.batch_size for job in sweep("batch_size=4,8", "sparsity=0.5", "batch_size=2").jobs] == [2]


def test_a_failed_study_leaves_the_others_alone(sweep: Sweep, app: App) -> None:
    where = r"\(the traceback is in the folder's dps.log\)"
    line = r"disk full second line \(test_dps_sobol\.py, line \d+\)"
    summary = rf"^1 of 3 studies failed {where}: outputs/fast/batch_size=666,sparsity=0: {line}$"
    with pytest.raises(RuntimeError, match=summary):
        sweep("batch_size=4,666,8", "hydra.sweeper.trials_per_job=2")
    assert [job.batch_size for job in app.jobs] == [4, 4, 666, 666, 8, 8]
    assert app.table is not None and len(app.table) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optimizer.lr=0.1", "optimizer.momentum=0.9"], "^space is empty: .*space=lr, or leave out -m$"),
        (["~space"], "^space is empty"),
        (["trial=1"], r"^trial=1 cannot be combined .* hydra\.sweeper\.trials says how many$"),
        (["trial=0,1"], "^trial=0,1 cannot be combined"),
        (["hydra.sweeper.trials=0"], r"^hydra\.sweeper\.trials=0 must be a positive integer$"),
        (["hydra.sweeper.replicates=0"], r"^hydra\.sweeper\.replicates=0 must be a positive integer$"),
        (["replicate=1"], r"^replicate=1 cannot be .*hydra\.sweeper\.replicates says how many$"),
        (["hydra.sweeper.trials_per_job=-1"], r"^hydra\.sweeper\.trials_per_job=-1 must be a positive integer$"),
        (["optimizer.lr=tag(log,interval(1e-3,1)),0.5"], r"^optimizer\.lr=.*,0\.5 mixes an interval with other values"),
        (["optimizer.lr=tag(ln,interval(1e-3,1))"], "unknown tag ln"),
        (["batch_size=range(4,4)"], r"^batch_size=range\(4,4\) gives no value"),
        (
            ["optimizer=sgd"],
            r"^space has the dimension optimizer\.momentum, .* no optimizer\.momentum; space=lr fits it$",
        ),
        (["optimizer=momentum,sgd"], "space=lr fits it"),
        (["optimizer.decay=interval(0,1)"], r"^optimizer\.decay is given an interval, but .* has no optimizer\.decay$"),
        (["batch_size=4,0"], "^batch_size=0 must be positive$"),
    ],
)
def test_refused_before_anything_runs(
    sweep: Sweep, app: App, tmp_path: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        sweep(*arguments)
    assert "\n" not in str(error.value)
    assert app.launches == 0
    assert not (tmp_path / "outputs").exists()


def test_hydra_finds_the_plugin() -> None:
    assert "SobolSweeper" in [plugin.__name__ for plugin in Plugins.instance().discover(Sweeper)]


def test_import_is_light() -> None:
    heavy = "{'torch', 'scipy', 'pandas', 'numpy'}"
    command = f"import sys, hydra_plugins.dps_sobol.sweeper; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=True, timeout=60)

"""What Hydra would call, or set, before dps has seen the configuration that names it."""

from pathlib import Path

import pytest
from command import dps, here

from dps.bench.main import main as bench

CALLED = "+hydra.callbacks.x={_target_: os.mkdir, path: planted}"
REFUSED = [
    (CALLED, "hydra.callbacks.x._target_=os.mkdir"),
    ("hydra.launcher._target_=os.mkdir", "hydra.launcher._target_=os.mkdir"),
    ("+hydra.sweeper.x={_target_: os.mkdir, path: planted}", "hydra.sweeper.x._target_=os.mkdir"),
    ("+hydra.callbacks.x._target_=hydra.experimental.callbacks.pickle.load", "hydra.callbacks.x._target_=hydra.exp"),
    ("+hydra.job_logging.handlers.x.class=logging.os.mkdir", "hydra.job_logging.handlers.x.class=logging.os.mkdir"),
    ("+hydra.job_logging.handlers.x.class=os.mkdir", "hydra.job_logging.handlers.x.class=os.mkdir"),
    ("+hydra.hydra_logging.filters.x='ext://planted.x'", "hydra.hydra_logging.filters.x=ext://planted.x"),
    ("+hydra.job.env_set.DPS_ALLOW=os", "hydra.job.env_set.DPS_ALLOW"),
    ("+hydra.job.env_set.PYTHONPATH=.", "hydra.job.env_set.PYTHONPATH"),
]


@pytest.mark.fault("a foreign name in Hydra's own part")
@pytest.mark.parametrize(("typed", "named"), REFUSED)
@pytest.mark.parametrize("sweep", [False, True], ids=["alone", "sweep"])
def test_it_is_refused_before_it_is_called(tmp_path: Path, typed: str, named: str, sweep: bool) -> None:
    done = dps(tmp_path, *(["-m", "batch_size=4,8"] if sweep else []), typed)
    assert (
        (done.code, done.stdout) == (1, "")
        and done.stderr.startswith(f"dps: {named}")
        and " is not allowed: " in done.stderr
    )
    assert done.stderr.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.fault("a foreign name in Hydra's own part")
@pytest.mark.parametrize(
    "callback", ["{_target_: os.mkdir, path: planted}", "'${oc.create:{_target_:os.mkdir,path:planted}}'"]
)
def test_a_file_of_somebody_elses_calls_nothing(tmp_path: Path, callback: str) -> None:
    (tmp_path / "lab" / "callbacks").mkdir(parents=True)
    file = tmp_path / "lab" / "callbacks" / "theirs.yaml"
    file.write_text(f"# @package _global_\nhydra:\n  callbacks:\n    x: {callback}\n")
    done = dps(tmp_path, "--config-dir=lab", "callbacks=[goal,theirs]")
    assert done.code == 1 and "hydra.callbacks.x._target_=os.mkdir is not allowed" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["lab"]


def test_a_callback_of_hydras_in_the_folder_of_config_dir_is_called(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    code = "from hydra.experimental.callback import Callback\n\n\nclass Own(Callback):\n"
    code += "    def on_run_start(self, config, **_):\n        open('called', 'w').close()\n"
    (tmp_path / "lab" / "lab_callbacks.py").write_text(code)
    done = dps(tmp_path, "--config-dir=lab", "+hydra.callbacks.x._target_=lab_callbacks.Own", "max_steps=0")
    assert done.code == 1 and "max_steps" in done.stderr and (tmp_path / "called").exists()


def test_the_benchmark_refuses_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = here(bench, "dps-bench", CALLED)
    assert done.code == 1 and "hydra.callbacks.x._target_=os.mkdir is not allowed" in done.stderr
    assert not list(tmp_path.iterdir())

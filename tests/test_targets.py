"""What a configuration may name under `_target_`, and that nothing else is imported."""

import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from command import CACHE, dps, process, study
from configuration import Composed, config, refusal
from omegaconf import OmegaConf

import dps as library
from dps.analysis.command import command
from dps.analysis.study_folder import read
from dps.engine import targets
from dps.engine.study import Study
from dps.storage import records

PLACES = [
    *("data", "data.load", "model", "model.in_channels", "optimizer", "lr_schedule", "pruning", "pruning.criterion"),
    *(
        "callbacks.goal",
        "bookkeeping.record",
        "trainer",
        "trainer.strategy",
        "logger",
        "goal.error",
        "metaparameters.x",
    ),
]
PLANTED = "open('planted', 'w').close()\nfrom dps.models import SimpleCNN as Own\n"
SMALL = ["batch_size=8", "goal.interval_steps=4", "max_steps=4", "optimizer.lr=1e-6"]
SMALL += ["stack.trials_per_slice=1", "stack.examples_per_pass=8", "stack.products=false"]


@pytest.mark.parametrize(
    "foreign",
    ["pandas.read_pickle", "joblib.load", "torch.load", "sympy.sympify", "torch.hub.load", "os.system", "x.y"],
)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.fault("a foreign _target_")
def test_nothing_foreign_is_called_wherever_it_stands(place: str, foreign: str) -> None:
    nodes = [{"_target_": foreign}, {"_target_": foreign, "_partial_": True}, [{"_args_": [{"_target_": foreign}]}]]
    for node in nodes:
        cfg = config()
        OmegaConf.update(cfg, place, node, merge=False, force_add=True)
        assert f"_target_={foreign} is not allowed" in refusal(Study.parse, cfg)


@pytest.mark.parametrize(
    ("place", "inherited"),
    [
        ("data.load", "dps.data.sources.os.system"),
        ("data.load", "dps.data.StudyData.load_from_checkpoint"),
        ("model", "torch.nn.functional.torch.load"),
        ("callbacks.goal", "callbacks.prune.torch.load"),
        ("pruning.criterion", "dps.pruning.snip.__globals__"),
    ],
)
@pytest.mark.fault("a foreign _target_")
def test_nor_by_the_way_of_a_module_that_is_allowed(place: str, inherited: str) -> None:
    node = {"_target_": inherited, "_partial_": True}
    sentence = refusal(Study.parse, config(**{place.replace(".", "__"): node}))
    assert f"{place}._target_={inherited} is not allowed" in sentence


def test_a_target_that_an_interpolation_makes_is_seen() -> None:
    made = refusal(Study.parse, config(model="${oc.create:{_target_:os.system}}"))
    assert made.startswith("model._target_=os.system is not allowed")


@pytest.mark.parametrize("target", [None, 3, "", ["os", "system"]])
def test_a_name_is_text(target: Any) -> None:
    assert "is not allowed" in refusal(Study.parse, config(model={"_target_": target}))


@pytest.mark.fault("a foreign _target_")
def test_what_is_not_allowed_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted_models.py").write_text(PLANTED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    cfg = config(model={"_target_": "planted_models.Own"})
    refusal(Study.parse, cfg)
    assert "planted_models" not in sys.modules and not (tmp_path / "planted").exists()


@pytest.mark.parametrize("beside", [True, False], ids=["beside the folder", "elsewhere"])
def test_code_beside_the_folder_of_config_dir_is_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    name = f"lab_models_{beside}"
    code = tmp_path if beside else tmp_path / "elsewhere"
    (tmp_path / "conf" / "model").mkdir(parents=True)
    code.mkdir(exist_ok=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text(f"_target_: {name}.Own\n")
    (code / f"{name}.py").write_text(PLANTED.replace(" as Own", "\n\n\nclass Own(SimpleCNN): ..."))
    monkeypatch.syspath_prepend(code)
    done = dps(tmp_path, "--config-dir", str(tmp_path / "conf"), "model=own", *SMALL)
    assert done.code == (0 if beside else 1), done.stderr
    assert (tmp_path / "planted").exists() == beside
    assert beside or f"model._target_={name}.Own is not allowed" in done.stderr
    if beside:
        again = OmegaConf.load(study(tmp_path, 8) / ".hydra" / "config.yaml")
        assert "is not allowed" in refusal(Study.parse, again)  # type: ignore[arg-type]
        monkeypatch.setenv(targets.ALLOWED, f"another, {name}")
        Study.parse(again)  # type: ignore[arg-type]


@pytest.mark.parametrize("build", ["torchvision.models.squeezenet1_1", "dps.models.MLP"])
def test_a_network_of_torchvision_or_ours_is_allowed(composed: Composed, build: str) -> None:
    assert callable(targets.load("model._target_", build))


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder of a user's own, with a model, its YAML file, and a module that has the name of one of Python's."""
    (tmp_path / "lab" / "model").mkdir(parents=True)
    (tmp_path / "lab" / "model" / "own.yaml").write_text("_target_: lab_networks.Own\n")
    code = PLANTED.replace(" as Own", "\nimport wave\n\n\nclass Own(SimpleCNN): ...")
    (tmp_path / "lab" / "lab_networks.py").write_text(code)
    (tmp_path / "lab" / "wave.py").write_text("raise RuntimeError('not this one')\n")
    return tmp_path / "lab"


def test_code_in_the_folder_of_config_dir_is_imported(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = lab.parent
    done = dps(here, "--config-dir=lab", "model=own", *SMALL)
    assert done.code == 0, done.stderr
    printed = shlex.split(command(read(study(here, 8))))
    assert printed[:2] == ["dps", "--config-dir=lab"]
    again = dps(here, *printed[1:])
    (_, table), (line, shown) = (one.stdout.split("\n", 1) for one in (done, again))
    assert again.code == 0 and line.endswith("finished before") and shown == table
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.delenv(targets.ALLOWED, raising=False)
    monkeypatch.setenv(targets.IMPORTED, "")
    assert library.run(["model=own", *SMALL], config_dir="lab").trials["steps_run"].tolist() == [4]
    elsewhere = dps(here, f"--config-dir={lab}", "model=own", *SMALL, "hydra.run.dir=elsewhere")
    assert elsewhere.code == 0 and command(read(here / "elsewhere")).startswith("dps --config-dir=lab ")


def test_a_file_that_has_the_name_of_another_module_is_named(lab: Path) -> None:
    (lab / "model" / "other.yaml").write_text("_target_: wave.Own\n")
    done = dps(lab.parent, "--config-dir=lab", "model=other")
    what = f"model._target_=wave.Own is not allowed: Python has another module wave: rename {lab / 'wave.py'}"
    assert done.code == 1 and done.stderr == f"dps: {what}\n"


@pytest.mark.slow
def test_other_processes_have_the_folder_too(lab: Path) -> None:
    here, typed = lab.parent, ["--config-dir=lab", "model=own", "batch_size=8", "goal.error=0.3", "max_steps=32"]
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "optimizer.lr=0.02"]
    done = process(here, *typed, *two)
    assert done.code == 0 and len(records.read(study(here, 8))) == 1, done.stderr
    confirm = [sys.executable, "-m", "dps.confirm.main", "--config-dir", "lab", str(study(here, 8))]
    env = {**os.environ, "DPS_CACHE": CACHE.name}
    best = [*confirm, "--configurations=1", "--seeds=6", "trainer.devices=1"]
    confirmed = subprocess.run(best, cwd=here, env=env, capture_output=True, text=True, check=False)
    assert confirmed.returncode == 0 and (study(here, 8) / "confirm.csv").exists(), confirmed.stderr
    if find_spec("hydra_plugins.hydra_joblib_launcher"):
        joblib = ["hydra.sweeper.trials=2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
        done = process(here, "-m", *typed, *joblib, "batch_size=16")
        assert done.code == 0 and len(records.read(study(here, 16))) == 2, done.stderr

"""What `import dps` offers: it costs nothing until it is asked for, and does what the commands do."""

import logging
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from command import dps as command
from command import rows, study
from hydra import compose, initialize_config_module, version
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from torch import Tensor, nn

import dps
from dps.engine import fit
from dps.engine.module import StudyTask
from dps.models import SimpleCNN, StackedModel, built
from dps.pruning import Unpruned, snip
from dps.pruning import masks as masks_of

STACK = ["stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"]
SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=32", *STACK]


def test_the_import_brings_in_nothing_heavy() -> None:
    code = "import sys, dps; print({*map(str, sys.modules)} & {'torch', 'pandas', 'hydra', 'numpy'}, dps.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"set() {dps.__all__}"
    assert set(dps.__all__) <= set(dir(dps)) and all(getattr(dps, name) for name in dps.__all__)
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        _ = dps.runn  # type: ignore[attr-defined]


class Normed(nn.Module):
    """A network that no stack can have: batch normalisation, a frozen layer, a buffer that it changes."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.dense = nn.Linear(4 * 4 * 4, 5)
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        logits: Tensor = self.dense(F.relu(self.norm(self.conv(x))).flatten(1)) * self.scale
        return logits


def examples(number: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(number, 1, 6, 6, generator=generator), torch.arange(number) % 5


def normed() -> Normed:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Normed()


@pytest.mark.parametrize("training", [True, False])
def test_masks_of_any_module_keep_the_largest_sensitivities(training: bool) -> None:
    module, (inputs, labels) = normed().train(training), examples()
    before = {name: values.clone() for name, values in module.state_dict().items()}
    kept = dps.masks(module, inputs, labels, 0.75)
    assert all(torch.equal(values, before[name]) for name, values in module.state_dict().items())
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    assert all(p.grad is None for p in trained.values())
    F.cross_entropy(module(inputs), labels).backward()
    scores = {name: (p.detach() * p.grad).abs() for name, p in trained.items() if p.grad is not None}
    total = sum(p.numel() for p in trained.values())
    least = torch.cat([one.flatten() for one in scores.values()]).sort().values[-round(total / 4)]
    assert {name: (mask.shape, mask.dtype) for name, mask in kept.items()} == {
        name: (p.shape, torch.bool) for name, p in trained.items()
    }
    assert sum(int(mask.sum()) for mask in kept.values()) == round(total / 4)
    for name, mask in kept.items():
        clear = (scores[name] - least).abs() > 1e-6 * least  # of those that rounding cannot put on the other side
        assert torch.equal(mask[clear], (scores[name] > least)[clear])


class Tokens(nn.Module):
    """A network for numbers of words, with a buffer of fractions."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.dense = nn.Embedding(10, 8), nn.Linear(8, 3)
        self.register_buffer("places", torch.linspace(0, 0.9, 8))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.dense(self.embedding(x) * self.places)
        return logits


def test_masks_of_a_module_that_takes_integers() -> None:
    module, inputs, labels = Tokens(), torch.arange(40) % 10, torch.arange(40) % 3
    kept = dps.masks(module, inputs, labels, 0.5)["dense.weight"]
    F.cross_entropy(module(inputs), labels).backward()
    gradient = module.dense.weight.grad
    assert gradient is not None and kept.any() and not kept[gradient == 0].any()


def test_masks_are_those_of_a_study() -> None:
    images, labels = torch.rand(12, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 10
    model = StackedModel(SimpleCNN, images)
    weights = {name: values[None] for name, values in zip(model.names, model.initial(3), strict=True)}
    of_study = masks_of(snip(Unpruned(model, weights, images, labels, 3, 0.9)), 0.9)
    own = dps.masks(built(SimpleCNN, 3), images, labels, 0.9)
    differ = sum(int((own[name] != mask[0]).sum()) for name, mask in of_study.items())
    assert differ <= 2  # of 62,346: a pair whose scores rounding may turn round


@pytest.mark.parametrize("criterion", ["snip", "grasp", "synflow", "magnitude", "random", partial(snip)])
def test_every_criterion_takes_any_module(criterion: Any) -> None:
    kept = dps.masks(normed().eval(), *examples(), 0.5, criterion)
    numbers = sum(mask.numel() for mask in kept.values())
    assert sum(int(mask.sum()) for mask in kept.values()) == round(numbers / 2)


@pytest.mark.parametrize("criterion", ["snip", "grasp", "synflow"])
def test_what_is_not_trained_is_not_pruned(criterion: str) -> None:
    module, (inputs, labels) = normed().eval(), examples()
    whole = dps.masks(module, inputs, labels, 0.5, criterion)
    frozen = next(iter(whole))
    module.get_parameter(frozen).requires_grad_(False)
    with torch.no_grad():
        kept = dps.masks(module, inputs, labels.int(), 0.5, criterion)
    assert kept.keys() == whole.keys() - {frozen}
    numbers = sum(mask.numel() for mask in kept.values())
    assert sum(int(mask.sum()) for mask in kept.values()) == round(numbers / 2)


def test_a_criterion_that_works_in_place_leaves_the_module_alone() -> None:
    module = normed().eval()
    before = {name: values.clone() for name, values in module.state_dict().items()}
    dps.masks(module, *examples(), 0.5, lambda trial: {name: w.abs_() for name, w in trial.weights.items()})
    assert all(torch.equal(values, before[name]) for name, values in module.state_dict().items())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"sparsity": 1}, "sparsity=1 must be from 0 to below 1"),
        ({"sparsity": -0.1}, "sparsity=-0.1 must be from 0 to below 1"),
        ({"sparsity": 0.9999}, "keep one of 373 parameters"),
        ({"criterion": "snap"}, "criterion=snap must be one of grasp, magnitude, random, snip, synflow, or a function"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, r"labels=\(3,\) must be \(40,\)"),
        ({"labels": torch.zeros(40)}, "labels=torch.float32 must be numbers of classes, as torch.int64"),
        ({"inputs": torch.full((40, 1, 6, 6), torch.nan)}, "criterion: the scores of .* are not all finite"),
        ({"module": nn.Flatten()}, "module=Flatten must be one with parameters"),
    ],
)
def test_wrong_masks_are_refused(given: dict[str, Any], sentence: str) -> None:
    inputs, labels = examples()
    every: dict[str, Any] = {"module": normed().eval(), "inputs": inputs, "labels": labels, "sparsity": 0.5}
    with pytest.raises(ValueError, match=sentence):
        dps.masks(**(every | given))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_study_of_a_sweep_is_what_the_command_makes_of_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with initialize_config_module("conf", version_base="1.2"):
        state = version.getbase(), GlobalHydra.instance().hydra, HydraConfig.instance().cfg, logging.root.handlers[:]
        found = dps.run(SMALL, trials=2)
        assert state[:3] == (version.getbase(), GlobalHydra.instance().hydra, HydraConfig.instance().cfg)
        assert logging.root.handlers == state[3]
        compose("config")
    own = rows(found.folder)
    assert found.folder == study(place, 8) and found.trials["trial"].tolist() == [0, 1]
    assert found.steps_to_result == own["steps_to_result"].min()
    typed = (found.folder / ".hydra" / "overrides.yaml").read_bytes()
    (place / "command").mkdir()
    done = command(place / "command", "-m", *SMALL, "hydra.sweeper.trials=2")
    assert done.code == 0, done.stderr
    by_command = study(place / "command", 8)
    pd.testing.assert_frame_equal(own, rows(by_command))
    assert typed == (by_command / ".hydra" / "overrides.yaml").read_bytes()
    assert (found.folder / ".hydra" / "sweep.yaml").read_text() == "trials: 2\n"
    monkeypatch.setattr(fit, "fit", lambda study: pytest.fail("a finished study trains again"))
    again = dps.run(SMALL, trials=2)
    assert again.steps_to_result == found.steps_to_result
    pd.testing.assert_frame_equal(again.trials, found.trials)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"overrides": ["goal.error=2"]}, r"goal\.error=2 must be"),
        ({"overrides": ["goal.eror=0.2"]}, "goal.eror is not an option"),
        ({"overrides": ["model=resnet9"]}, "model=resnet9 is unknown: choose one of mlp, resnet8"),
        ({"overrides": ["batch_size=8,16"]}, "batch_size=8,16"),
        ({"overrides": ["batch_size=8,16"], "trials": 2}, "batch_size=8,16 asks for 2 studies: dps.run runs one"),
        ({"overrides": ["trial=3"], "trials": 2}, "trial"),
        ({"overrides": ["logger"]}, "logger"),
        ({"overrides": "batch_size=8"}, "overrides=batch_size=8 must be a list of texts"),
        ({"overrides": ["max_steps=interval(10,20)"], "trials": 2}, "max_steps takes no interval: only metaparameters"),
        ({"overrides": ["+hydra.callbacks.x._target_=builtins.print"]}, r"hydra\.callbacks\.x\._target_=builtins"),
        ({"trials": 0}, "trials=0 must be an integer from 1 to 1000000, or None"),
        ({"config_dir": "absent"}, "config_dir=absent must be a folder"),
    ],
)
def test_what_the_command_refuses_is_a_value_error(place: Path, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        dps.run(**given)
    assert "\n" not in str(caught.value)
    assert not list(place.rglob("trials.csv"))


def test_a_package_of_the_same_name_is_not_taken_for_that_of_the_configurations(place: Path) -> None:
    (place / "conf").mkdir()
    (place / "conf" / "__init__.py").touch()
    code = "import dps, torch\nprint(*dps.masks(torch.nn.Linear(2, 2), torch.eye(2), torch.arange(2), 0.5))\ndps.run()"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stdout == "weight bias\n"
    assert f"ValueError: the name conf stands for {place / 'conf' / '__init__.py'}, not for" in done.stderr


def test_an_interrupted_study_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = [*SMALL, "optimizer.lr=1e-6", "stack.trials_per_slice=1"]
    step = StudyTask.training_step

    def interrupted(task: StudyTask, *batch: Any) -> None:
        if task.global_step == 9:
            os.kill(os.getpid(), signal.SIGINT)
        step(task, *batch)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(StudyTask, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"^stopped by Ctrl-C: .* step 10"):
            dps.run(typed, trials=1)
    assert signal.getsignal(signal.SIGINT) is before
    assert (study(place, 8) / "trials=0-0.ckpt").exists()
    assert dps.run(typed, trials=1).trials["steps_run"].tolist() == [32]

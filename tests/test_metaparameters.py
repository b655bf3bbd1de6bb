"""The table of metaparameters, and one that a user declares: fixed, listed, searched, recorded and reported."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from command import dps, study
from torch import Tensor, nn

from dps.protocol.metaparameters import TABLE, Metaparameter, declared
from dps.stack.sgd import SGD
from dps.storage import records

OF = {one.name: one for one in TABLE}
RAMP = {"option": "lr_schedule.ramp_steps", "type": "int", "range": "[0, inf)", "scale": "linear", "idle": 0}
YAML = """
# @package _global_
lr_schedule:
  _target_: test_metaparameters.ramp
  _partial_: true
  ramp_steps: 6
metaparameters:
  ramp_steps: {option: lr_schedule.ramp_steps, type: int, range: "[0, inf)", scale: linear, idle: 0}
"""


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPS_ALLOW", "test_metaparameters")


SMALL = ["batch_size=8", "goal.error=0.3", "goal.interval_steps=4", "max_steps=24", "optimizer.lr=0.02", "race=false"]


def ramp(step: int, ramp_steps: Tensor) -> Tensor:
    """A user's schedule: a linear rise over ramp_steps (S,), then level."""
    return ((step + 1) / ramp_steps.clamp(min=1)).clamp(max=1)


def anything(step: int, **options: Tensor) -> float:
    """A user's schedule that takes whatever it is given."""
    return 1.0


class Clipped(SGD):
    """A user's optimizer: no element of an update is larger than `clip`, a metaparameter of its own."""

    def __init__(
        self, slices: Sequence[Sequence[nn.Parameter]], lr: Sequence[float], clip: Sequence[float], **of_sgd: Any
    ):
        super().__init__(slices, lr, **of_sgd)
        self.hold(clip=clip)

    def direction(self, weight: nn.Parameter, *, clip: Tensor, **of_sgd: Tensor) -> Tensor:  # type: ignore[override]
        return torch.minimum(torch.maximum(super().direction(weight, **of_sgd), -clip), clip)


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The option that adds a user's folder of configurations, which has the schedule."""
    (tmp_path / "own" / "lr_schedule").mkdir(parents=True)
    (tmp_path / "own" / "lr_schedule" / "ramp.yaml").write_text(YAML)
    return f"--config-dir={tmp_path / 'own'}"


@pytest.mark.parametrize(
    ("one", "right", "wrong"),
    [
        (TABLE[0], [1e-9, 1, 7], [0, -1, float("inf"), float("nan"), "fast", None, True]),
        (TABLE[1], [0, 0.999], [1, -0.1, float("nan")]),
        (TABLE[2], [1, 10**6], [0, 1.5, True]),
        (TABLE[3], [0, 0.5, 1], [-0.1, 1.1]),
        (OF["eps"], [1e-30, 1], [0, 1e-50, float("inf")]),
        (OF["beta2"], [0, 0.999], [1]),
        (OF["warmup_steps"], [0, 7], [-1, 0.5]),
        (OF["label_smoothing"], [0, 1], [-0.1, 1.1]),
        (Metaparameter("n", "optimizer.n", float, "(-2, 1e3]", "linear", 0), [-1.9, 1000], [-2, 1000.5]),
    ],
    ids=lambda value: value.name if isinstance(value, Metaparameter) else None,
)
def test_a_range_holds_its_own(one: Metaparameter, right: list[Any], wrong: list[Any]) -> None:
    for value in right:
        one.check(value)
    for value in wrong:
        with pytest.raises(ValueError, match=f"^{one.option}=.* must be "):
            one.check(value)


def test_a_declared_metaparameter_comes_after_those_of_the_table() -> None:
    assert declared(None) == declared({}) == TABLE
    found = declared({"ramp_steps": RAMP})
    assert found[:-1] == TABLE
    assert found[-1] == Metaparameter("ramp_steps", "lr_schedule.ramp_steps", int, "[0, inf)", "linear", 0.0)


def test_what_the_table_has_since_may_have_been_declared() -> None:
    row = {"option": "lr_schedule.warmup_steps", "type": "int", "range": "[1, inf)", "scale": "log", "idle": 1}
    assert declared({"warmup_steps": row}) == TABLE
    for other in ({"option": "optimizer.warmup_steps"}, {"type": "float"}):
        with pytest.raises(ValueError, match="metaparameters=warmup_steps must be a new name"):
            declared({"warmup_steps": row | other})


@pytest.mark.parametrize(
    ("name", "changed", "named"),
    [
        ("lr", {}, "metaparameters=lr must be a new name"),
        ("ramp up", {}, "metaparameters=ramp up must be a new name"),
        ("ramp_steps", {"type": "integer"}, "metaparameters.ramp_steps.type=integer must be one of float, int"),
        ("ramp_steps", {"scale": "log2"}, "metaparameters.ramp_steps.scale=log2 must be one of linear"),
        ("ramp_steps", {"range": "0 to 5"}, "metaparameters.ramp_steps.range=0 to 5 must be an interval"),
        ("ramp_steps", {"idle": None}, "metaparameters.ramp_steps.idle=null must be a number"),
        ("ramp_steps", {"option": "goal.error"}, "metaparameters.ramp_steps.option=goal.error must be optimizer."),
        ("ramp_steps", {"colour": "red"}, "must be a mapping with the keys option, type, range, scale, idle"),
    ],
)
def test_a_wrong_declaration_is_named(name: str, changed: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError) as error:
        declared({name: RAMP | changed})
    assert named in str(error.value)


def test_it_can_be_fixed_and_lands_in_the_record(tmp_path: Path, own: str) -> None:
    assert dps(tmp_path, own, *SMALL, "lr_schedule=ramp").code == 0
    (row,) = records.read(study(tmp_path, 8)).to_dict("records")
    assert (row["lr_schedule"], row["ramp_steps"]) == ("ramp", 6)
    header = (study(tmp_path, 8) / "trials.csv").read_text().splitlines()[0].split(",")
    assert header[header.index("label_smoothing") + 1 :][:2] == ["ramp_steps", "goal_error"]


def test_it_can_be_listed_and_acts_trial_by_trial(tmp_path: Path, own: str) -> None:
    typed = [own, *SMALL, "lr_schedule=ramp", "stack.trials_per_slice=2", "stack.examples_per_pass=8"]
    typed += ["stack.products=false"]
    done = dps(tmp_path, *typed, "trial=[1,2,4]", "lr_schedule.ramp_steps=[0,100,3]")
    assert (done.code, done.stderr) == (0, "")
    assert "ramp_steps" in done.stdout
    listed = records.read(study(tmp_path, 8)).set_index("trial")
    assert listed["ramp_steps"].to_dict() == {1: 0, 2: 100, 4: 3}
    (tmp_path / "alone").mkdir()
    dps(tmp_path / "alone", *typed, "trial=2", "lr_schedule.ramp_steps=100")
    alone = records.read(study(tmp_path / "alone", 8)).set_index("trial")
    assert alone.loc[2, "validation_error"] == listed.loc[2, "validation_error"]
    (tmp_path / "level").mkdir()
    dps(tmp_path / "level", *typed[:-4], *typed[-3:], "trial=1")  # the constant schedule, for a ramp of 0 steps
    level = records.read(study(tmp_path / "level", 8)).set_index("trial")
    assert level.loc[1, "validation_error"] == listed.loc[1, "validation_error"]
    assert listed.loc[2, "validation_error"] > listed.loc[1, "validation_error"]


def test_it_can_be_searched_and_another_value_of_a_recorded_trial_is_refused(tmp_path: Path, own: str) -> None:
    typed = ["-m", own, *SMALL, "lr_schedule=ramp", "lr_schedule.ramp_steps=int(interval(0, 16))"]
    done = dps(tmp_path, *typed, "optimizer.momentum=0.9", "hydra.sweeper.trials=3")
    assert (done.code, done.stderr) == (0, "")
    (csv,) = tmp_path.rglob("trials.csv")
    assert records.read(csv.parent)["ramp_steps"].tolist() == [8, 12, 4]  # Sobol: .5, .75, .25 of [0, 16)
    again = dps(tmp_path, *typed[1:-1], "trial=[0]", "lr_schedule.ramp_steps=[9]")
    assert again.code == 1 and "lr_schedule.ramp_steps=8, not 9" in again.stderr


def test_an_optimizers_own_metaparameter_acts_trial_by_trial_and_leaves_with_its_trial(tmp_path: Path) -> None:
    (tmp_path / "own" / "optimizer").mkdir(parents=True)
    (tmp_path / "own" / "optimizer" / "clipped.yaml").write_text(
        """
# @package _global_
optimizer: {_target_: test_metaparameters.Clipped, _partial_: true, lr: 0.05, clip: 1.0}
metaparameters:
  clip: {option: optimizer.clip, type: float, range: "(0, inf)", scale: log, idle: 1}
"""
    )
    typed = [f"--config-dir={tmp_path / 'own'}", *SMALL[:3], "max_steps=48", "race=false", "optimizer=clipped"]
    typed += ["stack.trials_per_slice=1", "stack.examples_per_pass=8", "stack.products=false"]
    done = dps(tmp_path, *typed, "trial=[0,1,2]", "optimizer.clip=[100,1e-9,0.01]")
    assert (done.code, done.stderr) == (0, "")
    clipped = records.read(study(tmp_path, 8)).set_index("trial")
    assert clipped["clip"].to_dict() == {0: 100, 1: 1e-9, 2: 0.01} and clipped.loc[1, "status"] == "incomplete"
    (tmp_path / "plain").mkdir()
    assert dps(tmp_path / "plain", *typed[1:6], "optimizer=sgd", *typed[7:], "trial=0", "optimizer.lr=0.05").code == 0
    plain = records.read(study(tmp_path / "plain", 8)).set_index("trial")
    names = ["status", "steps_run", "validation_error"]
    assert clipped.loc[0, names].to_dict() == plain.loc[0, names].to_dict() and plain.loc[0, "status"] == "complete"


def test_a_value_out_of_its_range_is_refused(tmp_path: Path, own: str) -> None:
    done = dps(tmp_path, own, *SMALL, "lr_schedule=ramp", "lr_schedule.ramp_steps=-1")
    assert done.code == 1
    assert "lr_schedule.ramp_steps=-1 must be an integer in [0, inf)" in done.stderr


@pytest.mark.parametrize("name", ["max_steps", "trial", "seed", "status", "step"])
def test_a_name_that_a_column_or_an_optimizer_has_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "own" / "lr_schedule").mkdir(parents=True)
    (tmp_path / "own" / "lr_schedule" / "ramp.yaml").write_text(
        YAML.replace("ramp_steps", name).replace("metaparameters.ramp", "metaparameters.anything")
    )
    done = dps(tmp_path, f"--config-dir={tmp_path / 'own'}", *SMALL, "lr_schedule=ramp")
    assert done.code == 1 and f"metaparameters={name} must be a name that neither" in done.stderr


def test_the_schedule_is_what_it_says() -> None:
    factors = [ramp(step, torch.tensor([0.0, 4.0])).tolist() for step in range(5)]
    assert factors == [[1, 0.25], [1, 0.5], [1, 0.75], [1, 1], [1, 1]]

"""Every mistake on the command line ends in one sentence, before anything trains."""

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Done, contents, dps, process

from dps.engine.module import StudyTask

# what is typed, and what the sentence must say: the option with its value, and what would be right
MISTAKES: list[tuple[list[str], list[str]]] = [
    (["sparsity=-0.1"], ["sparsity=-0.1", "[0, 1)"]),
    (["sparsity=1"], ["sparsity=1", "[0, 1)"]),
    (["sparsity=0.999999"], ["sparsity=0.999999", "62346"]),
    (["batch_size=0"], ["batch_size=0", "a positive integer"]),
    (["batch_size=2.5"], ["batch_size=2.5", "a positive integer"]),
    (["batch_size=abc"], ["batch_size=abc", "a positive integer"]),
    (["batch_size=99999"], ["batch_size=99999", "at most 1350"]),
    (["goal.error=1"], ["goal.error=1", "[0, 1)"]),
    (["goal.interval_steps=0"], ["goal.interval_steps=0", "a positive integer"]),
    (["max_steps=0"], ["max_steps=0", "a positive integer"]),
    (["optimizer.lr=-1"], ["optimizer.lr=-1", "a positive number"]),
    (["optimizer.momentum=1"], ["optimizer.momentum=1", "[0, 1)"]),
    (["lr_schedule=linear", "lr_schedule.decay_steps=0"], ["lr_schedule.decay_steps=0", "a positive integer"]),
    (["lr_schedule=linear", "lr_schedule.end_factor=2"], ["lr_schedule.end_factor=2", "[0, 1]"]),
    (["race=maybe"], ["race=maybe", "true, false or a positive integer"]),
    (["workload=nosuch"], ["workload=nosuch", "digits_simple_cnn_momentum", "mnist_simple_cnn_sgd"]),
    (["pruning=nosuch"], ["pruning=nosuch", "snip"]),
    (["goal.eror=0.1"], ["goal.eror", "dps --cfg job"]),
    (["nosuch=1"], ["nosuch", "dps --cfg job"]),
    (["trainer.devices=3", "batch_size=16"], ["trainer.devices=3", "batch_size=16"]),
    (["trainer.devices=1350", "batch_size=1350"], ["trainer.devices=1350 must be at most", "cores"]),
    (["trainer.accelerator=abacus"], ["trainer.accelerator=abacus", "cpu or gpu"]),
    (["data=mnist", "data.root=NOWHERE"], ["data.root=NOWHERE", "NOWHERE/MNIST/raw", "data.download=true"]),
    (["trial=[0,1]", "optimizer.lr=[0.1,0.2,0.3]"], ["optimizer.lr lists 3 values for 2 trials"]),
    (["trial=[0,1]", "optimizer.lr=[0.1,-0.2]"], ["optimizer.lr=-0.2", "a positive number"]),
    (["trial=-1"], ["trial=-1", "from 0 on"]),
    (["trial=[1,1]"], ["trial=[1, 1]", "different"]),
    (["trial=[]"], ["trial=[]"]),
    (["optimizer.lr=???"], ["optimizer.lr", "=VALUE"]),
]
SWEEP: list[tuple[list[str], list[str]]] = [
    (["batch_size=8,0"], ["batch_size=0", "a positive integer"]),
    (["batch_size=8,99999"], ["batch_size=99999", "at most 1350"]),
    (["sparsity=0,1"], ["sparsity=1", "[0, 1)"]),
    (["sparsity=0,0.999999"], ["sparsity=0.999999", "62346"]),
    (["workload=digits_simple_cnn_momentum,nosuch"], ["workload=nosuch", "digits_simple_cnn_momentum"]),
    (["batchsize=8,16"], ["batchsize", "dps --cfg job"]),
    (["optimizer.lt=interval(0.1, 1)"], ["optimizer.lt"]),
    (["optimizer.lr=tag(log, interval(1, 0.1))"], ["optimizer.lr", "the lower one first"]),
    (["optimizer.lr=interval(-1, 1)"], ["optimizer.lr=", "a positive number"]),
    (["optimizer.momentum=interval(0.5, 1.5)"], ["optimizer.momentum=1", "[0, 1)"]),
    (["optimizer.lr=0.1", "optimizer.momentum=0.9"], ["space is empty", "leave out -m"]),
    (["trial=[0,1]"], ["trial=[0,1]", "hydra.sweeper.trials"]),
    (["hydra.sweeper.trials=0"], ["hydra.sweeper.trials=0", "a positive integer"]),
    (["hydra.sweeper.trials_per_job=0"], ["hydra.sweeper.trials_per_job=0", "a positive integer"]),
    (["optimizer=sgd"], ["optimizer.momentum", "space=lr"]),
    (["goal.error=0.1,1"], ["goal.error=1", "[0, 1)"]),
    (["goal.interval_steps=4,0"], ["goal.interval_steps=0", "a positive integer"]),
    (["trainer.devices=1,1350", "batch_size=1350"], ["dps: trainer.devices=1350 must be at most", "cores"]),
    (["goal.eror=0.1"], ["goal.eror", "dps --cfg job"]),
    (["data=mnist", "data.root=NOWHERE"], ["data.root=NOWHERE", "NOWHERE/MNIST/raw", "data.download=true"]),
]


@pytest.fixture(autouse=True)
def nothing_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    steps: list[int] = []
    monkeypatch.setattr(StudyTask, "training_step", lambda task, *_: steps.append(task.trainer.global_step))
    yield
    assert not steps
    assert not list(tmp_path.rglob("trials.csv"))
    assert not list(tmp_path.rglob("*.ckpt"))


def assert_one_sentence(done: Done, named: list[str]) -> None:
    assert done.code == 1
    assert done.stdout in ("", "No study has recorded a trial yet.\n")
    assert done.stderr.startswith("dps: ") and done.stderr.endswith("\n")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert all(words in done.stderr for words in named), done.stderr


def identifier(part: list[str]) -> str:
    return " ".join(part)


@pytest.mark.parametrize(("typed", "named"), MISTAKES, ids=identifier)
def test_one_study(tmp_path: Path, typed: list[str], named: list[str]) -> None:
    assert_one_sentence(dps(tmp_path, "max_steps=4", *typed), named)


@pytest.mark.parametrize(("typed", "named"), SWEEP, ids=identifier)
def test_a_sweep_is_refused_before_any_of_its_studies_trains(
    tmp_path: Path, typed: list[str], named: list[str]
) -> None:
    assert_one_sentence(dps(tmp_path, "-m", "hydra.sweeper.trials=2", "max_steps=4", *typed), named)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "labels of another set"])
def test_damaged_idx_files(tmp_path: Path, damage: str) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, examples in (("train", 20), ("t10k", 10)):
        images = struct.pack(">IIII", 2051, examples, 28, 28) + bytes(range(256)) * 1000
        images = images[: 16 + examples * 28 * 28]
        labels = struct.pack(">II", 2049, examples) + bytes(number % 10 for number in range(examples))
        if damage == "truncated":
            images = images[:-100]
        elif damage == "foreign":
            images = gzip.compress(images)
        else:
            labels = struct.pack(">II", 2049, examples - 1) + bytes(examples - 1)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(images)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    done = dps(tmp_path, "workload=mnist_simple_cnn_momentum", f"data.root={tmp_path / 'data'}", "batch_size=2")
    assert_one_sentence(done, [f"data.root={tmp_path / 'data'}", str(raw)])


@pytest.mark.parametrize("multirun", [[], ["-m"]], ids=["one study", "sweep"])
@pytest.mark.parametrize("place", ["outputs", "outputs/digits_simple_cnn_momentum/batch_size=64,sparsity=0"])
def test_a_file_where_the_output_folder_should_be(tmp_path: Path, multirun: list[str], place: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    done = dps(tmp_path, *multirun, "max_steps=4")
    assert_one_sentence(done, [str(path), f"hydra.{'sweep' if multirun else 'run'}.dir=FOLDER"])
    assert path.read_text() == "in the way"


def test_the_sentence_is_in_the_log_with_its_traceback(tmp_path: Path) -> None:
    dps(tmp_path, "sparsity=2")
    (log,) = tmp_path.rglob("dps.log")
    assert "Traceback (most recent call last)" in log.read_text()
    assert "ValueError: sparsity=2 must be in [0, 1)" in log.read_text()


@pytest.mark.parametrize("full", ["0", "1"])
def test_hydra_full_error_shows_the_traceback(tmp_path: Path, full: str) -> None:
    before = contents(tmp_path)
    done = process(tmp_path, "sparsity=2", env={"HYDRA_FULL_ERROR": full})
    assert done.code == 1
    assert ("Traceback" in done.stderr) == (full == "1")
    assert "sparsity=2 must be in [0, 1)" in done.stderr
    assert full == "1" or done.stderr.count("\n") == 1
    assert contents(tmp_path) == before

"""Every mistake on the command line ends in one sentence, before anything trains."""

import gzip
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from command import Done, contents, dps, process
from configuration import Composed
from wrong_inputs import Wrong, refused, wrong_inputs

from dps.engine.module import StudyTask

# Composing a configuration takes a fifth of a second; of all of them the command itself is asked, which takes longer.
EVERY_FOURTH = wrong_inputs(sweep=False)[::4]


@pytest.fixture(autouse=True)
def nothing_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    steps: list[int] = []
    monkeypatch.setattr(StudyTask, "training_step", lambda task, *_: steps.append(task.trainer.global_step))
    yield
    assert not steps
    assert not list(tmp_path.rglob("trials.csv"))
    assert not list(tmp_path.rglob("*.ckpt"))


NO_GPU = "trainer.accelerator=gpu must be cpu, for PyTorch finds no GPU here"
NEEDS_NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")


def assert_one_sentence(done: Done, named: list[str]) -> None:
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.startswith("dps: ") and done.stderr.endswith("\n")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert all(words in done.stderr for words in named), done.stderr


@pytest.mark.parametrize("wrong", EVERY_FOURTH, ids=lambda wrong: " ".join(wrong.typed)[:80])
def test_a_wrong_input_is_refused_by_name(composed: Composed, tmp_path: Path, wrong: Wrong) -> None:
    answer = refused(wrong.typed, tmp_path)
    assert answer.startswith(wrong.answer)
    assert "\n" not in answer


@pytest.mark.slow
@pytest.mark.fault("wrong input to a study")
@pytest.mark.parametrize("wrong", wrong_inputs(sweep=False), ids=lambda wrong: " ".join(wrong.typed)[:80])
def test_the_command_answers_it_in_one_sentence(
    tmp_path: Path, record_property: Callable[[str, object], None], wrong: Wrong
) -> None:
    done = process(tmp_path, *wrong.typed)
    record_property("answer", (" ".join(wrong.typed), done.stderr.strip().removeprefix("dps: ")))
    assert_one_sentence(done, [wrong.answer])
    assert not any(path.name == "planted" for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("mode", [[], ["-m", "hydra.sweeper.trials=2"]], ids=["one study", "a sweep"])
@pytest.mark.parametrize(
    ("typed", "named"),
    [
        (["~pruning"], ["pruning must have one name"]),
        (["model=resnet8"], ["model=resnet8 cannot take the images of data=digits"]),
        (["data=mnist", "data.root=NOWHERE"], ["data.root=NOWHERE", "NOWHERE/MNIST/raw", "data.download=true"]),
        (["batch_size=1350", "trainer.devices=1350"], ["dps: trainer.devices=1350 must be at most", "cores"]),
        *(pytest.param([f"trainer={name}"], [NO_GPU], marks=NEEDS_NO_GPU) for name in ("gpu", "ddp")),
    ],
    ids=["group", "network", "data", "devices", "gpu", "ddp"],
)
def test_the_command_refuses_what_only_this_machine_does_not_have_too(
    tmp_path: Path, mode: list[str], typed: list[str], named: list[str]
) -> None:
    assert_one_sentence(dps(tmp_path, *mode, "max_steps=4", *typed), named)


@pytest.mark.fault("a damaged file of a data set")
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
    pair = str(raw / "train-") if damage == "labels of another set" else str(raw / "train-images-idx3-ubyte")
    assert_one_sentence(done, [f"data.root={tmp_path / 'data'}", str(raw) if "of another" in damage else pair])


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


@pytest.mark.slow
@pytest.mark.parametrize("full", ["0", "1"])
def test_hydra_full_error_shows_the_traceback(tmp_path: Path, full: str) -> None:
    before = contents(tmp_path)
    done = process(tmp_path, "sparsity=2", env={"HYDRA_FULL_ERROR": full})
    assert done.code == 1
    assert ("Traceback" in done.stderr) == (full == "1")
    assert "sparsity=2 must be in [0, 1)" in done.stderr
    assert full == "1" or done.stderr.count("\n") == 1
    assert contents(tmp_path) == before

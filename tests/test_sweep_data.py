"""The data of a sweep, which are read before its first study begins."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from command import dps

from dps.data import StudyData

FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
SWEEP = ["-m", "batch_size=8,16", "sparsity=0,0.5", "hydra.sweeper.trials=1", "goal.error=0.99", "max_steps=16"]


@pytest.mark.fault("data that are not there, or damaged, in a sweep")
@pytest.mark.parametrize(("there", "content"), [((), b""), (FILES, b"\0\0\x08\x03")], ids=["lost", "damaged"])
def test_what_is_wrong_with_them_is_said_once_before_any_study(
    tmp_path: Path, there: Sequence[str], content: bytes
) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in there:
        (raw / name).write_bytes(content)
    done = dps(tmp_path, *SWEEP, "workload=mnist_simple_cnn_momentum", "data.root=data")
    assert (done.code, done.stdout) == (1, "") and done.stderr.count("\n") == 1
    assert done.stderr.startswith("dps: data.root=data: ") and "train-images-idx3-ubyte" in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_they_are_read_once_for_all_studies_and_not_for_finished_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[StudyData] = []
    prepare_data = StudyData.prepare_data

    def counted(data: StudyData) -> None:
        read.append(data)
        prepare_data(data)

    monkeypatch.setattr(StudyData, "prepare_data", counted)
    first = dps(tmp_path, *SWEEP)
    assert first.code == 0, first.stderr
    assert len(read) == 1 + 4  # before the first, and by each
    again = dps(tmp_path, *SWEEP)
    assert again.code == 0 and len(read) == 5

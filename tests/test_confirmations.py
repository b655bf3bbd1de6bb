"""The record of a confirmation: written and read back as it was, or refused."""

from pathlib import Path

import pandas as pd
import pytest

from dps.storage import confirmations

HEADER = (
    "rank,replicate,trial,lr,decay_steps,steps_found,seeds,arrived,success_rate,success_low,success_high,"
    "median_steps,median_low,median_high,max_steps"
)
ROWS = [
    "1,0,7,0.1,40000,112,24,12,0.5,0.31427,0.68572,160,112,,4000",
    "2,1,3,0.30000000000000004,50000,,0,0,,,,,,,4000",
]


def given(folder: Path, *lines: str) -> Path:
    (folder / confirmations.FILE).write_text("\n".join(lines) + "\n")
    return folder


def test_what_is_written_is_what_was_read(tmp_path: Path) -> None:
    frame = confirmations.read(given(tmp_path, HEADER, *ROWS))
    assert frame is not None
    assert confirmations.metaparameters_of(frame) == ["lr", "decay_steps"]
    assert frame["lr"].tolist() == [0.1, 0.1 + 0.2] and frame["decay_steps"].dtype == "Int64"
    assert frame["steps_found"].isna().tolist() == [False, True] and pd.isna(frame["median_high"][0])
    (tmp_path / "copy").mkdir()
    confirmations.write(tmp_path / "copy", frame)
    assert (tmp_path / "copy" / confirmations.FILE).read_bytes() == (tmp_path / confirmations.FILE).read_bytes()


def test_without_a_file_nothing_is_confirmed(tmp_path: Path) -> None:
    assert confirmations.read(tmp_path) is None


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([HEADER.replace("seeds", "seed")], "line 1 lacks the column seeds"),
        ([HEADER, ROWS[0].replace(",24,", ",x,")], "line 2, column seeds: 'x' is not an integer"),
        ([HEADER, ROWS[0].replace("0.1,", "fast,")], "line 2, column lr: 'fast' is not a number"),
        ([HEADER, ROWS[0].replace("0.1,", "1e999,")], "line 2, column lr: inf is not a number"),
        ([HEADER, ROWS[0].replace(",24,", ",-24,")], r"line 2, column seeds: -24 is not in \[0, 9223372036854775808\)"),
        ([HEADER, ROWS[0][:-5]], "line 2 has 14 values, not 15"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, lines: list[str], what: str) -> None:
    with pytest.raises(ValueError, match=f"confirm.csv is damaged: {what}; restore the file"):
        confirmations.read(given(tmp_path, *lines))


def test_a_folder_of_runs_is_told_from_a_study() -> None:
    study = Path("outputs", "confirm", "batch_size=4,sparsity=0")
    assert confirmations.is_run(confirmations.run_folder(study, 3))
    assert not any(confirmations.is_run(path) for path in (study, study.parent, study / "replicate=1"))

"""The published results: complete, readable, and of no machine."""

from pathlib import Path

import dps

FOLDER = Path(__file__).parents[1] / "outputs" / "published"


def test_they_are_read_whole() -> None:
    results = dps.load(FOLDER / "mnist_simple_cnn_momentum")
    assert len(results.trials) == 288 and not results.missing
    assert results.k_star[["batch_size", "replicates", "reached"]].to_numpy().tolist() == [
        [size, 3, 3] for _ in range(2) for size in (16, 64, 256)
    ]
    assert results.k_star["steps_to_result"].round().tolist() == [1644, 497, 264, 7180, 2179, 1093]  # docs/options.md
    (typed,) = {command.partition(" batch_size=")[0] for command in results.studies["command"]}
    assert typed == "dps -m workload=mnist_simple_cnn_momentum"


def test_those_that_are_trained_again_are_read_whole() -> None:
    results = dps.load(FOLDER / "digits_simple_cnn_momentum")
    assert len(results.trials) == 288 and not results.missing
    first = results.studies[results.studies["replicate"] == 0]
    assert first["steps_to_result"].tolist() == [208, 112, 64, 384, 336, 112]  # docs/confirm.md, of an earlier version
    again = dps.load(*sorted((FOLDER / "digits_simple_cnn_momentum").glob("*/replicate=1")))  # by `make reproduce`
    assert len(again.studies) == 6


def test_they_name_no_place_of_a_machine() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert not [path for path in files if ": /" in path.read_text() or "=/" in path.read_text()]

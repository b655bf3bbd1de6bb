"""Float features as data: the bundled ones, and a study of them."""

from pathlib import Path

import numpy as np
import torch
from command import dps, rows, study
from sklearn.datasets import load_breast_cancer

from dps.data.features import breast_cancer

TYPED = ["data=breast_cancer", "model=mlp", "model.inputs=30", "model.hidden=[16]", "+model.classes=2", "batch_size=16"]
TYPED += ["optimizer.lr=0.05", "goal.error=0.1", "max_steps=400", "sparsity=0.5"]
TYPED += ["stack.trials_per_slice=1", "stack.examples_per_pass=16", "stack.products=false"]


def test_the_bundled_features_come_in_their_order() -> None:
    found, bundled = breast_cancer(), load_breast_cancer()
    np.testing.assert_array_equal(torch.cat([found.train, found.test]), bundled.data.astype(np.float32))
    np.testing.assert_array_equal(torch.cat([found.train_labels, found.test_labels]), bundled.target)
    assert len(found.train) == 500 and {*found.test_labels.tolist()} == {0, 1}


def test_a_study_of_features_and_scores_of_their_own(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for number, standardise in enumerate(("channel", "all"), start=1):
        where = f"hydra.run.dir={tmp_path / standardise}"
        done = dps(tmp_path, *TYPED, f"data.standardise={standardise}", where, cache=str(cache))
        assert (done.code, done.stderr) == (0, "")
        assert len(list((cache / "scores").iterdir())) == number
    (row,) = rows(tmp_path / "channel").to_dict("records")
    assert (row["dataset"], row["status"]) == ("breast_cancer", "complete")
    assert round(row["validation_error"] * 50, 9).is_integer() and round(row["test_error"] * 69, 9).is_integer()


def test_a_network_for_images_is_refused(tmp_path: Path) -> None:
    done = dps(tmp_path, "data=breast_cancer", "optimizer.lr=0.05")
    assert done.code == 1 and "which are of the shape (30,)" in done.stderr
    assert not study(tmp_path).exists() or not (study(tmp_path) / "trials.csv").exists()

"""The published results: complete, readable, and of no machine."""

import re
from pathlib import Path

import pandas as pd
import pytest

import dps

FOLDER = Path(__file__).parents[1] / "outputs" / "published"


def test_they_are_read_whole() -> None:
    results = dps.load(FOLDER / "mnist_simple_cnn_momentum")
    assert len(results.trials) == 768 and not results.missing  # as outputs/published/README.md says
    dense, sparse = (rows for _, rows in results.k_star.groupby("sparsity"))
    sizes = [4, 8, 16, 32, 64, 128, 256, 1024]
    assert dense["batch_size"].tolist() == sizes and sparse["batch_size"].tolist() == sizes
    assert dense["reached"].tolist() == [3] * 8 and sparse["reached"].tolist() == [2] + [3] * 7
    steps = [7389, 3120, 1644, 1208, 497, 388, 264, 169]  # docs/results.md
    assert dense["steps_to_result"].round().tolist() == steps
    steps = [11814, 7180, 5614, 2179, 1365, 1093, 840]  # from B = 8 on: at B = 4 one replicate found no goal
    assert sparse["steps_to_result"].round().tolist()[1:] == steps
    (typed,) = {command.partition(" batch_size=")[0] for command in results.studies["command"]}
    assert typed == "dps -m workload=mnist_simple_cnn_momentum"


def test_the_sparsities_between_are_read_whole() -> None:
    found = dps.load(FOLDER / "mnist_sparsities").k_star
    assert found["batch_size"].tolist() == [16, 32, 64, 128] * 2
    assert found["steps_to_result"].tolist() == [2096, 1296, 1072, 1008, 2784, 1440, 1360, 1296]  # docs/results.md


def test_the_other_optimizers_are_read_whole() -> None:
    expected = {  # docs/results.md
        "sgd": {
            **{4: [4112, 4512, 3712], 16: [1920, 1440, 1728], 64: [832, 720, 528]},
            **{256: [368, 384, 368], 1024: [352, 416, 368]},
        },
        "nesterov": {
            **{4: [10944, 6640, 4688], 16: [1280, 1984, 1712], 64: [672, 320, 432]},
            **{256: [512, 160, 192], 1024: [224, 144, 144]},
        },
    }
    at_90 = {"sgd": [14208, 6256, 2064, 1600, 1376], "nesterov": [6464, 2832, 2032]}  # one has none at 4
    confirmed = {"sgd": [2112, 768], "nesterov": [1504, 768]}  # B = 16 and 64
    for name, steps in expected.items():
        results = dps.load(FOLDER / f"mnist_simple_cnn_{name}")
        studies = results.studies.sort_values(["replicate", "batch_size"])
        dense, sparse = (rows for _, rows in studies.groupby("sparsity"))
        assert dense.groupby("batch_size")["steps_to_result"].agg(list).to_dict() == steps
        assert sparse["steps_to_result"].dropna().tolist() == at_90[name]
        assert len(results.trials) == 16 * (15 + {"sgd": 5, "nesterov": 4}[name])
        assert results.k_star["confirmed_steps"].dropna().tolist() == confirmed[name]


def test_fashion_mnist_is_read_whole() -> None:
    found = dps.load(FOLDER / "fashion_mnist_simple_cnn_momentum").k_star
    assert found["steps_to_result"].tolist() == [5632, 1424, 800, 512, 14192, 4592, 2976, 1472]  # docs/results.md
    assert found.set_index("batch_size")["confirmed_steps"].dropna().to_dict() == {32: 1472, 128: 800}
    looser = dps.load(FOLDER / "fashion_mnist_014").k_star
    assert looser["steps_to_result"].tolist() == [624, 496, 1984, 1328] and looser["goal_error"].eq(0.14).all()


def test_the_first_study_of_resnet8_is_read_whole() -> None:
    results = dps.load(FOLDER / "cifar10_resnet8_nesterov_linear")
    assert results.k_star["steps_to_result"].tolist() == [1440]  # docs/results.md
    arrived = results.trials[results.trials["status"] == "complete"]
    assert arrived["validation_error"].tolist() == [0.4, 0.399] and len(results.trials) == 12


def test_the_criteria_are_read_whole() -> None:
    results = dps.load(FOLDER / "digits_criteria")
    assert len(results.trials) == 480 and len(results.missing) == 1 and "they leave out" in results.missing[0]
    found = results.k_star[results.k_star["steps_to_result"].notna()]
    named = {(row["pruning"], row["sparsity"]): round(row["steps_to_result"]) for _, row in found.iterrows()}
    at_90 = {"magnitude": 102, "random": 104, "snip": 75, "synflow": 47}  # docs/results.md
    at_98 = {"random": 380, "snip": 251, "synflow": 136}
    assert named == {(name, s): steps for s, each in ((0.9, at_90), (0.98, at_98)) for name, steps in each.items()}


def test_the_demo_is_confirmed() -> None:
    found = dps.load(FOLDER / "demo").k_star
    assert found["steps_to_result"].tolist() == [208, 112, 64, 384, 336, 112]  # docs/confirm.md, and README.md
    assert found["confirmed_steps"].tolist() == [240, 144, 80, 496, 288, 160]
    assert found["fresh_seeds"].eq(24).all()


def test_those_that_are_trained_again_are_read_whole() -> None:
    results = dps.load(FOLDER / "digits_simple_cnn_momentum")
    assert len(results.trials) == 288 and not results.missing
    first = results.studies[results.studies["replicate"] == 0]
    assert first["steps_to_result"].tolist() == [208, 112, 64, 384, 336, 112]  # docs/confirm.md, of an earlier version
    again = dps.load(*sorted((FOLDER / "digits_simple_cnn_momentum").glob("*/replicate=1")))  # by `make reproduce`
    assert len(again.studies) == 6


def test_the_fine_grid_is_read_whole() -> None:
    results = dps.load(FOLDER / "digits_fine")
    assert len(results.trials) == 768 and not results.missing
    expected = [272, 162, 87, 56, 43, 30, 26, 20, 519, 380, 246, 175, 106, 75, 42, 46]  # docs/results.md
    assert results.k_star["steps_to_result"].round().tolist() == expected


def test_the_constants_are_of_six_seeds_at_four_sparsities() -> None:
    results = dps.load(FOLDER / "digits_constants")
    for rows in (results.smoothness, results.noise, results.curves):
        assert rows.groupby("sparsity")["trial"].nunique().to_dict() == {0: 6, 0.5: 6, 0.7: 6, 0.9: 6}
    last = results.theory.iloc[-1]
    assert [round(last[name], 1) for name in ("beta", "smoothness")] == [151.0, 9.9]  # docs/results.md


def test_the_noise_is_measured_along_training() -> None:
    results = dps.load(FOLDER / "digits_noise")
    measured = results.noise.groupby(["sparsity", "step"])["trial"].nunique()
    assert measured.eq(6).all() and len(measured) == 4 * 9
    assert results.theory["noise_scale"].round().tolist() == [34, 29, 27, 27]  # docs/results.md
    before = dps.load(FOLDER / "digits_constants").noise  # the same trainings, measured before the first step alone
    keys = ["sparsity", "trial", "gradient_variance", "gradient_squared_norm"]
    first = results.noise[results.noise["step"] == 0]
    pd.testing.assert_frame_equal(*(rows[keys].reset_index(drop=True) for rows in (first, before)))


def test_the_constants_on_mnist_are_of_six_seeds() -> None:
    results = dps.load(FOLDER / "mnist_constants")
    assert results.smoothness.groupby(["sparsity", "step"])["trial"].nunique().to_dict() == {
        (sparsity, step): 6 for sparsity in (0, 0.5, 0.7, 0.9) for step in (0, 200, 400, 600, 800)
    }
    found = [[round(row[name], 1) for name in ("beta", "smoothness")] for _, row in results.theory.iterrows()]
    assert found == [[2384.1, 4.6], [1844.2, 5.6], [1318.8, 6.7], [484.5, 10.4]]  # docs/results.md


def test_what_was_trained_without_a_race_is_read_whole() -> None:
    results = dps.load(FOLDER / "digits_whole")
    assert results.trials["status"].value_counts().to_dict() == {"incomplete": 71, "complete": 28, "infeasible": 1}
    on_mnist = dps.load(FOLDER / "mnist_whole")
    assert on_mnist.k_star["steps_to_result"].tolist() == [1488, 6288]  # as in mnist_simple_cnn_momentum
    ended = on_mnist.trials[on_mnist.trials["status"] == "complete"].groupby("sparsity")["trial"].agg(list)
    assert ended.tolist() == [[2, 6, 14, 15, 18, 22, 26, 30, 38, 46], [2, 6, 15, 22, 26, 30, 38, 46]]  # docs/results.md


def test_they_name_no_place_of_a_machine() -> None:
    texts = [path for path in FOLDER.rglob("*") if path.suffix in (".csv", ".yaml", ".md", ".json")]
    assert len(texts) > 100
    assert not [path for path in texts if ": /" in path.read_text() or "=/" in path.read_text()]
    pages = list(FOLDER.rglob("*.html"))
    assert pages and not [path for path in pages if re.search("/(tmp|home|root|work)/", path.read_text())]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/report")), ids=lambda path: path.parent.name)
def test_their_reports_are_of_these_records(path: Path) -> None:
    several = {
        "mnist_optimizers": [f"mnist_simple_cnn_{name}" for name in ("momentum", "sgd", "nesterov")],
        "fashion_mnist_simple_cnn_momentum": ["fashion_mnist_simple_cnn_momentum", "fashion_mnist_014"],
    }
    folders = [FOLDER / name for name in several.get(path.parent.name, [path.parent.name])]
    keys = ["workload", "goal_error", "pruning", "batch_size", "sparsity", "confirmed_steps", "steps_to_result"]
    drawn, recorded = pd.read_csv(path / "k_star.csv"), dps.load(*folders).k_star
    pd.testing.assert_frame_equal(
        *(table[keys].sort_values(keys[:5], ignore_index=True) for table in (drawn, recorded)), check_dtype=False
    )

"""Measured constants: their means, their intervals, and the ratio of c1 that they predict."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t, ttest_ind, ttest_rel

from dps.analysis.constants import constants_of, measured, predicted_ratio


def frame(values: np.ndarray, batch_sizes: tuple[int, ...] = (16,)) -> pd.DataFrame:
    """One constant at places in rows, for units in columns."""
    return pd.DataFrame(values, index=pd.Index(batch_sizes, name="batch_size"))


def test_the_interval_is_the_t_interval_of_the_units() -> None:
    values = np.array([[1.0, 1.1, 0.9, 1.05], [3.0, 3.2, 3.1, 2.9]])
    found = measured(frame(values, (16, 64)))
    units = values.mean(axis=0)
    error = units.std(ddof=1) / 2 / units.mean()
    assert found.value == pytest.approx(values.mean())
    assert np.log(found[1:]) - math.log(found.value) == pytest.approx(np.array([-1, 1]) * t.ppf(0.975, 3) * error)


def test_one_unit_or_none_at_some_batch_size_gives_no_interval() -> None:
    alone = measured(frame(np.array([[2.0]])))
    assert alone.value == 2 and np.isnan(alone[1:]).all()
    assert np.isnan(measured(frame(np.array([[1.0, 2.0], [np.nan, 3.0]]), (16, 64)))[1:]).all()
    assert np.isnan(measured(frame(np.empty((0, 0)), ()))).all()


def test_the_papers_ratio() -> None:
    names = ("delta", "smoothness", "beta")
    sparse, dense = (  # Lee et al., arXiv:2003.11316, Appendix C
        {name: frame(np.array([[value]])) for name, value in zip(names, values, strict=True)}
        for values in ((4.68, 1.76, 107.39), (4.66, 0.57, 197.06))
    )
    assert predicted_ratio(sparse, dense, names).value == pytest.approx(1.67, abs=0.03)


def test_a_predicted_ratio_has_the_interval_of_welch() -> None:
    generator = np.random.default_rng(0)
    logs = 0.001 * generator.standard_normal(5), 0.003 * generator.standard_normal(3)
    own, dense = ({"beta": frame(np.exp(log)[None])} for log in logs)
    expected = ttest_ind(*logs, equal_var=False).confidence_interval()
    assert np.log(predicted_ratio(own, dense, ("beta",))[1:]) == pytest.approx((expected.low, expected.high), rel=0.01)


def test_units_move_all_factors_together() -> None:
    """Two factors that always cancel leave no uncertainty."""
    own = {"delta": frame(np.array([[1.0, 1.01]])), "beta": frame(np.array([[1.01, 1.0]]))}
    found = predicted_ratio(own, own, ("delta", "beta"))
    assert found == pytest.approx((1, 1, 1), abs=1e-3)
    other = {name: constant.rename(columns={0: 2, 1: 3}) for name, constant in own.items()}
    assert predicted_ratio(own, other, ("delta",)).high > 1.02


def test_networks_measured_with_the_same_units_are_paired_by_them() -> None:
    generator = np.random.default_rng(0)
    common = 0.01 * generator.standard_normal(6)
    logs = [common + 0.001 * generator.standard_normal(6) for _ in range(2)]
    own, dense = ({"beta": frame(np.exp(log)[None])} for log in logs)
    expected = ttest_rel(*logs).confidence_interval()
    found = predicted_ratio(own, dense, ("beta",))
    assert np.log(found[1:]) == pytest.approx((expected.low, expected.high), rel=0.1)
    apart = ttest_ind(*logs).confidence_interval()
    assert np.log(found.high / found.low) < 0.5 * (apart.high - apart.low)


def test_batch_sizes_measured_with_different_units_are_independent() -> None:
    values = np.array([[4.0, 6.0, np.nan, np.nan], [np.nan, np.nan, 4.0, 6.0]])
    found = measured(frame(values, (16, 32)))
    reach = t.ppf(0.975, 2) * math.sqrt(2) / 2 / 5  # of the mean of two means, each of two values
    assert found == pytest.approx((5, 5 * math.exp(-reach), 5 * math.exp(reach)))


@pytest.mark.parametrize(("replicates", "units"), [([0, 0], 2), ([0, 1], 2), ([0, 0, 1], 2)])
def test_units_are_replicates_where_there_are_any(replicates: list[int], units: int) -> None:
    count = len(replicates)
    place = {"batch_size": 16, "pruning": "snip", "replicate": replicates, "trial": range(count)}
    smoothness = pd.DataFrame(place | {"step": 8, "smoothness": 1.0, "smoothness_all_weights": 2.0})
    parts = {"gradient_variance": 6.0, "gradient_squared_norm": 2.0, "gradient_variance_all_weights": 7.0}
    noise = pd.DataFrame(place | {"step": 0} | parts)
    losses = pd.concat([pd.DataFrame(place | {"step": step, "train_loss": 2.5 - step}) for step in (0, 1)])
    found = constants_of(smoothness, noise, losses)
    assert {name: constant.shape for name, constant in found.items()} == dict.fromkeys(found, (1, units))
    values = {name: constant.iloc[0, 0] for name, constant in found.items()}
    assert values["delta"] == 2 and values["noise_scale"] == 3 and values["beta_all_weights"] == 7

"""The search dimensions and the Sobol points in them."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from scipy.stats.qmc import Sobol

from dps.protocol.space import Dimension, parse, sample

CONF = Path(__file__).parents[1] / "conf"
LR = parse("optimizer.lr", "tag(log, interval(1e-4, 1))")
MOMENTUM = parse("optimizer.momentum", "tag(one_minus, log, interval(0.9, 0.9999))")
DECAY_STEPS = parse("lr_schedule.decay_steps", "int(interval(30000, 60000))")
END_FACTOR = parse("lr_schedule.end_factor", "tag(log, interval(1e-4, 1e-1))")
ALL = [LR, MOMENTUM, DECAY_STEPS, END_FACTOR]


def test_trials_are_scipys_sequence_without_its_first_point() -> None:
    u = Sobol(4, scramble=False).random(128)[1:]
    trials = sample(ALL, 0, 127)
    np.testing.assert_allclose(trials["optimizer.lr"], 10 ** (-4 + 4 * u[:, 0]))
    np.testing.assert_allclose(trials["optimizer.momentum"], 1 - 10 ** (-4 + 3 * u[:, 1]))
    assert trials["lr_schedule.decay_steps"] == np.floor(30000 + 30000 * u[:, 2]).tolist()
    np.testing.assert_allclose(trials["lr_schedule.end_factor"], 10 ** (-4 + 3 * u[:, 3]))
    assert list(trials) == [dimension.key for dimension in ALL]


def test_first_trials_by_hand() -> None:
    trials = sample([LR, MOMENTUM], 0, 4)  # the sequence starts (.5, .5), (.75, .25), (.25, .75), (.375, .375)
    np.testing.assert_allclose(trials["optimizer.lr"], [1e-2, 1e-1, 1e-3, 10**-2.5])
    np.testing.assert_allclose(trials["optimizer.momentum"], 1 - 10 ** np.array([-2.5, -3.25, -1.75, -2.875]))
    assert sample([LR], 0, 1)["optimizer.lr"] == pytest.approx([0.01], rel=1e-15)


def test_longer_study_keeps_its_first_trials() -> None:
    long, short, part = sample(ALL, 0, 200), sample(ALL, 0, 100), sample(ALL, 40, 7)
    for key, values in long.items():
        assert values[:100] == short[key]
        assert values[40:47] == part[key]


def test_the_points_of_a_replicate_are_scipys_scrambled_ones_and_can_be_extended() -> None:
    u = Sobol(4, scramble=True, rng=3).random(128)[1:]
    trials = sample(ALL, 0, 127, replicate=3)
    np.testing.assert_allclose(trials["optimizer.lr"], 10 ** (-4 + 4 * u[:, 0]))
    np.testing.assert_allclose(trials["lr_schedule.end_factor"], 10 ** (-4 + 3 * u[:, 3]))
    assert sample(ALL, 40, 7, replicate=3)["optimizer.lr"] == trials["optimizer.lr"][40:47]
    others = [sample([LR], 0, 20, replicate)["optimizer.lr"] for replicate in range(4)]
    assert len({value for values in others for value in values}) == 80


@pytest.mark.parametrize("replicate", [0, 1])
@pytest.mark.parametrize("count", [1, 2, 3, 16, 100])
def test_no_count_warns(count: int, replicate: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(sample(ALL, 0, count, replicate)["optimizer.lr"]) == count


def test_ends_of_the_unit_interval() -> None:
    ends = np.array([0.0, 1.0])
    assert LR.at(ends) == pytest.approx([1e-4, 1])
    assert MOMENTUM.at(ends) == pytest.approx([0.9999, 0.9], rel=1e-12)
    assert parse("x", "interval(1, 10)").at(ends) == [1.0, 10.0]
    assert parse("x", "tag(one_minus, interval(0.2, 0.6))").at(ends) == pytest.approx([0.6, 0.2])


def test_integers_are_truncated() -> None:
    values = DECAY_STEPS.at(np.array([0.0, 0.99999]))
    assert values == [30000, 59999]
    assert all(type(value) is int for value in values)
    assert type(parse("x", "interval(1, 10)").at(np.array([0.0]))[0]) is float
    assert parse("x", "int(tag(log, interval(1, 100)))").at(np.array([0.0, 0.5, 0.99])) == [1, 10, 95]


def test_grammar() -> None:
    assert LR == Dimension("optimizer.lr", 1e-4, 1.0, log=True, one_minus=False, integer=False)
    assert parse("x", "tag(log, one_minus, interval(0.9, 0.99))") == parse("x", "tag(one_minus,log,interval(0.9,0.99))")
    assert parse("x", "tag(log, int(interval(1, 9)))") == parse("x", "int(tag(log, interval(1, 9)))")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("interval(2, 1)", r"^a\.x: interval\(2\.0, 1\.0\) must have finite ends, the lower one first$"),
        ("interval(1, 1)", "the lower one first"),
        ("interval(0, inf)", "finite"),
        ("interval(nan, 1)", "finite"),
        ("int(interval(0.2, 0.8))", "the lower one first"),
        ("tag(log, interval(0, 1))", "must start above 0"),
        ("tag(log, interval(-1, 1))", "must start above 0"),
        ("tag(one_minus, log, interval(0.9, 1))", "must end below 1"),
        ("tag(log10, interval(1, 2))", r"^a\.x=tag\(log10, .* unknown tag log10; the tags are log and one_minus$"),
        ("0.1", r"^a\.x=0\.1 is not an interval; write interval\(a, b\)"),
        ("tag(log, interval(1e-3, 1)),0.5", "is not an interval"),
        ("1,2", "is not an interval"),
        ("interval(1", "cannot be read"),
        ("interval(a, b)", "cannot be read"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        parse("a.x", text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lr", [LR]),
        ("lr_momentum", [LR, MOMENTUM]),
        ("lr_decay", [LR, DECAY_STEPS, END_FACTOR]),
        ("lr_momentum_decay", ALL),
    ],
)
def test_spaces_hold_the_papers_ranges_in_the_fixed_order(name: str, expected: list[Dimension]) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        space = compose(overrides=[f"+space={name}"]).space
    assert [parse(key, text) for key, text in space.items()] == expected

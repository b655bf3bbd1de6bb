"""Figures of made-up results: what is drawn is what was given, read back from matplotlib's artists."""

import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from artists import line, points, shown, xy
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from report_trials import SPARSITIES, made_up, made_up_measurements, made_up_trials
from scipy import stats

from dps.analysis.results import Results
from dps.report.figures import NUMBERS, curve, draw, style
from dps.storage import records


@pytest.fixture(autouse=True)
def _own_parameters() -> Iterator[None]:
    with matplotlib.rc_context():
        yield


def drawn(results: Results, *numbers: str) -> dict[str, Figure]:
    return {stem: figure for stem, _, figure in draw(results, numbers)}


def only(results: Results, number: str) -> Figure:
    (figure,) = drawn(results, number).values()
    return figure


def k_star(trials: pd.DataFrame) -> dict[tuple[int, float], int]:
    """K* by batch size and sparsity, in a plain loop; no entry where no trial is complete."""
    found: dict[tuple[int, float], int] = {}
    for row in trials.to_dict("records"):
        if row["status"] == "complete":
            place = row["batch_size"], row["sparsity"]
            found[place] = min(row["steps_to_result"], found.get(place, 10**9))
    return found


def of(steps: dict[tuple[int, float], int], sparsity: float) -> list[tuple[int, int]]:
    return sorted((b, k) for (b, s), k in steps.items() if s == sparsity)


def near(curve: Iterable[tuple[float, float]]) -> list[tuple[float, Any]]:
    """What points equal whose x are those of the curve, and whose y are up to rounding."""
    return [(x, pytest.approx(y)) for x, y in curve]


END = "end of the search range"
NAMES = {0.0: "dense", 0.5: "50% sparse", 0.7: "70% sparse", 0.9: "90% sparse"}


def test_figure_1_has_k_star_linear_scaling_the_fit_and_the_normalised_curves() -> None:
    trials = made_up_trials()
    steps = k_star(trials)
    panels = shown(only(made_up(trials), "1"))
    assert list(panels) == [*NAMES.values(), "all sparsities", "normalised"]
    for sparsity, name in NAMES.items():
        expected = of(steps, sparsity)
        assert points(panels[name], name) == expected == points(panels["all sparsities"], name)
        (first, start), (last, _) = expected[0], expected[-1]
        end = max(start * first / last, min(steps.values()) / 2)
        assert points(panels[name], "linear scaling") == [(first, start), (start * first / end, pytest.approx(end))]
        fit = np.array(points(panels[name], "fit c1/B + c2"))
        growth = 1 + 2 * sparsity**2
        np.testing.assert_allclose(fit[:, 1], growth * (20000 / fit[:, 0] + 60))
        assert fit[0, 0] == pytest.approx(first) and fit[-1, 0] == pytest.approx(last)
        assert {x for x, _ in points(panels[name], "critical batch size c1/c2")} == {1000 / 3}
        assert points(panels["normalised"], name) == near((b, k / start) for b, k in expected)


def test_curves_are_normalised_at_the_smallest_batch_size_that_all_sparsities_have() -> None:
    trials = made_up_trials(sparsities=(0.0, 0.9))
    trials = trials[(trials["sparsity"] == 0) | (trials["batch_size"] > 8)]
    steps = k_star(trials)
    panel = shown(only(made_up(trials), "1"))["normalised"]
    assert panel.get_ylabel() == "K* / K* at batch size 16"
    assert points(panel, "dense") == near((b, k / steps[16, 0.0]) for b, k in of(steps, 0.0))
    assert points(panel, "linear scaling")[0] == (16, 1)
    apart = trials[(trials["sparsity"] == 0.9) | (trials["batch_size"] <= 8)]
    assert "normalised" not in shown(only(made_up(apart), "1"))


def unreached(axes: Axes) -> list[float]:
    marks = [one for one in axes.lines if one.get_label() == curve.UNREACHED["label"]]
    return [float(x) for mark in marks for x in np.asarray(mark.get_xdata(), dtype=float)]


def test_a_study_that_never_reached_the_goal_is_left_out_and_named() -> None:
    results = made_up(made_up_trials(batch_sizes=(4, 8, 16), sparsities=(0.0, 0.9)))
    lost = (results.studies["batch_size"] == 4) & (results.studies["sparsity"] == 0.9)
    results.studies.loc[lost, "steps_to_result"] = pd.NA
    ((_, caption, figure),) = draw(results, ["1"])
    assert [x for x, _ in points(shown(figure)["90% sparse"], "90% sparse")] == [8, 16]
    said = "In 1 of 6 studies no trial of a replicate reached the goal, so that K* is not known"
    assert f"{said} (batch size 4, 90% sparse): a hollow triangle at the frame." in caption
    assert unreached(shown(figure)["90% sparse"]) == [4] and unreached(shown(figure)["dense"]) == []
    assert shown(figure)["90% sparse"].get_xlim()[0] < 4


def test_no_fit_is_drawn_where_none_is_known_and_one_study_is_enough() -> None:
    trials = made_up_trials(batch_sizes=(16,), sparsities=(0.9,))
    curves = made_up(trials).theory
    results = made_up(trials, theory=curves.assign(c1=math.nan, c2=math.nan))
    panels = shown(only(results, "1"))
    assert list(panels) == ["90% sparse", "normalised"]
    assert [line.get_label() for line in panels["90% sparse"].lines if str(line.get_label())[0] != "_"] == [
        *("linear scaling", "90% sparse")
    ]
    stems = set(drawn(results, *NUMBERS))
    name = "mnist_simple_cnn_momentum"
    assert stems == {f"figure_{number}_{name}" for number in ("1", "4", "14", "costs")}


def optimizers(*names: str, **changed: Any) -> pd.DataFrame:
    return pd.concat(
        [made_up_trials(optimizer=name, workload=f"mnist_simple_cnn_{name}", **changed) for name in names],
        ignore_index=True,
    )


def test_optimizers_are_compared_at_each_sparsity() -> None:
    trials = optimizers("momentum", "nesterov", "sgd", batch_sizes=(4, 16, 64), sparsities=(0.0, 0.9))
    figure = drawn(made_up(trials), "2")["figure_2_mnist_simple_cnn"]
    assert list(shown(figure)) == ["dense", "90% sparse"]
    for sparsity, optimizer in itertools.product((0.0, 0.9), ("sgd", "momentum", "nesterov")):
        steps = k_star(trials[trials["optimizer"] == optimizer])
        label = {"sgd": "SGD"}.get(optimizer, optimizer.capitalize())
        assert points(shown(figure)[NAMES[sparsity]], label) == of(steps, sparsity)
    assert not drawn(made_up(trials[trials["optimizer"] == "sgd"]), "2")


def test_a_figure_of_several_optimizers_does_not_repeat_that_of_the_only_one() -> None:
    both = optimizers("sgd", "momentum", batch_sizes=(4, 16), sparsities=(0.0, 0.9))
    figure = drawn(made_up(both), "1", "7")["figure_7_mnist_simple_cnn"]
    rows = [axes.get_ylabel().split("\n")[0] for axes in figure.axes if axes.get_title() == "dense"]
    assert rows == ["SGD", "Momentum"]
    one = made_up(both[both["optimizer"] == "sgd"])
    assert list(drawn(one, "1", "7")) == ["figure_1_mnist_simple_cnn_sgd"]
    assert list(drawn(one, "7")) == ["figure_7_mnist_simple_cnn"]


@pytest.mark.parametrize(
    ("number", "changed"),
    [
        ("8", {"dataset": "fashion_mnist", "goal_error": 0.12}),
        ("9", {"dataset": "fashion_mnist", "goal_error": 0.14}),
        ("10", {"dataset": "cifar10", "model": "resnet8", "goal_error": 0.4, "lr_schedule": "linear"}),
        ("11", {"dataset": "cifar10_folder", "model": "resnet8", "goal_error": 0.4}),
        (None, {"goal_error": 0.03}),
        (None, {"pruning": "random"}),
    ],
)
def test_workloads_have_the_papers_numbers(number: str | None, changed: dict[str, Any]) -> None:
    trials = optimizers("sgd", "momentum", batch_sizes=(4, 16), sparsities=(0.0, 0.9), trials=2, **changed)
    families = {stem.split("_")[1] for stem in drawn(made_up(trials), "7", "8", "9", "10", "11")}
    assert families == ({number} if number else set())


def test_trials_are_marked_by_status_and_the_best_by_a_star() -> None:
    trials = made_up_trials(batch_sizes=(4, 64, 1024), trials=25, race=False)
    place = (trials["batch_size"] == 64) & (trials["sparsity"] == 0.9)
    trials.loc[place & (trials["trial"] == 3), ["status", "steps_to_result"]] = ["censored", None]
    figure = drawn(made_up(trials), "3", "14")["figure_14_mnist_simple_cnn_momentum"]
    panel = shown(figure)["S=90%, B=64"]
    study = trials[place]
    complete = study[study["status"] == "complete"]
    best = min(complete.to_dict("records"), key=lambda row: (row["steps_to_result"], row["trial"]))
    for status in set(study["status"]):
        rows = study[study["status"] == status]
        expected = sorted(zip(rows["lr"], 1 - rows["momentum"], strict=True))
        star = [(best["lr"], 1 - best["momentum"])] if status == "complete" else []
        assert sorted(points(panel, status) + star) == expected and len(star) < len(expected)
    assert points(panel, "best") == [(best["lr"], 1 - best["momentum"])]
    marks = [line.get_marker() for line in panel.lines if line.get_label() != END]
    assert len(set(marks)) == len(marks) >= 5
    assert len(shown(figure)) == 12


def test_trials_of_sgd_are_shown_over_the_steps_they_ran_and_a_decay_in_a_figure_of_its_own() -> None:
    trials = made_up_trials((4, 16), (0.0,), optimizer="sgd", lr_schedule="linear", workload="w")
    figures = drawn(made_up(trials), "3")
    assert list(figures) == ["figure_3_w", "figure_3_w_decay"]
    for stem, x, y in (("figure_3_w", "lr", "steps_run"), ("figure_3_w_decay", "decay_steps", "end_factor")):
        marks = [
            point
            for axes in figures[stem].axes
            for line in axes.lines
            if line.get_label() != END
            for point in map(tuple, xy(line).tolist())
        ]
        assert sorted(marks) == sorted(zip(trials[x].astype(float), trials[y].astype(float), strict=True))


def test_trials_of_adamw_are_shown_over_what_was_searched_and_not_over_what_was_fixed() -> None:
    trials = made_up_trials((4,), (0.0,), optimizer="adamw", workload="w")
    searched = {"beta1": 1 - 0.5 ** (1 + trials.index), "weight_decay": 10.0**-trials.index}
    trials = trials.assign(momentum=math.nan, beta2=0.999, eps=1e-8, **searched)
    figures = drawn(made_up(trials), "3")
    assert list(figures) == ["figure_3_w", "figure_3_w_beta1", "figure_3_w_weight_decay"]
    heights = {name: shown(figures[f"figure_3_w_{name}"])["S=0%, B=4"] for name in searched}
    assert heights["beta1"].get_ylabel() == "1 \N{MINUS SIGN} beta1"
    marks = [y for line in heights["beta1"].lines if line.get_label() != END for _, y in xy(line).tolist()]
    assert sorted(marks) == pytest.approx(sorted(1 - trials["beta1"]))


def test_a_missing_study_is_an_empty_panel_that_says_so() -> None:
    trials = made_up_trials(batch_sizes=(4, 16), sparsities=(0.0, 0.9))
    trials = trials[(trials["batch_size"] == 4) | (trials["sparsity"] == 0)]
    panels = shown(only(made_up(trials), "3"))
    texts = {title: [text.get_text() for text in axes.texts] for title, axes in panels.items()}
    assert texts == {"S=0%, B=4": [], "S=90%, B=4": [], "S=0%, B=16": [], "S=90%, B=16": ["no study"]}


def test_learning_rates_have_a_range_only_where_no_trial_was_censored() -> None:
    trials = pd.concat([made_up_trials((4,), (0.9,), 25), made_up_trials((16,), (0.9,), 25, race=True)])
    panel = shown(only(made_up(trials), "4"))["90% sparse"]
    complete = trials[(trials["status"] == "complete") & (trials["batch_size"] == 4)]
    assert points(panel, "range that succeeds") == [(4, complete["lr"].min()), (4, complete["lr"].max())]
    assert [xy(line)[0, 1] for line in panel.lines if line.get_label() == END] == [1e-6, 10]
    stars = sorted(tuple(xy(line)[0].tolist()) for line in panel.lines if line.get_label() == "best")
    best = [records.best(trials[trials["batch_size"] == batch_size]) for batch_size in (4, 16)]
    assert stars == [(row["batch_size"], row["lr"]) for row in best if row is not None]
    low, high = panel.get_ylim()
    assert low < 1e-6 and 10 < high


def test_the_axes_of_the_trials_span_what_was_searched() -> None:
    panel = shown(only(made_up(made_up_trials((4,), (0.9,))), "14"))["S=90%, B=4"]
    ends = [xy(line).tolist() for line in panel.lines if line.get_label() == END]
    assert [x for (x, _), (other, _) in ends if x == other] == [1e-6, 10]
    assert [y for (x, y), (other, _) in ends if x != other] == pytest.approx([0.1, 1e-6])
    assert panel.get_xlim()[0] < 1e-6 and panel.get_xlim()[1] > 10 and panel.get_ylim()[0] < 1e-6


def test_a_legend_names_only_what_is_drawn_and_a_star_covers_no_other_mark() -> None:
    trials = made_up_trials((4, 16), (0.0, 0.9), race=True).sort_values("steps_to_result")
    trials = trials[(trials["status"] != "complete") | ~trials.duplicated(["batch_size", "sparsity", "status"])]
    found = drawn(made_up(trials), "4", "14").values()
    legends = [{text.get_text() for text in figure.legends[0].get_texts()} for figure in found]
    assert legends == [{"best", END}, {"best", END, *trials["status"]} - {"complete"}]


def test_curves_and_intervals_lie_within_the_frame_but_for_very_wide_intervals() -> None:
    trials = replicated(made_up_trials((4, 16, 64, 1024), (0.0, 0.9)), (1, 1.1))
    for panel in shown(only(made_up(trials), "1")).values():
        low, high = panel.get_ylim()
        curves = [xy(line)[:, 1] for line in panel.lines if line.get_label() != "critical batch size c1/c2"]
        assert low < min(map(np.min, curves)) and max(map(np.max, curves)) < high
        assert all(low < start and end < high for _, start, end in uprights(panel))
    wide = replicated(trials[trials["replicate"] == 0], (1, 100))
    low, high = shown(only(made_up(wide), "1"))["dense"].get_ylim()
    steps = k_star(trials).values()
    assert high / low < 8 * 8 * 10 * max(steps) / min(steps)


def test_a_caption_says_why_there_are_no_intervals() -> None:
    trials = made_up_trials((4, 16), (0.0,))
    for number in ("1", "costs"):
        ((_, caption, _),) = draw(made_up(trials), [number])
        assert "No point has an interval" in caption and "Upright lines" not in caption
        ((_, caption, _),) = draw(made_up(replicated(trials, (1, 2))), [number])
        assert "Upright lines: 95% intervals" in caption and "No point" not in caption


def test_smoothness_is_averaged_over_trials_with_their_range_around_it() -> None:
    rows = made_up_measurements()
    rows = rows[(rows["trial"] < 2) | (rows["step"] <= 500)]
    rows.loc[rows.index[3], "smoothness"] = math.inf
    panel = shown(only(made_up(made_up_trials((4,)), smoothness=rows), "5"))["batch size 64"]
    finite = rows[rows["smoothness"] < math.inf]
    for index, sparsity in enumerate(SPARSITIES):
        values: dict[int, list[float]] = {}
        for row in finite[finite["sparsity"] == sparsity].to_dict("records"):
            values.setdefault(row["step"], []).append(row["smoothness"])
        after_0 = [value for step, row in values.items() for value in row if step > 0]
        average = sum(after_0) / len(after_0)
        means = near((step, sum(row) / len(row)) for step, row in sorted(values.items()))
        assert points(panel, f"{NAMES[sparsity]}: {average:.3g}") == means
        band = panel.collections[index]
        assert isinstance(band, PolyCollection)
        corners = np.asarray(band.get_paths()[0].vertices)[:-1]
        for step, row in values.items():
            heights = corners[corners[:, 0] == step, 1]
            assert [heights.min(), heights.max()] == pytest.approx([min(row), max(row)])


def test_a_trial_of_each_of_several_replicates_is_as_many_trials() -> None:
    rows = made_up_measurements(trials=(0, 1, 2))
    rows = rows.assign(replicate=rows["trial"], trial=0)
    results = made_up(made_up_trials((4,)), smoothness=rows, curves=rows)
    for _, caption, figure in draw(results, ["5", "6"]):
        assert "3 trials measured" in caption
        assert sum(isinstance(one, PolyCollection) for one in figure.axes[0].collections) == len(SPARSITIES)


def test_of_step_0_alone_there_is_no_average() -> None:
    rows = made_up_measurements()
    panel = shown(only(made_up(made_up_trials((4,)), smoothness=rows[rows["step"] == 0]), "5"))["batch size 64"]
    assert set(panel.get_legend_handles_labels()[1]) == set(NAMES.values())


def test_training_logs_have_every_column_measured_and_a_row_a_batch_size() -> None:
    rows = made_up_measurements(trials=(0,), batch_sizes=(16, 64))
    figure = only(made_up(made_up_trials((4,)), curves=rows.assign(train_error=math.nan)), "6")
    labels = [axes.get_ylabel().split(" (")[0] for axes in figure.axes]
    assert labels == ["training loss", "validation loss", "validation error"] * 2
    expected = rows[(rows["batch_size"] == 64) & (rows["sparsity"] == 0.7)]
    drawn_points = points(figure.axes[4], "70% sparse")
    assert drawn_points == list(zip(expected["step"], expected["validation_loss"], strict=True))


def test_an_error_of_zero_leaves_the_scale_to_the_others() -> None:
    rows = made_up_measurements(trials=(0,))
    zero = rows.assign(train_error=np.where(rows["step"] > 1000, 0.0, rows["train_error"]), validation_error=0.0)
    figure = only(made_up(made_up_trials((4,)), curves=zero), "6")
    train, validation = figure.axes[2], figure.axes[3]
    assert 0 < train.get_ylim()[0] < zero["train_error"][zero["train_error"] > 0].min()
    assert validation.get_ylim()[0] <= 0 <= validation.get_ylim()[1]


def test_ratios_to_the_dense_network_are_shown_for_all_workloads() -> None:
    trials = optimizers("sgd", "momentum", batch_sizes=(4, 16, 64))
    figure = drawn(made_up(trials), "12")["figure_12_sparse_over_dense"]
    panels = shown(figure)
    assert len(panels) == 2
    for title, axes in panels.items():
        optimizer = "sgd" if "SGD" in title else "momentum"
        steps = k_star(trials[trials["optimizer"] == optimizer])
        for sparsity in (0.5, 0.7, 0.9):
            assert points(axes, NAMES[sparsity]) == near((b, k / steps[b, 0.0]) for b, k in of(steps, sparsity))
        assert line(axes, "no difference").get_ydata() == [1, 1]
    assert not drawn(made_up(trials[trials["sparsity"] > 0]), "12")


@pytest.fixture(scope="module")
def everything() -> dict[str, Figure]:
    """Every figure of four workloads, one of them over all of the paper's batch sizes."""
    cifar: dict[str, Any] = {"dataset": "cifar10_folder", "model": "resnet8", "goal_error": 0.4}
    cifar |= {"lr_schedule": "linear", "workload": "cifar10_resnet8_nesterov", "optimizer": "nesterov"}
    small: dict[str, Any] = {"batch_sizes": (4, 64), "sparsities": (0.0, 0.9)}
    powers = [2**k for k in range(1, 15)]
    trials = [
        *(optimizers("momentum", batch_sizes=(4, 64, 1024)), optimizers("sgd", race=True, **small)),
        made_up_trials(**small, workload="digits", dataset="digits"),
        made_up_trials((4, 64), (0.9,), workload="digits", dataset="digits", pruning="random"),
        made_up_trials(powers, (0.9,), 3, **cifar),
    ]
    rows = made_up_measurements(batch_sizes=(16, 64))
    with matplotlib.rc_context():
        return drawn(made_up(pd.concat(trials, ignore_index=True), smoothness=rows, curves=rows), *NUMBERS)


def test_batch_sizes_and_steps_have_ticks_at_powers_of_two_within_the_axis(everything: dict[str, Figure]) -> None:
    octaves = ("batch size", "steps-to-result", "steps run", "Lipschitz", "K* / K* at")
    checked = set()
    for figure in everything.values():
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                kind = next((word for word in octaves if axis.get_label_text().split("\n")[-1].startswith(word)), None)
                if kind and axes.get_visible():
                    low, high = axis.get_view_interval()
                    ticks = axis.get_major_locator()()
                    assert all(low <= tick <= high and math.log2(tick).is_integer() for tick in ticks)
                    assert 3 <= len(ticks) <= 7 and len(axis.get_minor_locator()()) == 0
                    assert axis.get_major_formatter()(ticks[0]) == f"$2^{{{math.log2(ticks[0]):.0f}}}$"
                    checked.add(kind)
    assert checked == set(octaves)


def test_every_figure_fits_a_page_with_its_text_inside_and_its_legend_beside_the_data(
    everything: dict[str, Figure],
) -> None:
    numbers = {*map(str, (1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 18)), "costs", "criteria"}
    assert {stem.split("_")[1] for stem in everything} == numbers
    for stem, figure in everything.items():
        width, height = figure.get_size_inches()
        assert width in {3.4, 7.0} and height <= 9.2, stem
        tight = figure.get_tightbbox()
        assert tight is not None
        assert tight.x0 >= -0.01 and tight.y0 >= -0.01 and tight.x1 <= width + 0.01 and tight.y1 <= height + 0.01, stem
        panels = [axes.get_window_extent() for axes in figure.axes if axes.get_visible()]
        legends = [legend.get_window_extent() for legend in figure.legends]
        legends += [legend.get_window_extent() for axes in figure.axes if (legend := axes.get_legend())]
        assert len(legends) > 0
        for one, other in itertools.combinations([*panels, *legends], 2):
            assert Bbox.intersection(one, other) is None, stem


def test_fonts_are_embedded_as_truetype() -> None:
    content = io.BytesIO()
    only(made_up(made_up_trials((4, 16), (0.0,))), "1").savefig(content, format="pdf")
    assert b"/FontFile2" in content.getvalue() and b"/Type3" not in content.getvalue()


def test_a_sparsity_looks_the_same_in_every_figure() -> None:
    trials = pd.concat([made_up_trials((4, 16)), made_up_trials((4, 16), (0.0, 0.9), workload="other", goal_error=0.1)])
    figures = drawn(made_up(trials), "1", "12")
    lines = [
        line for f in figures.values() for axes in f.axes for line in axes.lines if line.get_label() == "90% sparse"
    ]
    assert len(lines) == 8 and len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines}) == 1


def test_what_was_measured_besides_moves_no_mark_of_a_study() -> None:
    alone, more = style.sparsity_looks([0.9, 0.0]), style.sparsity_looks([0.0, 0.9], [0.9, 0.5, 0.7, 0.0])
    marks = [{level: (look["marker"], look["linestyle"]) for level, look in looks.items()} for looks in (alone, more)]
    assert marks[0].items() < marks[1].items() and len(set(marks[1].values())) == 4
    assert [alone[level]["color"] for level in (0.0, 0.9)] == [more[level]["color"] for level in (0.0, 0.9)]
    light = [sum(more[level]["color"][:3]) for level in (0.0, 0.5, 0.7, 0.9)]
    assert light == sorted(set(light))


def test_studies_still_running_and_absent_measurements_are_not_drawn() -> None:
    results = made_up(made_up_trials((4, 16), (0.0, 0.9)))
    results.studies.loc[results.studies["batch_size"] == 16, "state"] = "unfinished"
    figures = drawn(results, *NUMBERS)
    assert [stem.split("_")[1] for stem in figures] == ["1", "4", "12", "14", "costs"]
    assert points(shown(figures["figure_1_mnist_simple_cnn_momentum"])["dense"], "dense")[0][0] == 4
    assert set(shown(figures["figure_14_mnist_simple_cnn_momentum"])) == {"S=0%, B=4", "S=90%, B=4"}
    assert not drawn(replace(results, studies=results.studies.assign(state="unfinished")), *NUMBERS)


def test_trials_of_a_replicate_that_is_still_running_are_not_drawn() -> None:
    both = made_up(replicated(made_up_trials((4,), (0.0,)), (1, 0.5)))
    alone = made_up(replicated(made_up_trials((4,), (0.0,)), (1,)))
    both.studies.loc[both.studies["replicate"] == 1, "state"] = "unfinished"
    for number in ("4", "14"):
        marks = [
            [
                (str(one.get_label()), np.size(one.get_xdata()))
                for axes in only(results, number).axes
                for one in axes.lines
            ]
            for results in (both, alone)
        ]
        assert marks[0] == marks[1] and len(dict(marks[0])) > 1


def test_stems_are_unique_and_safe_and_text_is_shown_as_it_is() -> None:
    small: dict[str, Any] = {"batch_sizes": (4, 16), "sparsities": (0.0, 0.9)}
    strange: dict[str, Any] = {"workload": "../a$b_{$x^", "dataset": "$d_{$", "model": "m^$", "optimizer": "$o"}
    trials = pd.concat(
        [
            *(made_up_trials(**small, goal_error=goal) for goal in (0.02, 0.14)),
            made_up_trials(**small, **strange),
            made_up_trials(**small, **{**strange, "optimizer": "sgd"}),
        ],
        ignore_index=True,
    )
    found = list(draw(made_up(trials), ["1", "2", "3", "12"]))
    stems = [stem for stem, _, _ in found]
    assert len(set(stems)) == len(stems) and all(re.fullmatch(r"figure_\d+_[\w-]+", stem) for stem in stems)
    assert "figure_1_mnist_simple_cnn_momentum_goal_error_0_14" in stems
    assert any("$d_{$, m^$, $o: goal error 0.02" in caption for _, caption, _ in found)


def test_dense_studies_belong_to_every_pruning_criterion() -> None:
    trials = pd.concat([made_up_trials((4, 16), (0.0, 0.9)), made_up_trials((4, 16), (0.9,), pruning="random")])
    figures = drawn(made_up(trials), "1")
    name = "figure_1_mnist_simple_cnn_momentum"
    assert list(figures) == [f"{name}_pruning_random", f"{name}_pruning_snip"]
    for figure in figures.values():
        assert points(shown(figure)["dense"], "dense") == of(k_star(trials), 0.0)
        assert len(points(shown(figure)["dense"], "fit c1/B + c2")) > 2
        assert "critical batch size c1/c2" not in shown(figure)["dense"].get_legend_handles_labels()[1]  # beyond 16


def test_recoded_cifar_is_named_so_in_every_title_and_caption() -> None:
    trials = made_up_trials((4, 16), (0.0, 0.9), dataset="cifar10_folder", model="resnet8", goal_error=0.4)
    for _, caption, figure in draw(made_up(trials), ["1", "3", "12"]):
        text = " ".join([*shown(figure), figure.get_suptitle()])
        assert "CIFAR-10 (recoded as JPEG)" in caption and "CIFAR-10 (recoded as JPEG)" in " ".join(text.split())


def test_titles_say_how_many_trials_a_study_has() -> None:
    trials = made_up_trials((4, 16), (0.0,), trials=6)
    assert only(made_up(trials), "1").get_suptitle().endswith("6 trials a study")
    fewer = trials[(trials["batch_size"] == 4) | (trials["trial"] < 4)]
    assert only(made_up(fewer), "1").get_suptitle().endswith("4 to 6 trials a study")


@pytest.mark.parametrize("number", ["0", "19", "1a", ""])
def test_an_unknown_figure_is_refused_with_the_known_ones(number: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^figure '{number}' is not known; the figures are 1, 2, .*, 17, 18, costs, criteria$"
    ):
        draw(made_up(made_up_trials((4,))), ["1", number])


def replicated(trials: pd.DataFrame, factors: Sequence[float]) -> pd.DataFrame:
    """The trials again and again, each time as another replicate that takes so many times the steps."""
    found = []
    for replicate, factor in enumerate(factors):
        steps = (trials["steps_to_result"].astype(float) * factor).round().astype("Int64")
        found.append(trials.assign(replicate=replicate, steps_to_result=steps))
    return pd.concat(found, ignore_index=True)


def uprights(axes: Axes) -> list[tuple[float, float, float]]:
    """The upright lines as (x, low, high), without those that have no length."""
    lines = [one for part in axes.collections if isinstance(part, LineCollection) for one in part.get_segments()]
    return [(x, low, high) for (x, low), (_, high) in filter(len, lines) if np.isfinite([low, high]).all()]


def test_replicates_are_one_point_with_the_interval_of_their_geometric_mean() -> None:
    trials = made_up_trials((4, 16, 64), (0.0,))
    steps = k_star(trials)
    figure = only(made_up(replicated(trials, (1, 2, 4))), "1")
    assert "6 trials a study, 3 replicates" in figure.get_suptitle().replace("\n", " ")
    panel = shown(figure)["dense"]
    expected = [(b, 2 * k) for b, k in of(steps, 0.0)]
    assert points(panel, "dense") == near(expected)
    half = stats.t.ppf(0.975, 2) * math.log(2) / math.sqrt(3)
    bars = [(b, k * math.exp(-half), k * math.exp(half)) for b, k in expected]
    np.testing.assert_allclose(uprights(panel), bars)


def test_a_study_of_fewer_replicates_has_a_hollow_mark_in_every_curve() -> None:
    three = replicated(made_up_trials((4, 16, 64), (0.0, 0.9)), (1, 2, 4))
    lacking = made_up(three[(three["sparsity"] == 0) | (three["replicate"] < 1) | (three["batch_size"] < 64)])
    ((_, caption, figure), (_, over_dense, ratios)) = draw(lacking, ["1", "12"])
    assert "A hollow mark: it has fewer replicates" in caption and "A hollow mark" in over_dense
    panels = shown(figure)
    for name, axes in {**panels, "ratios": next(iter(shown(ratios).values()))}.items():
        hollow = [xy(one).tolist() for one in axes.lines if one.get_label() == "fewer replicates"]
        assert hollow == ([] if name == "dense" else [[[64, dict(points(axes, "90% sparse"))[64]]]]), name
    ((_, whole, _),) = draw(made_up(three), ["1"])
    assert "hollow" not in whole


def test_the_star_has_the_steps_of_k_star_only_with_one_replicate() -> None:
    trials = made_up_trials((4, 16), (0.0,))
    ((_, one, _),) = draw(made_up(trials), ["3"])
    assert "The star is the best trial, whose steps are K*." in one and "replicates" not in one
    ((_, several, _),) = draw(made_up(replicated(trials, (1, 2))), ["3"])
    assert "whose steps are K*" not in several
    assert "The star is the best trial of all replicates; K* is the geometric mean over the replicates." in several


def test_costs_are_steps_examples_and_seconds_of_the_best_trials() -> None:
    trials = made_up_trials((4, 16, 64), (0.0, 0.9))
    steps = k_star(trials)
    figure = only(made_up(trials), "costs")
    panels = {axes.get_ylabel(): axes for axes in figure.axes}
    assert list(panels) == ["steps K*", "examples K* B", "seconds of the best trial"]
    factors: list[Callable[[int], float]] = [lambda b: 1, lambda b: b, lambda b: 0.01]
    for factor, axes in zip(factors, panels.values(), strict=True):
        for sparsity in (0.0, 0.9):
            assert points(axes, NAMES[sparsity]) == near((b, k * factor(b)) for b, k in of(steps, sparsity))


def test_criteria_stand_side_by_side_with_their_intervals_and_those_that_do_not_arrive() -> None:
    names = ("random", "snip", "synflow")
    trials = pd.concat(made_up_trials((4, 16), (0.0, 0.9, 0.98), pruning=name) for name in names)
    trials["steps_to_result"] *= trials["pruning"].map({"random": 3, "snip": 2, "synflow": 1})
    lost = (trials["pruning"] == "snip") & (trials["sparsity"] == 0.98) & (trials["batch_size"] == 16)
    trials.loc[lost, ["status", "steps_to_result"]] = ["incomplete", None]
    ((stem, caption, figure),) = draw(made_up(replicated(trials, (1, 2))), ["criteria"])
    assert stem == "figure_criteria_mnist_simple_cnn" and "MNIST, Simple-CNN, Momentum" in caption
    assert "Lines: 95% intervals" in caption and "Upright" not in caption
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ["90% sparse", "98% sparse"]
    ticks = figure.axes[0].get_yticklabels()
    assert [(tick.get_position()[1], tick.get_text()) for tick in ticks] == [(0, "SynFlow"), (1, "SNIP"), (2, "random")]
    for sparsity, axes in zip((0.9, 0.98), panels.values(), strict=True):
        for above, size in ((0.15, 4), (-0.15, 16)):
            steps = {name: k_star(trials[trials["pruning"] == name]).get((size, sparsity)) for name in names}
            drawn_at = {round(y, 9): x for x, y in points(axes, f"batch size {size}") if math.isfinite(x)}
            expected = {2 + above: steps["random"], 1 + above: steps["snip"], 0 + above: steps["synflow"]}
            assert drawn_at == pytest.approx({y: k * 2**0.5 for y, k in expected.items() if k})
    arrows = [xy(one) for one in panels["98% sparse"].lines if one.get_marker() == ">"]
    assert [[tuple(place) for place in one] for one in arrows] == [[(1, pytest.approx(0.85))]]
    assert not [one for one in panels["90% sparse"].lines if one.get_marker() == ">"]
    for axes in panels.values():
        ends = [one.get_segments() for one in axes.collections if isinstance(one, LineCollection)]
        assert [len(segments) for segments in ends] == [3, 3]  # a batch size each; one of no length where it is lost
    assert not drawn(made_up(trials[trials["pruning"] == "snip"]), "criteria")


def with_confirmed(results: Results, batch_size: int, low: int | None, high: int | None, steps: int = 9000) -> Results:
    """The results, with this confirmed K* of the first study of each workload at the batch size."""
    row = {"median_steps": steps, "median_low": low, "median_high": high, "success_rate": 1.0, "success_low": 0.86}
    row |= {"success_high": 1.0, "seeds": 24, "max_steps": 40000, "replicate": 0, "trial": 2}
    places = results.studies[results.studies["batch_size"] == batch_size].drop_duplicates("workload")
    return replace(results, confirmed={folder: pd.Series(row, dtype=object) for folder in places["folder"]})


def heads(axes: Axes) -> list[float]:
    """Where arrow heads stand at the frame's top."""
    return [float(x) for line in axes.lines if line.get_marker() == "^" for x, y in xy(line) if y == 1]


def test_a_confirmed_k_star_is_a_point_with_its_interval_beside_k_star() -> None:
    results = with_confirmed(made_up(made_up_trials((4, 16, 64), (0.0,))), 16, 8000, 10000)
    panel = shown(only(results, "1"))["dense"]
    assert points(panel, "confirmed K*") == [(16, 9000)]
    assert uprights(panel) == [(16, 8000, 10000)] and heads(panel) == []
    low, high = panel.get_ylim()
    assert low < 9000 < high


@pytest.mark.parametrize(("low", "words"), [(8000, True), (None, False)])
def test_an_interval_without_an_upper_end_goes_up_to_an_arrow_head_at_the_frame(low: int | None, words: bool) -> None:
    results = with_confirmed(made_up(made_up_trials((4, 16, 64), (0.0,))), 16, low, None)
    ((_, caption, figure),) = draw(results, ["1"])
    panel = shown(figure)["dense"]
    assert points(panel, "confirmed K*") == [(16, 9000)]
    assert [(x, start) for x, start, end in uprights(panel) if end > panel.get_ylim()[1]] == [(16, 8000)] * words
    assert heads(panel) == [16] * words and ("arrow head" in caption) == words
    tight = figure.get_tightbbox()
    assert tight is not None and tight.y1 <= figure.get_size_inches()[1] + 0.01


def test_a_confirmed_k_star_is_shown_where_a_search_did_not_reach_the_goal() -> None:
    results = made_up(replicated(made_up_trials((4, 16, 64), (0.0, 0.9)), (1, 2)))
    of_dense = (results.studies["batch_size"] == 16) & (results.studies["sparsity"] == 0)
    results.studies.loc[of_dense & (results.studies["replicate"] == 1), "steps_to_result"] = pd.NA
    panel = shown(only(with_confirmed(results, 16, 8000, 10000), "1"))["dense"]
    assert [x for x, _ in points(panel, "dense")] == [4, 64]
    assert points(panel, "confirmed K*") == [(16, 9000)] and (16, 8000, 10000) in uprights(panel)


def test_a_confirmed_k_star_is_shown_where_no_search_reached_the_goal() -> None:
    results = made_up(made_up_trials((4, 16), (0.0,)))
    results.studies["steps_to_result"] = pd.array([pd.NA] * len(results.studies), dtype="Int64")
    assert not drawn(results, "1")
    panels = shown(only(with_confirmed(results, 16, 8000, 10000), "1"))
    assert list(panels) == ["dense"] and points(panels["dense"], "confirmed K*") == [(16, 9000)]


def test_optimizers_are_compared_by_their_confirmed_k_star_too() -> None:
    results = with_confirmed(
        made_up(optimizers("sgd", "momentum", batch_sizes=(4, 16), sparsities=(0.0,))), 16, 8000, None
    )
    ((_, caption, figure),) = draw(results, ["2"])
    panel = shown(figure)["dense"]
    diamonds = [one for one in panel.lines if one.get_label() == "confirmed K*" and len(xy(one))]
    assert [xy(one).tolist() for one in diamonds] == [[[16, 9000]]] * 2 and heads(panel) == [16, 16]
    assert [one.get_color() for one in diamonds] == [line(panel, name).get_color() for name in ("SGD", "Momentum")]
    assert panel.get_ylim()[1] > 9000 and "arrow head" in caption


def test_ratios_are_of_the_replicates_that_both_networks_have() -> None:
    """Replicates twice and four times as slow as the first, of the sparse network not the slowest."""
    trials = made_up_trials((4, 16, 64), (0.0, 0.9))
    steps = k_star(trials)
    three = replicated(trials, (1, 2, 4))
    lacking = three[(three["sparsity"] == 0) | (three["replicate"] < 2) | (three["batch_size"] == 64)]
    lacking = lacking[(lacking["sparsity"] == 0) | (lacking["replicate"] < 1) | (lacking["batch_size"] != 16)]
    ((_, caption, figure),) = draw(made_up(lacking), ["12"])
    (panel,) = shown(figure).values()
    assert points(panel, "90% sparse") == near((b, k / steps[b, 0.0]) for b, k in of(steps, 0.9))
    bars = uprights(panel)
    assert [x for x, *_ in bars] == [4, 64] and "Upright lines" in caption
    assert all(low < ratio < high for (_, low, high), (_, ratio) in zip(bars, of_ratios(steps), strict=True))
    assert panel.get_ylim()[1] > max(ratio for _, ratio in of_ratios(steps))


def of_ratios(steps: dict[tuple[int, float], int]) -> list[tuple[int, float]]:
    """K* sparse over K* dense at the batch sizes 4 and 64."""
    return [(b, steps[b, 0.9] / steps[b, 0.0]) for b in (4, 64)]

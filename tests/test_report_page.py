"""The web page: what it shows, that nothing in it is markup but its own, and that it asks for nothing."""

import base64
import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pages import Parsed, rows
from report_results import claims, results, study, theory
from report_trials import made_up as made_up_results
from report_trials import made_up_trials

from dps.analysis.claims.judge import Claim
from dps.analysis.coverage import grids
from dps.analysis.results import Results
from dps.analysis.runs import logged
from dps.report import links
from dps.report import page as page_module
from dps.report.chart import charts
from dps.report.facts import facts
from dps.report.page import page
from dps.report.trials import trials
from dps.report.wording import interval, shown

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
OTHER = PNG + b"another"
FOLDER = Path("outputs/report")
EXPLORED = "figure_1_mnist_simple_cnn_momentum"


def a_page(**changed: Any) -> str:
    """A page of three studies of a grid of four."""
    studies = [study(16, 0.0, 2000), study(64, 0.0, 544, best_of_5_high=None), study(16, 0.9, None, state="unfinished")]
    theories = [theory(0.0, 23282.08, 426.9787, smoothness=0.5712345)]
    made_up = results(studies, theories, ["batch_size=64 sparsity=0.9 is missing."])
    given: dict[str, Any] = {"results": made_up, "claims": claims()}
    given |= {"figures": [("figure_1_a", "Figure 1. K*.", PNG), ("figure_2_b", "Two", OTHER)], "folder": FOLDER}
    return page(**given | changed)


def explored() -> str:
    """A page whose Figure 1 can be explored."""
    made_up = results([study(b, s, 4000 // b) for b in (16, 64) for s in (0.0, 0.9)], [theory(0.0, 4000, 10)], [])
    return page(made_up, claims(), [(EXPLORED, "Figure 1.", PNG)], FOLDER)


def trials_of(made_up: Results, **changed: Any) -> pd.DataFrame:
    """One trial of each study."""
    shared = ["workload", "goal_error", "pruning", "batch_size", "sparsity", "replicate"]
    return made_up.studies[shared].assign(trial=0, **changed).reindex(columns=list(made_up.trials.columns))


def test_the_studies_are_listed_as_people_write_numbers() -> None:
    first, second, third = rows(a_page(), 1)
    assert first["batch size"] == "16" and first["sparsity"] == "0"
    assert first["K*"] == "2000" and second["K*"] == "544" and third["K*"] == "-"
    assert first["best of 5"] == "2000 2000 to 2160" and second["best of 5"] == "544 or more"
    assert (first["lr"], second["lr"], third["lr"]) == ("0.0123", "0.0494", "-")
    assert (
        first["momentum"] == "0.9877"
        and first["ended"] == "11 complete, 4 incomplete, 10 infeasible"
        and third["state"] == "unfinished"
    )
    assert not first.keys() & {"workload", "decay steps", "dataset", "command"}


def test_the_theory_is_listed_with_its_intervals() -> None:
    (row,) = rows(a_page(), 3)
    assert row["c1"] == "23282 20954 to 27938" and row["c2"] == "427 384 to 512"
    assert row["critical batch size"] == "54.5 49.1 to 65.4" and row["smoothness"] == "0.571"
    assert "delta" not in row


def test_what_differs_within_a_workload_is_in_the_table() -> None:
    both = [study(16, 0.9, 2000), study(16, 0.9, 1000, pruning="grasp")]
    assert [row["pruning"] for row in rows(a_page(results=results(both, [], [])), 1)] == ["snip", "grasp"]


def test_two_workloads_are_told_apart() -> None:
    both = [study(16, 0.0, 2000), study(16, 0.0, 3000, workload="mnist_simple_cnn_sgd", optimizer="sgd")]
    text = a_page(results=results(both, [], []))
    assert [row["workload"] for row in rows(text, 2)] == ["mnist_simple_cnn_momentum", "mnist_simple_cnn_sgd"]
    assert "optimizer" not in rows(text, 2)[0] and len(Parsed(text).texts("table", "grid")) == 2


def test_the_grid_says_what_is_there() -> None:
    text = a_page()
    assert "2 of 4 studies finished, 1 unfinished, 1 missing" in Parsed(text).texts("summary")[0]
    grid = Parsed("<table>" + text.split("<table")[1].partition(">")[2].partition("</table>")[0] + "</table>")
    assert grid.texts("th") == ["16", "64", "dense", "90% sparse, SNIP"]
    assert grid.texts("td") == ["", "2000", "544", "unfinished", "missing"]


def test_a_goal_out_of_reach_is_not_missing() -> None:
    text = a_page(results=results([study(16, 0.0, None)], [], []))
    assert "not reached" in Parsed(text).texts("td") and "1 of 1 study finished" in text


def test_dense_studies_belong_to_the_grid_of_every_criterion() -> None:
    studies = [study(b, 0.0, 100) for b in (4, 8)] + [study(b, 0.9, 300) for b in (4, 8)]
    studies += [study(4, 0.9, 400, pruning="grasp"), study(4, 0.0, 90, goal_error=0.05)]
    first, second = grids(results(studies, [], []).studies)
    assert str(first) == "5 of 6 studies finished, 1 missing" and str(second) == "1 of 1 study finished"
    assert first.networks == [(0.0, ""), (0.9, "grasp"), (0.9, "snip")]


def test_each_claim_has_its_verdict_in_words_its_numbers_and_its_rule() -> None:
    parsed = Parsed(a_page())
    assert parsed.texts("p", "verdict") == ["✓ holds", "✗ does not hold", "? not enough data"]
    assert parsed.texts("h3")[1] == "2. 90% sparse takes 1.5 to 4.5 times the steps."
    assert "RuleSparse at least dense." in parsed.texts("details") and "Ratio 5.1." in parsed.texts("p")
    assert any("1 hold, 1 do not, 1 lack data" in text for text in parsed.texts("p"))


def test_figures_are_in_the_page_byte_for_byte() -> None:
    parsed = Parsed(a_page())
    kinds, contents = zip(*(source.split(",") for source in parsed.attributes("src")), strict=True)
    assert kinds == ("data:image/png;base64",) * 2
    assert [base64.b64decode(content) for content in contents] == [PNG, OTHER]
    assert parsed.attributes("alt") == parsed.texts("figcaption") == ["Figure 1. K*.", "Two"]


def test_what_cannot_be_judged_comes_last_and_folded() -> None:
    first, second, third = reversed(claims())
    parsed = Parsed(a_page(claims=[first, second, third]))
    assert parsed.attributes("value")[:3] == ["2", "1", "3"]
    (folded,) = parsed.texts("details", "undecided")
    assert "What these data cannot judge (1)" in folded and first.statement in folded
    assert second.statement not in folded and third.statement not in folded


def test_the_order_is_claims_figures_tables_commands_missing() -> None:
    heads = Parsed(a_page()).texts("h2")
    assert heads == [
        "Claims",
        "Figures",
        "Studies",
        "Trials",
        "Theory",
        "Fewer trials",
        "Commands and files",
        "Environment",
        "Missing or unfinished",
    ]


def test_every_command_and_every_missing_study_is_there() -> None:
    parsed = Parsed(a_page())
    assert parsed.texts("code")[1] == "dps -m workload=mnist_simple_cnn_momentum batch_size=64 sparsity=0.0"
    assert len(parsed.texts("button", "copy")) == 3
    assert parsed.texts("li")[-1] == "batch_size=64 sparsity=0.9 is missing."


def test_nothing_yet_is_said_in_words() -> None:
    text = a_page(results=results([study(16, 0.0, 32)], [], []), figures=[])
    for sentence in ("no data for a fit", "no data for a figure", "every study of the grid is finished"):
        assert sentence in text


def test_names_and_sentences_are_text_and_never_markup() -> None:
    evil = """<script>alert("1")</script><img src=x onerror='alert(2)'>&amp;"""
    names = dict.fromkeys(("workload", "pruning", "model", "command", "boundary", "space"), evil)
    both = [study(16, 0.9, 32, **names), study(64, 0.9, 32, **names, state=evil)]
    made_up = results(both, [theory(0.9, 1, 1, workload=evil)], [evil])
    made_up = replace(made_up, trials=trials_of(made_up, status=evil))
    (stem,) = charts(made_up)
    text = page(made_up, [Claim(1, evil, "holds", evil, evil)], [(stem, evil, PNG)], FOLDER)
    parsed = Parsed(text)
    tags = [tag for tag, _, _ in parsed.elements]
    assert tags.count("script") == 2 + 6 and tags.count("img") == 1 and not parsed.attributes("onerror")
    assert evil in json.loads(parsed.texts("script")[1])["rows"][0]
    assert evil in parsed.texts("title")[0] and evil in parsed.texts("summary")[1]
    assert parsed.texts("code") == [evil, evil] and parsed.texts("figcaption") == [evil] == parsed.attributes("alt")
    assert parsed.texts("td").count(evil) == 3


def test_it_asks_for_nothing() -> None:
    text = a_page()
    parsed = Parsed(text)
    assert all(source.startswith("data:image/") for source in parsed.attributes("src"))
    assert not [link for link in parsed.attributes("href") if ":" in link or link.startswith("/")]
    assert "link" not in [tag for tag, _, _ in parsed.elements]
    for word in ("http:", "https:", "url(", "@import", "fetch(", "import("):
        assert word not in text
    assert "sourceMappingURL" not in explored() and "'unsafe-eval'" not in explored()
    assert any("default-src 'none'" in value for value in parsed.attributes("content"))


def test_links_lead_somewhere_and_headers_say_what_they_head() -> None:
    parsed = Parsed(a_page())
    ids = parsed.attributes("id")
    inner = [link[1:] for link in parsed.attributes("href") if link.startswith("#")]
    assert len(set(ids)) == len(ids) and set(inner) <= set(ids)
    assert {attrs.get("scope") for tag, attrs, _ in parsed.elements if tag == "th"} == {"col", "row"}


def test_recoded_images_are_named() -> None:
    assert "recoded as JPEG" in a_page(results=results([study(16, 0.0, 32, dataset="cifar10_folder")], [], []))
    assert "recoded as JPEG" not in a_page()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("lr", 0.000123456, "0.000123"),
        ("lr", 1.0, "1"),
        ("lr", 0.3162277, "0.316"),
        ("momentum", 0.99985, "0.9999"),
        ("momentum", 0.982217, "0.9822"),
        ("c1", 999.6, "1000"),
        ("c1", 123456.7, "123457"),
        ("c1", 3.2e9, "3.2e+09"),
        ("steps_to_result", 40000, "40000"),
        ("sparsity", 0.0, "0"),
        ("lr", float("nan"), "-"),
        ("steps_to_result", pd.NA, "-"),
        ("boundary", "", "-"),
    ],
)
def test_a_value_is_written_for_people(name: str, value: Any, text: str) -> None:
    assert shown(name, value) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (16, 32, "16 to 32"),
        (16, pd.NA, "at least 16"),
        (0.0, pd.NA, "not bounded"),
        (float("nan"), 3.14159, "at most 3.14"),
        (pd.NA, pd.NA, ""),
    ],
)
def test_an_interval_leaves_an_unknown_end_open(low: Any, high: Any, text: str) -> None:
    assert interval("c1", low, high) == text


def test_the_answer_and_figure_1_come_first() -> None:
    parsed = Parsed(explored())
    (said,) = parsed.texts("p", "answer")
    assert said == (
        "MNIST, Simple-CNN, Momentum: the dense network comes down to an error of 0.02 in 250 steps at batch size 16 "
        "and in 62 steps at 64 (25 trials a study). At the same batch size, the 90% sparse network takes 1 times the "
        "steps of the dense one, over 2 batch sizes."
    )
    assert [text for text in parsed.texts("section") if "Figure 1." in text] == []
    (figure,) = parsed.texts("figure")
    assert "As in print" in figure and "Figure 1." in figure


@pytest.mark.parametrize(
    ("studies", "words"),
    [
        ([study(16, 0.0, None)], ["No finished study has reached its goal yet."]),
        ([study(16, 0.0, 32)], ["32 steps at batch size 16, the only one measured", "No sparse network stands beside"]),
        ([study(b, 0.9, 80) for b in (4, 8)], ["the 90% sparse network comes down", "No sparse network stands beside"]),
        (
            [
                study(b, s, round(k * (1 + s)), workload=w)
                for w, k in (("a", 80), ("b", 40))
                for b in (4,)
                for s in (0, 1)
            ]
            + [study(8, 0, k, workload=w) for w, k in (("a", 40), ("b", 10))],
            ["In 2 workloads", "divided by 2 to 4.", "the 100% sparse network takes 2 times"],
        ),
        (
            [study(4, 0.0, 80), study(8, 0.0, 40)] + [study(4, 0.9, 160, pruning=name) for name in ("snip", "grasp")],
            ["the dense network comes down to an error of 0.02 in 80 steps", "the 90% sparse network takes 2 times"],
        ),
        (
            [study(4, s, k, replicate=r) for s, k, r in ((0, 800, 0), (0, 900, 1), (0.9, 1600, 0), (0.9, 3600, 1))],
            ["takes 2.8 (0.035 to 231) times", "one, the geometric mean over replicates and its 95% interval."],
        ),
        (
            [study(4, s, k, replicate=r) for s, k, r in ((0, 800, 0), (0, 9000, 1), (0.9, 1600, 0))],
            ["the 90% sparse network takes 2 times the steps of the dense one."],
        ),
    ],
)
def test_an_answer_says_what_is_known_and_no_more(studies: list[dict[str, Any]], words: list[str]) -> None:
    (said,) = Parsed(a_page(results=results(studies, [], []))).texts("p", "answer")
    assert all(word in said for word in words), said


def test_a_chart_has_k_star_its_fit_its_interval_and_what_was_found() -> None:
    rows = made_up_trials((4, 16, 64), (0.0, 0.9))
    twice = pd.concat([rows, rows.assign(replicate=1, steps_to_result=2 * rows["steps_to_result"])], ignore_index=True)
    made_up = made_up_results(twice)
    (chart,) = charts(made_up).values()
    switches = {one["bind"]["name"]: (one["name"], one["value"]) for one in chart["params"]}
    assert list(switches) == ["dense", "90% sparse", "fits c1 / B + c2", "95% intervals", "linear scaling"]
    assert [on for _, on in switches.values()] == [True, True, True, True, False]
    points = chart["layer"][-1]["data"]["values"]
    expected = made_up.k_star.sort_values(["sparsity", "batch_size"]).to_dict("records")
    for point, row in zip(points, expected, strict=True):
        assert (point["batch_size"], point["steps"]) == (row["batch_size"], row["steps_to_result"])
        assert (point["low"], point["high"]) == (row["steps_to_result_low"], row["steps_to_result_high"])
        assert point["name"] == ("90% sparse" if row["sparsity"] else "dense")
        assert point["told_interval"] == f"{round(point['low'])} to {round(point['high'])}"
    fit = next(layer for layer in chart["layer"] if layer["transform"][0] == {"filter": "fits"})["data"]["values"]
    for row in fit:
        growth = 1 + 2 * 0.9**2 if row["network"] else 1
        assert row["steps"] == pytest.approx(growth * (20000 / row["batch_size"] + 60))
    (once,) = charts(made_up_results(rows)).values()
    assert "95% intervals" not in [one["bind"]["name"] for one in once["params"]]
    told = once["layer"][-1]["data"]["values"][0]
    assert told["told_interval"] == "none: it needs two replicates" and json.dumps(once, allow_nan=False)


def confirmed(made_up: Results, batch_size: int, low: int | None, high: int | None) -> Results:
    """The results, with a confirmed K* of 300 steps of the batch size's first study."""
    row = {"median_steps": 300, "median_low": low, "median_high": high, "success_rate": 1.0, "success_low": 0.86}
    row |= {"success_high": 1.0, "seeds": 24, "max_steps": 40000, "replicate": 0, "trial": 2}
    folder = made_up.studies.loc[made_up.studies["batch_size"] == batch_size, "folder"].iloc[0]
    return replace(made_up, confirmed={folder: pd.Series(row, dtype=object)})


@pytest.mark.parametrize(("low", "high"), [(200, 900), (200, None), (None, None)])
def test_a_chart_has_the_confirmed_k_star_and_both_ends_of_its_interval(low: int | None, high: int | None) -> None:
    made_up = confirmed(results([study(b, 0.0, 4000 // b) for b in (16, 64)], [], []), 16, low, high)
    (chart,) = charts(made_up).values()
    assert "confirmed K*" in [one["bind"]["name"] for one in chart["params"]]
    (part,) = [layer for layer in chart["layer"] if {"filter": "confirmed"} in layer["transform"]]
    (row,) = part["data"]["values"]
    assert (row["batch_size"], row["confirmed"], row["confirmed_low"], row["confirmed_high"]) == (16, 300, low, high)
    bounded, unbounded, head, point = part["layer"]
    assert bounded["mark"]["type"] == unbounded["mark"]["type"] == "rule"
    assert [layer["encoding"]["y"]["field"] for layer in (bounded, unbounded)] == ["confirmed_low"] * 2
    assert bounded["encoding"]["y2"] == {"field": "confirmed_high"} and point["encoding"]["y"]["field"] == "confirmed"
    assert unbounded["encoding"]["y2"] == head["encoding"]["y"] == {"value": 0}
    least, most = chart["encoding"]["y"]["scale"]["domain"]
    assert least < (low or 300) and most > (high or 300)


def test_a_confirmed_k_star_is_in_the_chart_where_a_search_did_not_reach_the_goal() -> None:
    studies = [
        study(16, 0.0, 200),
        study(16, 0.0, None, replicate=1),
        study(64, 0.0, 90),
        study(64, 0.0, 80, replicate=1),
    ]
    (chart,) = charts(confirmed(results(studies, [], []), 16, 200, 900)).values()
    line, marks, told = (layer["data"]["values"] for layer in chart["layer"][-3:])
    assert [row["batch_size"] for row in line] == [row["batch_size"] for row in marks] == [64]
    assert [(row["batch_size"], row["at"]) for row in told] == [(16, 300), (64, pytest.approx(math.sqrt(90 * 80)))]
    assert told[0]["told_steps"] == "none: 1 of 2 replicates reached the goal" and told[0]["told_interval"] == ""
    assert told[0]["told_confirmed"] == "300 (200 to 900), 24 fresh seeds" and json.dumps(chart, allow_nan=False)


def test_a_study_of_fewer_replicates_is_a_hollow_point_of_the_chart() -> None:
    rows = [study(b, s, 4000 // b, replicate=r) for b in (16, 64) for s in (0.0, 0.9) for r in (0, 1)]
    (chart,) = charts(results(rows[:-1], [], [])).values()
    filled, hollow, told = (layer["data"]["values"] for layer in chart["layer"][-3:])
    assert [layer["mark"].get("filled") for layer in chart["layer"][-3:]] == [True, False, None]
    assert [(row["batch_size"], row["name"]) for row in hollow] == [(64, "90% sparse")] and len(filled) == 3
    assert [row["told_fewer"] for row in told] == ["", "", "", "1 replicate, others have more"]


def test_the_best_metaparameters_of_each_replicate_are_told() -> None:
    both = [study(16, 0.0, 200), study(16, 0.0, 400, replicate=1, lr=0.5, momentum=0.95)]
    (chart,) = charts(results(both, [], [])).values()
    (point,) = chart["layer"][-1]["data"]["values"]
    assert point["told_best"] == "lr 0.0123 / 0.5, momentum 0.9877 / 0.95"
    assert point["told_steps"] == "283 (geometric mean of 2 replicates)"
    assert point["told_trials"] == "50: 22 complete, 8 incomplete, 20 infeasible"


def test_all_trials_are_there_with_what_they_are_filtered_by_and_their_runs(tmp_path: Path) -> None:
    made_up = made_up_results(made_up_trials((4, 16), (0.0, 0.9)))
    folders = [tmp_path / str(number) for number in range(len(made_up.studies))]
    lines = "0,abc,https://a.b/c\n1,off,\n2,evil,javascript:alert(1)\n"
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "wandb.csv").write_text("trial,run_id,url\n" + lines * (number == 0))
    named = made_up.studies.assign(folder=list(map(str, folders)))
    found = trials(replace(made_up, studies=named, runs=logged(folders)))
    heads = [column["header"] for column in found["columns"]]
    assert heads[:5] == ["batch size", "sparsity", "trial", "status", "steps to goal"] and heads[-1] == "W&B run"
    assert len(found["rows"]) == len(made_up.trials) and json.dumps(found, allow_nan=False)
    assert [row[-1] for row in found["rows"][:4]] == [["abc", "https://a.b/c"], ["off", ""], ["evil", ""], None]
    filters = {heads[one["column"]]: one["values"] for one in found["filters"]}
    assert filters["batch size"] == [4, 16] and filters["sparsity"] == [0.0, 0.9]
    assert set(filters["status"]) == set(made_up.trials["status"])


def test_files_of_the_studies_are_linked_from_where_the_page_lies(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "batch_size=16,sparsity=0.0 #1"
    names = ["dps.log", "trials.csv", "csv/a/metrics.csv", "replicate=1/trials.csv"]
    others = ["confirm/seed=0/trials.csv", "x.ckpt", "wandb/run/logs/debug.log", "report/study.csv", "mine/study.csv"]
    for name in [*names, *others]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
        os.utime(folder / name, (0, 1_000_000_000))
    (tmp_path / "out" / "sweep.log").touch()
    again = study(16, 0.0, 300, replicate=1, folder=str(folder / "replicate=1"))
    made_up = results([study(16, 0.0, 200, folder=str(folder)), again], [], [])
    parsed = Parsed(a_page(results=made_up, folder=folder / "mine"))
    files = [link for link in parsed.attributes("href") if link.startswith("..")]
    assert files == [*(f"../{name}" for name in names), "../../sweep.log"]
    (elsewhere, *_) = links.of_study(folder, tmp_path / "out" / "report")
    assert elsewhere == links.Link("dps.log", "../batch_size=16,sparsity=0.0%20%231/dps.log")
    assert facts(made_up)[-1] == "files last changed 2001-09-09"


def test_the_run_of_a_sweep_is_linked_where_it_is_on_the_web(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder, run in zip(folders, ("abc,https://a.b/c", "evil,javascript:alert(1)"), strict=True):
        folder.mkdir()
        (folder / "wandb.csv").write_text(f"trial,run_id,url\n,{run}\n")
    text = a_page(results=replace(results([study(16, 0.0, 200)], [], []), runs=logged(folders)))
    assert [link for link in Parsed(text).attributes("href") if ":" in link] == ["https://a.b/c"]
    assert "W&amp;B run abc" in text and "evil" not in text


def test_why_there_is_no_interval_is_said() -> None:
    assert "What a search of 5, 10 or 25 trials would have found is not known" in a_page(
        results=results([study(16, 0.0, 32, best_of_5=None, best_of_5_low=None, best_of_5_high=None)], [], [])
    )
    assert "would have found is not known" not in a_page()


def test_the_libraries_are_as_large_as_the_document_says_and_licensed() -> None:
    folder = Path(page_module.__file__).with_name("vega")
    sizes = [(folder / name).stat().st_size for name in ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")]
    said = (Path(__file__).parents[1] / "docs" / "report.md").read_text(encoding="utf-8")
    assert all(f"{size:,}" in said for size in (sum(sizes), *sizes))
    licences = (folder / "LICENSE.txt").read_text(encoding="utf-8")
    assert all(f"== {name}" in licences for name in ("vega-6.4.0", "vega-lite-6.4.3", "vega-embed-7.3.0"))

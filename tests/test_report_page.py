"""The web page: what it shows, that nothing in it is markup but its own, and that it asks for nothing."""

import base64
from typing import Any

import pandas as pd
import pytest
from pages import Parsed, rows
from report_results import claims, results, study, theory

from dps.analysis.claims.judge import Claim
from dps.analysis.coverage import grids
from dps.report.page import page
from dps.report.wording import interval, shown

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
OTHER = PNG + b"another"


def a_page(**changed: Any) -> str:
    """A page of three studies of a grid of four."""
    studies = [study(16, 0.0, 2000), study(64, 0.0, 544, best_of_5_high=None), study(16, 0.9, None, state="running")]
    theories = [theory(0.0, 23282.08, 426.9787, smoothness=0.5712345)]
    made_up = results(studies, theories, ["batch_size=64 sparsity=0.9 is missing."])
    given: dict[str, Any] = {"results": made_up, "claims": claims()}
    return page(**given | {"figures": [("figure_1_a", "Figure 1. K*.", PNG), ("figure_2_b", "Two", OTHER)]} | changed)


def test_the_studies_are_listed_as_people_write_numbers() -> None:
    first, second, third = rows(a_page(), 1)
    assert first["batch size"] == "16" and first["sparsity"] == "0"
    assert first["K*"] == "2000" and second["K*"] == "544" and third["K*"] == "-"
    assert first["best of 5"] == "2000 2000 to 2160" and second["best of 5"] == "544 at least 544"
    assert (first["lr"], second["lr"], third["lr"]) == ("0.0123", "0.0494", "-")
    assert first["momentum"] == "0.9877" and first["complete"] == "11" and third["state"] == "running"
    assert not first.keys() & {"workload", "decay steps", "dataset", "command"}


def test_the_theory_is_listed_with_its_intervals() -> None:
    (row,) = rows(a_page(), 2)
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
    assert "2 of 4 studies finished, 1 running, 1 missing" in Parsed(text).texts("summary")[0]
    grid = Parsed("<table>" + text.split("<table")[1].partition(">")[2].partition("</table>")[0] + "</table>")
    assert grid.texts("th") == ["16", "64", "dense", "0.9 snip"]
    assert grid.texts("td") == ["", "2000", "544", "running", "missing"]


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


def test_the_order_is_claims_figures_tables_commands_missing() -> None:
    heads = Parsed(a_page()).texts("h2")
    assert heads == [
        "Claims",
        "Figures",
        "Studies",
        "Theory",
        "Fewer trials",
        "Commands",
        "Environment",
        "Missing or running",
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
    names = dict.fromkeys(("workload", "pruning", "model", "command", "boundary", "space", "state"), evil)
    made_up = results([study(16, 0.9, 32, **names)], [theory(0.9, 1, 1, workload=evil)], [evil])
    text = page(made_up, [Claim(1, evil, "holds", evil, evil)], [(evil, evil, PNG)])
    parsed = Parsed(text)
    tags = [tag for tag, _, _ in parsed.elements]
    assert tags.count("script") == 1 and tags.count("img") == 1 and not parsed.attributes("onerror")
    assert evil in parsed.texts("title")[0] and evil in parsed.texts("summary")[0]
    assert parsed.texts("code") == [evil] and parsed.texts("figcaption") == [evil] == parsed.attributes("alt")
    assert parsed.texts("td").count(evil) == 2


def test_it_asks_for_nothing() -> None:
    text = a_page()
    parsed = Parsed(text)
    assert all(source.startswith("data:image/") for source in parsed.attributes("src"))
    assert all(link.startswith("#") for link in parsed.attributes("href"))
    assert "link" not in [tag for tag, _, _ in parsed.elements]
    for word in ("http:", "https:", "url(", "@import", "fetch(", "import("):
        assert word not in text
    assert any("default-src 'none'" in value for value in parsed.attributes("content"))


def test_links_lead_somewhere_and_headers_say_what_they_head() -> None:
    parsed = Parsed(a_page())
    ids = parsed.attributes("id")
    assert len(set(ids)) == len(ids) and {link[1:] for link in parsed.attributes("href")} <= set(ids)
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
    [(16, 32, "16 to 32"), (16, pd.NA, "at least 16"), (float("nan"), 3.14159, "at most 3.14"), (pd.NA, pd.NA, "")],
)
def test_an_interval_leaves_an_unknown_end_open(low: Any, high: Any, text: str) -> None:
    assert interval("c1", low, high) == text

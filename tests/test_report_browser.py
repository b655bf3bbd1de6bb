"""The web page in a browser, from a file: it fits, asks for nothing, sorts and copies."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure
from report_results import claims, results, study, theory

from dps.analysis.results import Results
from dps.report.chart import charts
from dps.report.page import page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH"),
]
PIXELS = 1400
STEPS = [4560, 608, 80, 96, 48, None, 1904, 400, 240, 1008]  # in text 1008 < 1904 < 240; not in the order of the places


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all tests."""
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of a whole grid with long names, as a file."""
    image = io.BytesIO()
    Figure(figsize=(PIXELS / 200, 3)).savefig(image, format="png", dpi=200)
    places = [(batch_size, sparsity) for sparsity in (0.0, 0.9) for batch_size in (2, 16, 128, 1024, 16384)]
    studies = [study(*place, steps) for place, steps in zip(places, STEPS, strict=True)]
    studies[0]["command"] += " data.root=" + "a/very/long/path" * 10
    made_up = results(studies, [theory(0.0, 9000, 60)], ["One study is missing."])
    made_up = replace(made_up, trials=trials_of(made_up))
    path = tmp_path_factory.mktemp("page") / "index.html"
    figures = [(stem, "Caption. " + "K* falls. " * 20, image.getvalue()) for stem in (*charts(made_up), "figure_12")]
    path.write_text(page(made_up, claims(), figures, path.parent))
    return path.as_uri()


def trials_of(made_up: Results) -> pd.DataFrame:
    """Four trials of each study."""
    shared = ["workload", "goal_error", "pruning", "batch_size", "sparsity", "replicate"]
    steps = made_up.studies["steps_to_result"]
    each = [
        made_up.studies[shared].assign(
            trial=number,
            status="complete" if number == 3 else "censored",
            steps_to_result=steps if number == 3 else pd.NA,
        )
        for number in range(4)
    ]
    return pd.concat(each).reindex(columns=list(made_up.trials.columns)).astype({"steps_to_result": "Int64"})


@pytest.fixture(params=[(1280, "light"), (360, "light"), (360, "dark")], ids=lambda case: f"{case[0]}-{case[1]}")
def tab(browser: Any, address: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """The page at one width and colour scheme; fails on any message, error or request that leaves the file."""
    width, scheme = request.param
    opened = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: complaints.extend(_outside(request.url)))
    opened.goto(address)
    yield opened
    opened.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
    opened.close()
    assert complaints == []


def _outside(url: str) -> list[str]:
    return [] if url.startswith(("file:", "data:")) else [url]


def column(tab: Any, number: int) -> list[str]:
    """What the column of the studies' table shows, from the top, without the intervals."""
    cells = tab.locator(f"#studies tbody td:nth-child({number})")
    return [text.split()[0] for text in cells.all_inner_texts()]


def test_the_page_fits_and_wide_tables_scroll_in_their_box(tab: Any) -> None:
    width = tab.viewport_size["width"]
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    box = tab.locator("#studies .wide")
    assert box.evaluate("box => box.getBoundingClientRect().right") <= width
    assert box.evaluate("box => box.scrollWidth > box.clientWidth") == (width < 800)


def test_a_figure_is_shown_at_its_size_and_undistorted(tab: Any) -> None:
    shown = tab.locator("#figure_12 img").evaluate("image => [image.naturalWidth, image.width, image.height]")
    assert shown[0] == PIXELS
    assert shown[1] == (0.6 * PIXELS if tab.viewport_size["width"] > 800 else 640)
    assert shown[2] == pytest.approx(shown[1] * 600 / PIXELS, abs=1)


def test_a_click_sorts_by_number_and_turns_round_with_empties_last(tab: Any) -> None:
    head = tab.locator("#studies th", has_text="K*")
    rising = ["48", "80", "96", "240", "400", "608", "1008", "1904", "4560"]
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(tab, 3) == [*rising, "-"]
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(tab, 3) == [*reversed(rising), "-"]


def test_enter_sorts_and_only_one_header_says_so(tab: Any) -> None:
    tab.locator("#studies th button", has_text="K*").click()
    head = tab.locator("#studies th", has_text="batch size")
    head.locator("button").focus()
    tab.keyboard.press("Enter")
    assert column(tab, 1) == [text for text in ("2", "16", "128", "1024", "16384") for _ in range(2)]
    assert tab.locator("#studies th[aria-sort=ascending]").count() == 1
    assert tab.locator("#theory th[aria-sort=ascending]").count() == 0


def test_copy_fills_the_clipboard(tab: Any) -> None:
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = tab.locator("button.copy").nth(1)
    button.click()
    sync_api.expect(button).to_have_text("Copied")
    assert tab.evaluate("navigator.clipboard.readText()") == tab.locator("code").nth(1).inner_text()


def test_copy_selects_the_text_where_the_clipboard_is_closed(tab: Any) -> None:
    tab.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('closed')) }")
    button = tab.locator("button.copy").nth(1)
    button.click()
    sync_api.expect(button).to_have_text("Selected")
    assert tab.evaluate("String(getSelection())").strip() == tab.locator("code").nth(1).inner_text()
    sync_api.expect(tab.locator("#status")).to_contain_text("Ctrl+C")


def marks(tab: Any) -> Any:
    """The marks of Figure 1 that the pointer can meet."""
    return tab.locator("header .chart path[aria-roledescription=circle]")


def test_figure_1_is_drawn_on_the_first_screen_and_its_picture_folded(tab: Any) -> None:
    sync_api.expect(marks(tab)).to_have_count(9)  # one study of ten has not reached the goal
    assert tab.locator("header .chart svg").bounding_box()["y"] < 0.55 * tab.viewport_size["height"]
    box = tab.locator("header .chart").bounding_box()
    drawn = tab.locator("header .chart svg").bounding_box()
    assert drawn["x"] >= box["x"] and drawn["x"] + drawn["width"] <= box["x"] + box["width"] + 1
    assert not tab.locator("header img").is_visible() and tab.locator("#figure_12 img").is_visible()


def test_what_is_known_of_a_study_is_told_under_the_pointer(tab: Any) -> None:
    marks(tab).nth(1).hover()
    told = tab.locator("#vg-tooltip-element")
    sync_api.expect(told).to_contain_text("608")
    for words in ("dense", "16", "none: it needs two replicates", "lr 0.0123, momentum 0.9877", "11 complete"):
        sync_api.expect(told).to_contain_text(words)


def test_a_finger_is_told_it_too_and_all_of_it_fits(browser: Any, address: str) -> None:
    context = browser.new_context(has_touch=True, viewport={"width": 360, "height": 800})
    opened = context.new_page()
    opened.goto(address)
    marks(opened).nth(4).tap()
    told = opened.locator("#vg-tooltip-element.visible")
    sync_api.expect(told).to_contain_text("best trial")
    box = told.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 360
    context.close()


def test_a_sparsity_and_a_fit_are_switched_off_and_on_again_by_keys(tab: Any) -> None:
    fits = tab.locator("header .chart path[stroke-dasharray]")
    sync_api.expect(fits).to_have_count(1)
    for name, left in (("dense", (4, 0)), ("fits c1 / B + c2", (9, 0))):
        box = tab.get_by_label(name, exact=True)
        box.focus()
        tab.keyboard.press("Space")
        sync_api.expect(marks(tab)).to_have_count(left[0])
        sync_api.expect(fits).to_have_count(left[1])
        tab.keyboard.press("Space")
        sync_api.expect(marks(tab)).to_have_count(9)
        sync_api.expect(fits).to_have_count(1)


def test_trials_are_filtered_sorted_and_shown_a_page_at_a_time(tab: Any) -> None:
    lines, count = tab.locator("#all-trials tbody tr"), tab.locator("#count")
    sync_api.expect(count).to_have_text("40 of 40 trials, 25 shown")
    tab.locator("#more").click()
    sync_api.expect(lines).to_have_count(40)
    tab.locator("#filters").get_by_label("status").select_option("complete")
    sync_api.expect(count).to_have_text("10 of 40 trials")
    tab.locator("#filters").get_by_label("sparsity").select_option("0.9")
    sync_api.expect(lines).to_have_count(5)
    head = tab.locator("#all-trials th", has_text="steps to goal")
    head.locator("button").focus()
    tab.keyboard.press("Enter")
    steps = tab.locator("#all-trials tbody td:nth-child(5)")
    assert steps.all_inner_texts() == ["240", "400", "1008", "1904", "-"]
    tab.keyboard.press("Enter")
    assert steps.all_inner_texts() == ["1904", "1008", "400", "240", "-"]
    assert head.get_attribute("aria-sort") == "descending"


def test_a_confirmed_k_star_has_its_interval_up_to_the_top_where_that_has_no_upper_end(
    browser: Any, tmp_path: Path
) -> None:
    made_up = results([study(b, 0.0, 4000 // b) for b in (16, 64)], [], [])
    shared = {"median_steps": 300, "median_low": 200, "success_rate": 0.8, "success_low": 0.5, "success_high": 0.9}
    shared |= {"seeds": 24, "max_steps": 4000, "replicate": 0, "trial": 2}
    rows = [pd.Series({**shared, "median_high": high}, dtype=object) for high in (400, None)]
    made_up = replace(made_up, confirmed=dict(zip(made_up.studies["folder"], rows, strict=True)))
    image = io.BytesIO()
    Figure().savefig(image, format="png")
    (stem,) = charts(made_up)
    (tmp_path / "index.html").write_text(page(made_up, [], [(stem, "Caption.", image.getvalue())], tmp_path))
    opened = browser.new_page()
    opened.goto((tmp_path / "index.html").as_uri())
    bars = opened.locator("header .chart .mark-rule.role-mark line")
    sync_api.expect(bars).to_have_count(2)
    frame = opened.locator("header .chart .role-frame .background").first.bounding_box()
    bounded, unbounded = (one.bounding_box() for one in bars.all())
    assert unbounded["y"] == pytest.approx(frame["y"], abs=1) and bounded["y"] > frame["y"] + 5
    assert bounded["height"] > 5 and unbounded["x"] > bounded["x"]
    opened.get_by_label("confirmed K*", exact=True).uncheck()
    sync_api.expect(bars).to_have_count(0)
    opened.close()


def test_without_javascript_the_pictures_and_the_tables_are_there(browser: Any, address: str) -> None:
    opened = browser.new_page(java_script_enabled=False, viewport={"width": 360, "height": 800})
    opened.goto(address)
    assert opened.locator("header img").is_visible() and not opened.locator("header .chart").is_visible()
    assert opened.locator("#studies tbody tr").count() == 10 and not opened.locator("#all-trials").is_visible()
    assert "needs JavaScript" in opened.locator("#trials").inner_text()
    opened.close()

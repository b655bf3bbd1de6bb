"""Every mistake in a sweep ends in one sentence, before any of its studies trains."""

from collections.abc import Callable
from pathlib import Path

import pytest
from command import Done, dps, process
from wrong_inputs import Wrong, wrong_inputs

FAULT = pytest.mark.fault("wrong input to a sweep")  # of which the table counts each once, that of the real command


@pytest.mark.parametrize("wrong", wrong_inputs(sweep=True), ids=lambda wrong: " ".join(wrong.typed)[:80])
@pytest.mark.parametrize("run", [dps, pytest.param(process, marks=[pytest.mark.slow, FAULT])])
def test_a_sweep_is_refused_before_any_of_its_studies_trains(
    tmp_path: Path, record_property: Callable[[str, object], None], run: Callable[..., Done], wrong: Wrong
) -> None:
    done = run(tmp_path, *wrong.typed)
    record_property("answer", (" ".join(wrong.typed), done.stderr.strip().removeprefix("dps: ")))
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"dps: {wrong.answer}") and done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("trials.csv"))

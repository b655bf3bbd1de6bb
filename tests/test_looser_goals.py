"""K* of looser goals from the curves of one training, as docs/measuring.md shows, is that of trainings of their own."""

import re
from pathlib import Path
from typing import Any

import pytest
from command import dps, rows, study

PAGE = Path(__file__).parents[1] / "docs" / "measuring.md"
TYPED = ["batch_size=8", "goal.interval_steps=2", "max_steps=400", "trial=[0,1,2]", "optimizer.lr=[0.02,0.005,1e9]"]
STACK = ["stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"]


@pytest.fixture(scope="module")
def steps_to() -> Any:
    """The function of the page, without the line that prints what it finds in a folder of the page's own."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code.partition("\nprint(")[0], names)
    return names["steps_to"]


def test_one_training_answers_several_goals(tmp_path: Path, steps_to: Any) -> None:
    goals = [0.06, 0.12, 0.4]
    apart = {}
    for goal in goals:
        folder = tmp_path / f"{goal}"
        folder.mkdir()
        assert dps(folder, *TYPED, *STACK, f"goal.error={goal}").code == 0
        apart[goal] = int(rows(study(folder, 8))["steps_to_result"].min())
    assert len(set(apart.values())) == len(goals)
    done = dps(tmp_path, *TYPED, *STACK, f"goal.error={goals[0]}", "goal.early_reject=false")
    assert done.code == 0
    assert {goal: steps_to(goal, study(tmp_path, 8)) for goal in goals} == apart

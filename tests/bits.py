"""K* and digests of the final weights of a fixed set of studies: what no refactoring may change.

    python tests/bits.py before.json                 in the checkout of before
    python tests/bits.py after.json                  in the checkout of after, on the same machine
    python tests/bits.py before.json after.json      compares the two, and exits with 1 where they differ

The studies are of the bundled digits, in about two minutes; with `--data FOLDER`, of MNIST as well.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from command import dps
from rich.progress import track

from dps.engine.module import StudyTask
from dps.storage import records

Bits = dict[str, dict[str, Any]]
OPTIMIZERS = ("sgd", "momentum", "nesterov")
STACK = ["stack.trials_per_slice=2", "stack.examples_per_pass=8", "stack.products=false"]  # else measured
SMALL = ["batch_size=16", "goal.error=0.2", "goal.interval_steps=8", "max_steps=48", "race=false", *STACK]
FOUR = [*SMALL, "trial=[0,1,2,3]", "optimizer.lr=[0.02,0.005,0.001,1e9]"]


def cases(data: str | None) -> Iterator[tuple[str, list[str]]]:
    """The name of each study, and what is typed for it."""
    for optimizer in OPTIMIZERS:
        for sparsity in ("0", "0.9"):
            for precision in ("32-true", "64-true"):
                typed = [f"optimizer={optimizer}", f"sparsity={sparsity}", f"trainer.precision={precision}"]
                yield f"digits {optimizer} {sparsity} {precision}", [*FOUR, *typed]
    for criterion in ("grasp", "synflow", "magnitude", "random"):
        yield f"digits {criterion}", [*FOUR, f"pruning={criterion}", "sparsity=0.9"]
    linear = ["lr_schedule=linear", "lr_schedule.decay_steps=[20,30,40,50]", "lr_schedule.end_factor=[0.1,0.2,0.3,0.4]"]
    yield "digits linear", [*FOUR, *linear]
    yield "digits race", [*FOUR, "race=true", "sparsity=0.9"]
    yield "digits products", [*FOUR, "stack.products=true"]
    yield "digits resumed", [*FOUR, "sparsity=0.9"]
    split = ["hydra.sweeper.trials=4", "hydra.sweeper.trials_per_job=2", "sparsity=0.9"]
    yield "digits split over jobs", ["-m", *SMALL, *split]
    mnist = [*SMALL, "trial=[0,1,2]", "optimizer.lr=[0.02,0.005,0.001]", f"data.root={data}"]
    for optimizer in OPTIMIZERS if data else ():
        for sparsity in ("0", "0.9"):
            typed = [f"workload=mnist_simple_cnn_{optimizer}", f"sparsity={sparsity}"]
            yield f"mnist {optimizer} {sparsity}", [*typed, *mnist]


def bits(name: str, typed: list[str]) -> dict[str, Any]:
    """Run one study in a folder of its own; "digits resumed" is stopped at its 26th step and typed again."""
    digests: dict[int, str] = {}
    finish = StudyTask.finish

    def noted(task: StudyTask, outcomes: Any) -> None:
        weights = task.stack.weights_by_trial()
        for trial in outcomes:
            content = b"".join(values.contiguous().numpy().tobytes() for values in weights[trial].values())
            digests[trial] = hashlib.sha256(content).hexdigest()[:16]
        finish(task, outcomes)

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(StudyTask, "finish", noted):
        if name == "digits resumed":
            _stopped(Path(folder), typed)
        done = dps(Path(folder), *typed)
        if done.code:
            sys.exit(f"{name}: {done.stderr}")
        (csv,) = Path(folder).rglob(records.FILE)
        frame = records.read(csv.parent).drop(columns=["train_seconds", "evaluate_seconds"])
        filled = frame.dropna(axis="columns", how="all")  # a column that was added since is empty
        rows = hashlib.sha256(filled.to_csv(index=False).encode()).hexdigest()[:16]
        steps = frame["steps_to_result"].astype("float").tolist()
        return {
            "steps_to_result": [str(step) for step in steps],
            "rows": rows,
            "weights": dict(sorted(digests.items())),
        }


def _stopped(folder: Path, typed: list[str]) -> None:
    training_step, steps = StudyTask.training_step, iter(range(10**9))

    def stopping(task: StudyTask, *arguments: Any) -> None:
        if next(steps) == 25:
            raise KeyboardInterrupt
        training_step(task, *arguments)

    with mock.patch.object(StudyTask, "training_step", stopping):
        dps(folder, *typed, "bookkeeping.checkpoint.every_seconds=0")
    assert list(folder.rglob("*.ckpt")), "the study left no checkpoint"


def compare(before: Bits, after: Bits) -> int:
    """Print what differs; 1 where anything does."""
    before, after = json.loads(json.dumps(before)), json.loads(json.dumps(after))
    shared = [name for name in before if name in after]
    different = [name for name in shared if before[name] != after[name]]
    for name in different:
        print(f"{name}: {before[name]} before, {after[name]} after")
    print(f"{len(shared) - len(different)} of {len(shared)} studies are the same to the bit")
    return int(bool(different) or not shared)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--data", metavar="FOLDER", help="the folder that holds MNIST/raw")
    typed = parser.parse_args()
    if len(typed.files) == 2:
        sys.exit(compare(*(json.loads(path.read_text()) for path in typed.files)))
    torch.set_num_threads(1)
    data = str(Path(typed.data).resolve()) if typed.data else None
    found = {name: bits(name, case) for name, case in track(list(cases(data)), "Studies")}
    typed.files[0].write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What a figure is about: one workload, with its goal and pruning criterion, and the rows that belong to it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dps.analysis.columns import CELL, GRID, WORKLOAD
from dps.analysis.networks import criteria, of_criterion, recorded_with
from dps.analysis.results import Results
from dps.report.figures.style import Look, sparsity_looks
from dps.report.wording import counted, trials_a_study

NAMES = {
    "digits": "Digits",
    "mnist": "MNIST",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
    "cifar10_folder": "CIFAR-10 (recoded as JPEG)",
    "simple_cnn": "Simple-CNN",
    "simple_cnn_shallue": "Simple-CNN of Shallue et al.",
    "resnet8": "ResNet-8",
    "sgd": "SGD",
    "momentum": "Momentum",
    "nesterov": "Nesterov",
    "adam": "Adam",
    "adamw": "AdamW",
    "snip": "SNIP",
    "grasp": "GraSP",
    "synflow": "SynFlow",
}
ORDER = ("sgd", "momentum", "nesterov", "adam", "adamw")  # of optimizers
Key = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """The rows of one workload, goal and pruning criterion; those of dense networks belong to every criterion.

    They are those of pooled studies, or of measurements.
    `key` has the columns of WORKLOAD, "pruning" and, for studies, "goal_error"; `name` is unique and safe in a file's
    name.
    """

    key: Key
    name: str
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        """The workload in words, for example "MNIST, Simple-CNN, Momentum"."""
        return f"{setting(self.key)}, {named(self.key['optimizer'])}"

    @property
    def heading(self) -> str:
        """The title, the goal and the number of trials, and of replicates where there are any."""
        return f"{self.title}: goal error {self.key['goal_error']:g}, {_repeated(self.rows)}"

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows, of trials or of replicates, that belong to the subject's studies."""
        columns = [*WORKLOAD, "goal_error", "pruning", *CELL]
        return frame.merge(self.rows[columns].drop_duplicates(), on=columns)

    def theory(self, theory: pd.DataFrame) -> pd.DataFrame:
        """The rows of the theory's table of the subject's workload and goal."""
        rows = theory[(theory[list(GRID)] == [self.key[name] for name in GRID]).all(axis=1)]
        return _of_criterion(rows, self.key["pruning"])


@dataclass(frozen=True)
class Family:
    """Subjects that differ in one column of their keys, such as the optimizer, by its values as they are written.

    `key` lacks that column; `name` is unique and safe in a file's name.
    """

    key: Key
    name: str
    subjects: Mapping[str, Subject]

    @property
    def heading(self) -> str:
        """Data set, model, schedule, the optimizer if it is the same, goal and number of trials."""
        rows = pd.concat([subject.rows for subject in self.subjects.values()])
        optimizer = f", {named(self.key['optimizer'])}" if "optimizer" in self.key else ""
        return f"{setting(self.key)}{optimizer}: goal error {self.key['goal_error']:g}, {_repeated(rows)}"


def subjects(frame: pd.DataFrame) -> list[Subject]:
    """The subjects of a frame of studies or of measurements, in the order of their workloads."""
    columns = [name for name in (*WORKLOAD, "goal_error") if name in frame.columns]
    found: list[tuple[Key, pd.DataFrame]] = []
    for values, rows in frame.groupby(columns, dropna=False):
        for criterion in criteria(rows) or [min(rows["pruning"])]:
            key = {**dict(zip(columns, values, strict=True)), "pruning": criterion}
            found.append((key, _of_criterion(rows, criterion)))
    keys = [key for key, _ in found]
    return [Subject(key, _name(["workload"], key, keys), rows) for key, rows in found]


def families(members: Sequence[Subject], different: str = "optimizer") -> list[Family]:
    """The subjects by what they share but for one column: SGD first, then the others in ORDER, then any more."""
    shared = ("dataset", "model", "optimizer", "lr_schedule", "goal_error", "pruning")
    columns = [name for name in shared if name != different]
    found: dict[tuple[Any, ...], list[Subject]] = {}
    for subject in sorted(members, key=lambda subject: _rank(subject.key["optimizer"])):
        found.setdefault(tuple(subject.key[name] for name in columns), []).append(subject)
    keys = [dict(zip(columns, values, strict=True)) for values in found]
    return [
        Family(key, _name(["dataset", "model"], key, keys), _labelled(group, different))
        for key, group in zip(keys, found.values(), strict=True)
    ]


def network_looks(results: Results) -> dict[float, Look]:
    """A look for each sparsity, the same in all figures of the results."""
    measured = pd.concat([results.smoothness["sparsity"], results.curves["sparsity"]])
    return sparsity_looks(map(float, results.studies["sparsity"]), map(float, measured))


def setting(key: Key) -> str:
    """Data set, model and, where it is not constant, the schedule in words."""
    words = [named(key["dataset"]), named(key["model"])]
    return ", ".join(words if key["lr_schedule"] == "constant" else [*words, f"{key['lr_schedule']} decay"])


def named(word: str) -> str:
    """A name of the configuration as it is written in text."""
    return NAMES.get(word, word)


def safe(text: str) -> str:
    """The text as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", text)


def _repeated(studies: pd.DataFrame) -> str:
    text = trials_a_study(studies["trials"])
    return text if studies["replicates"].max() == 1 else f"{text}, {counted(studies['replicates'], 'replicate')}"


def _of_criterion(rows: pd.DataFrame, criterion: str) -> pd.DataFrame:
    """Sparse rows of the criterion and all dense ones, those recorded with it in place of others of the same trial."""
    same = [name for name in (*CELL, "replicate", "trial", "step") if name in rows.columns]
    return recorded_with(of_criterion(rows, criterion), criterion, same)


def _labelled(group: Sequence[Subject], column: str) -> dict[str, Subject]:
    values = [subject.key[column] for subject in group]
    if len(set(values)) < len(group):
        return {subject.name: subject for subject in group}
    return {named(subject.key[column]): subject for subject in group}


def _rank(optimizer: str) -> int:
    return ORDER.index(optimizer) if optimizer in ORDER else len(ORDER)


def _name(base: Sequence[str], key: Key, keys: Sequence[Key]) -> str:
    """The values of the base, and of what tells the key from others of the same base, for a file's name."""
    same = [other for other in keys if all(other[name] == key[name] for name in base)]
    different = [name for name in key if len({other[name] for other in same}) > 1]
    words = [*(key[name] for name in base), *(f"{name}_{key[name]}" for name in different)]
    return safe("_".join(words))

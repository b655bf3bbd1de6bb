"""The options of a study that are dps's own: every one with its type and its range.

What a group's `_target_` takes is said by the annotations of its arguments instead. A `Part` is such a mapping with a
`_target_`.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NewType

from pydantic import Field

from dps.protocol.kinds import LARGEST, SEEDS_OF_A_REPLICATE, Fraction, Natural, Positive, PositiveNumber

FIRST_FRESH = 1_000_000  # the replicate of the first fresh seed of a confirmation: more than any search has
REPLICATES = 2 * FIRST_FRESH  # of searches and confirmations together, each with data of its own

Part = NewType("Part", dict[str, Any])
Seed = Annotated[int, Field(ge=0, lt=SEEDS_OF_A_REPLICATE)]
OrMeasured = Field(gt=0, le=LARGEST, description="a positive integer, or null to measure it")


@dataclass
class Goal:
    error: Fraction
    interval_steps: Positive
    early_reject: bool
    examples_per_block: Positive


@dataclass
class Loss:
    label_smoothing: float | None = None


@dataclass
class Stack:
    trials_per_slice: Annotated[int | None, OrMeasured]
    examples_per_pass: Annotated[int | None, OrMeasured]
    products: Annotated[bool | None, Field(description="true or false, or null to measure it")]


@dataclass
class Bookkeeping:
    record: Part
    progress: Part
    checkpoint: Part


@dataclass
class Trainer:
    """What is taken of Lightning's: all else would change what is trained, or is the study's own to give."""

    accelerator: Literal["cpu", "gpu"]
    devices: Positive
    precision: Literal["32-true", "64-true", "bf16-mixed"]
    strategy: str | Part = "auto"
    deterministic: bool | Literal["warn"] | None = None
    benchmark: bool | None = None
    profiler: str | Part | None = None
    detect_anomaly: bool = False


@dataclass
class Bench:
    trials: Positive
    stacks: list[Positive]
    batch_sizes: list[Positive]
    seconds: PositiveNumber
    small: dict[str, float]
    json: str


@dataclass
class Options:
    workload: str
    names: dict[str, str]
    folder: str
    max_steps: Positive
    batch_size: Positive
    sparsity: Fraction
    trial: Annotated[Natural | list[Natural], Field(description="a number from 0 on, or a list of different ones")]
    seed: Annotated[
        Seed | list[Seed],
        Field(description=f"an integer from 0 to {SEEDS_OF_A_REPLICATE - 1}, or a list of them"),
    ]
    seed_data: Natural
    replicate: Annotated[int, Field(ge=0, lt=REPLICATES, description=f"an integer from 0 to {REPLICATES - 1}")]
    race: Annotated[
        bool | Positive,
        Field(description="true, false or a positive integer, the number of trials that reach the goal"),
    ]
    precision: Literal["ieee", "tf32", "bf16"]
    stack: Stack
    goal: Goal
    data: Part
    model: Part
    optimizer: Part
    lr_schedule: Part
    pruning: Part
    callbacks: dict[str, Part]
    bookkeeping: Bookkeeping
    trainer: Trainer
    loss: Loss = field(default_factory=Loss)
    logger: Part | dict[str, Part] | None = None
    space: dict[str, str] | None = None
    metaparameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    bench: Bench | None = None

"""Kinds of values that options take: a type, its range, and what is said where a value is none.

A function or class that a configuration names says by such annotations of its arguments what may be given to it.
"""

from typing import Annotated

from pydantic import Field

LARGEST = 2**63 - 1  # of the integers of 64 bits
SEEDS_OF_A_REPLICATE = 1_000_000  # and so its trials at most

Positive = Annotated[int, Field(gt=0, le=LARGEST, description="a positive integer")]
Natural = Annotated[int, Field(ge=0, le=LARGEST, description="an integer from 0 on")]
PositiveNumber = Annotated[float, Field(gt=0, description="a positive number")]
Seconds = Annotated[float, Field(ge=0, description="a number of seconds from 0 on")]
Fraction = Annotated[float, Field(ge=0, lt=1, description="in [0, 1)")]

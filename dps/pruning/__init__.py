"""Pruning at initialisation: a criterion scores every weight and bias of a trial, and the highest scores survive.

A criterion is a function of an Unpruned trial that returns scores, one for each parameter, in a module of its own.
"""

from dps.pruning.grasp import grasp
from dps.pruning.magnitude import magnitude
from dps.pruning.masks import emptied_layers, kept_parameters, masks, refusal
from dps.pruning.random import random
from dps.pruning.snip import snip
from dps.pruning.synflow import synflow
from dps.pruning.unpruned import Unpruned

__all__ = [
    "Unpruned",
    "emptied_layers",
    "grasp",
    "kept_parameters",
    "magnitude",
    "masks",
    "random",
    "refusal",
    "snip",
    "synflow",
]

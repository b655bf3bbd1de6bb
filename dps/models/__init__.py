"""The networks of the study, and how any network is initialised, run in a stack and differentiated."""

from dps.models.initialise import built, initialise
from dps.models.mlp import MLP
from dps.models.resnet8 import ResNet8
from dps.models.simple_cnn import SimpleCNN, SimpleCNNShallue
from dps.models.stacked import Network, StackedModel, Weights

__all__ = [
    "MLP",
    "Network",
    "ResNet8",
    "SimpleCNN",
    "SimpleCNNShallue",
    "StackedModel",
    "Weights",
    "built",
    "initialise",
]

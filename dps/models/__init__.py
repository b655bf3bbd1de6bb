"""The networks of the study, each a plain module that also runs as a stack (see dps.models.layers)."""

from dps.models.initialise import initialise
from dps.models.resnet8 import ResNet8
from dps.models.simple_cnn import SimpleCNN, SimpleCNNShallue

__all__ = ["ResNet8", "SimpleCNN", "SimpleCNNShallue", "initialise"]

"""A Hydra sweeper: the grid of the command line's comma lists, a Sobol search of the metaparameters in every study."""

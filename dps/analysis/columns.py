"""The sets of columns that frames of trials, studies and measurements are grouped, joined and compared by.

A workload, run until it is down to a goal error, is a grid. Each of its networks is one curve of K* in it, and each
batch size on that curve one study, which may have replicates.
"""

PARTS = ("dataset", "model", "optimizer", "lr_schedule")
WORKLOAD = ("workload", *PARTS)
NETWORK = ("pruning", "sparsity")
GRID = ("workload", "goal_error")
CURVE = (*GRID, *NETWORK)
STUDY = (*CURVE, "batch_size")
REPLICATE = (*STUDY, "replicate")
ACROSS_NETWORKS = (*GRID, "batch_size")  # the same in studies that differ in their network alone
CELL = ("batch_size", "sparsity")  # of a grid, under one pruning criterion
CHECKS = ("interval_steps", "max_steps")
PROTOCOL = (*WORKLOAD, "pruning", "goal_error", *CHECKS)  # the same in studies of one table or one figure
MEASURED = (*WORKLOAD, "pruning", *CELL, "replicate")  # of the study that a measurement belongs to: it knows no goal

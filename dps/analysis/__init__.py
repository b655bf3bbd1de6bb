"""From records to numbers, in frames: studies, fits, and the verdict on each claim.

In a notebook, `results = dps.load("outputs/mnist_simple_cnn_momentum")` reads a sweep; `results.studies`,
`results.theory` and the other frames are then at hand, and `judge(results)` of dps.analysis.claims.judge gives the
claims.
"""

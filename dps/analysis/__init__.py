"""From records to numbers, in frames: studies, fits, and the verdict on each claim.

In a notebook, `results = gather([Path("outputs/mnist_simple_cnn_momentum")])` of dps.analysis.results reads a sweep;
`results.studies`, `results.theory` and the other frames are then at hand, and `judge(results)` of
dps.analysis.claims.judge gives the claims.
"""

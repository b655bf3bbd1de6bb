"""The curve K* = c1 / B + c2 of one network: its fit, intervals, misfit and ratios to another network's."""

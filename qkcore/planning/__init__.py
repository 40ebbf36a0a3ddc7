"""What a run will cost before it is begun, on machines that are not here.

Nothing here loads weights or scores: a model's shape, a puzzle file and figures of a machine go in,
hours and bytes come out, and every figure that was not measured is called so.
"""

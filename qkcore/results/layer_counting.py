"""Tables of what was read after each layer: lens, its offsets, and probes.

As `qkcore.results.schema` has them, less run_id. Knows nothing of files.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from qkcore.results.counting import CHUNK, Answers


def tables(answers: Answers) -> Iterator[tuple[str, pa.Table]]:
    """Names and rows of the tables that a run scored with lens has; none of one without."""
    if answers.lens is not None:
        yield "lens", lens(answers.lens)
        yield "lens_offsets", lens_offsets(answers, answers.lens)
    if answers.probes is not None:
        yield "probes", probes(answers)


def lens(logits: np.ndarray) -> pa.Table:
    """Table lens, layer by layer.

    Args:
        logits: (puzzle, layer, candidate), NaN where a puzzle has fewer candidates.
    """
    n_puzzles, n_layers, n_candidates = logits.shape
    starts = np.arange(0, n_puzzles, CHUNK, dtype=np.int32)
    sizes = np.diff([*starts, n_puzzles]) * n_candidates
    ends = np.concatenate([[0], np.tile(sizes, n_layers).cumsum()]).astype(np.int32)
    values = np.ascontiguousarray(logits.swapaxes(0, 1), dtype=np.float32).ravel()
    return pa.table(
        {
            "layer": np.repeat(np.arange(n_layers, dtype=np.int32), len(starts)),
            "first_place": np.tile(starts, n_layers),
            "logit": pa.ListArray.from_arrays(pa.array(ends), pa.array(values)),
        }
    )


def lens_offsets(answers: Answers, logits: np.ndarray) -> pa.Table:
    """Table lens_offsets: what makes each layer's lens do best on validation puzzles."""
    found = answers.offsets_of(logits)
    return pa.table({"layer": np.arange(len(found), dtype=np.int32), "offset": found.tolist()})


def probes(answers: Answers) -> pa.Table:
    """Table probes: what each layer's probe and its control say to every puzzle."""
    found = answers.probes
    if found is None:
        raise ValueError("these answers were made without probes")
    n_puzzles, n_layers = found.choices.shape
    ends = pa.array(np.arange(n_layers + 1, dtype=np.int32) * n_puzzles)
    lists = {
        name: pa.ListArray.from_arrays(ends, pa.array(np.ascontiguousarray(said.T).ravel()))
        for name, said in (("choice", found.choices), ("control", found.controls))
    }
    return pa.table(
        {
            "layer": found.layers.astype(np.int32),
            **lists,
            "n_validation": np.full(n_layers, found.n_validation, dtype=np.int32),
            "strength": found.strengths,
        }
    )

"""One puzzle and one head, down to the vectors, so that a page can show the arithmetic.

Reads through `capture` as every score is read; what is shown and what is scored are the same
numbers.
"""

from collections.abc import Sequence
from functools import partial

from qkcore.asking.prompts import Prompt, token_text
from qkcore.attention.capture import capture
from qkcore.attention.continued import capture_apart
from qkcore.attention.load import CausalLM
from qkcore.attention.rows import rows_of
from qkcore.results.publish import WorkedExample


def worked_example(
    lm: CausalLM, prompts: Sequence[Prompt], layer: int, head: int, rope: str
) -> WorkedExample:
    """The shortest test puzzle as the head sees it (the first of equals, not the prettiest).

    Args:
        lm: the model.
        prompts: of puzzles, at least one of them test.
        layer: of the head, as the model numbers it.
        head: within its layer.
        rope: "raw", "pre" or "post", as the run reads.
    """
    tests = [prompt for prompt in prompts if prompt.puzzle.split == "test"]
    prompt = min(tests, key=lambda prompt: len(prompt.tokens))
    if lm.geometry.is_side_by_side:
        captured = capture(lm.model, lm.geometry, rows_of([[prompt]]), (rope,))
    else:
        captured = capture_apart(lm.model, lm.geometry, [[prompt]], (rope,))
    # (row, query, dim): one row, or a row a candidate
    place = lm.geometry.head_layers.index(layer)
    queries = captured.queries[rope][:, place, head]
    key = captured.keys[rope][0, place, lm.geometry.kv_head(head), 0]
    # Smaller heads than the largest are filled up with zeros.
    size = captured.recording.queries[layer].shape[-1]
    text = partial(token_text, lm.tokenizer)
    return WorkedExample(
        puzzle_id=prompt.puzzle.puzzle_id,
        layer=layer,
        head=head,
        tokens=[text(token) for token in prompt.tokens],
        key_at=prompt.key_at,
        candidate_tokens=[text(tokens[-1]) for tokens in prompt.candidates],
        key_vector=key[:size].float().tolist(),
        query_vectors=queries.flatten(0, 1)[:, :size].float().tolist(),
    )

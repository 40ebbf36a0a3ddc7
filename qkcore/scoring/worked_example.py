"""One puzzle and one head, down to the vectors, so that a page can show the arithmetic without the
model.

Reads through `capture` as every score is read; what is shown and what is scored are the same
numbers.
"""

from collections.abc import Sequence

from qkcore.asking.prompts import PromptTemplate
from qkcore.attention.capture import capture
from qkcore.attention.load import CausalLM
from qkcore.attention.rows import rows_of, separate_rows_of
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.publish import WorkedExample
from qkcore.scoring.score import prompts_of


def worked_example(
    lm: CausalLM,
    puzzles: Sequence[Puzzle],
    layer: int,
    head: int,
    rope: str,
    template: PromptTemplate | None = None,
) -> WorkedExample:
    """The shortest test puzzle (the first of equals: not the one that looks best) as the head sees
    it.

    Args:
        puzzles: at least one of them test.
    """
    tests = [puzzle for puzzle in puzzles if puzzle.split == "test"]
    prompt = min(prompts_of(lm, tests, template), key=lambda prompt: len(prompt.tokens))
    is_shared = lm.geometry.is_side_by_side
    captured = capture(
        lm.model,
        lm.geometry,
        rows_of([[prompt]]) if is_shared else separate_rows_of([prompt]),
        (rope,),
    )
    queries = captured.queries[rope][
        :, layer, head
    ]  # (row, query, dim): one row, or a row a candidate
    n_heads_per_kv_head = lm.geometry.n_heads // lm.geometry.n_kv_heads
    key = captured.keys[rope][0, layer, head // n_heads_per_kv_head, 0]

    def text(token: int) -> str:
        return lm.tokenizer.decode([token])

    return WorkedExample(
        puzzle_id=prompt.puzzle_id,
        layer=layer,
        head=head,
        tokens=[text(token) for token in prompt.tokens],
        key_at=prompt.key_at,
        candidate_tokens=[text(tokens[-1]) for tokens in prompt.candidates],
        key_vector=key.float().tolist(),
        query_vectors=queries.flatten(0, 1).float().tolist(),
    )

"""Why a head answers as it does: its candidates' queries against every token's key.

Reads through `capture` with the rows that scoring uses, only with more positions, so the product at
the key token is the QK-score itself. Products are before softmax and scaling; they say what a
head's query resembles, not what the model then makes of it.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from qkcore.asking.prompts import Prompt
from qkcore.asking.templates import PromptError, Template
from qkcore.attention.capture import capture
from qkcore.attention.load import CausalLM
from qkcore.attention.rows import rows_of, separate_rows_of
from qkcore.puzzles.english import split
from qkcore.puzzles.puzzle import Puzzle
from qkcore.results.aligned import Alignment
from qkcore.scoring.score import prompts_of

# Floats of keys kept from one pass (128 MB); more tokens are read in further passes
MAX_KEY_VALUES = 2**25


def align(
    lm: CausalLM,
    puzzle: Puzzle,
    *,
    rope: str = "pre",
    template: Template | None = None,
    max_values: int = MAX_KEY_VALUES,
) -> Alignment:
    """Compare every candidate's query with the key of every token of the prompt, for all heads.

    Args:
        lm: the model.
        puzzle: to ask of it.
        template: the prompt; by default the puzzle's `default_template`.
        rope: "raw", "pre" or "post", as in `score_puzzles`.
        max_values: how many numbers of keys one pass may keep; decides memory and speed only.

    Raises:
        PromptError: when the puzzle cannot be asked of this model.

    >>> import numpy as np
    >>> from qkcore import align, bundled_model, load_model, score_puzzle, typed_puzzle
    >>> lm = load_model(bundled_model())
    >>> one = typed_puzzle("Max is a cat. Every cat is kind.", "Max is kind.", answer=0)
    >>> found = align(lm, one)
    >>> found.products.shape == (8, 4, 2, len(found.texts))
    True
    >>> np.allclose(found.products[..., found.key_at], score_puzzle(lm, one).qk, atol=1e-4)
    True
    """
    (prompt,) = prompts_of(lm, [puzzle], template)
    return align_prompt(lm, prompt, rope=rope, max_values=max_values)


def align_prompt(
    lm: CausalLM, prompt: Prompt, *, rope: str = "pre", max_values: int = MAX_KEY_VALUES
) -> Alignment:
    """`align` of a puzzle that has been located, by `prompts_of`."""
    geometry, n_tokens = lm.geometry, len(prompt.tokens)
    if prompt.option_ends:
        raise PromptError(
            f"puzzle {prompt.puzzle.puzzle_id!r} lists its options, so candidates have no queries "
            "of their own to align; ask it by a template without {options}"
        )
    rows = rows_of([[prompt]]) if geometry.is_side_by_side else separate_rows_of([prompt])
    n_layers = len(geometry.head_layers)
    per_token = n_layers * geometry.n_kv_heads * geometry.head_size * len(rows.tokens)
    parts = []
    for positions in torch.arange(n_tokens).split(max(1, max_values // per_token)):
        # A row begins with the whole prompt: a token's place in the row is that in the prompt.
        some = replace(rows, key_at=positions.expand(len(rows.tokens), -1))
        captured = capture(lm.model, geometry, some, (rope,))
        keys = geometry.keys_by_head(captured.keys[rope][0], axis=1)
        queries = captured.queries[rope].movedim(0, 2).flatten(2, 3)  # layer, head, candidate, dim
        parts.append(torch.einsum("lhcd,lhtd->lhct", queries, keys))
    products = torch.cat(parts, dim=-1).numpy()
    places = _places(prompt)
    return Alignment(prompt.puzzle, *places, prompt.key_at, products, geometry.head_layers)


def _places(prompt: Prompt) -> tuple[tuple[str, ...], tuple[int | None, ...], tuple[str, ...]]:
    """The text and the premise of each token, and the premises."""
    # Tokens of one character share its offsets, so each gets what none before it has covered.
    ends = np.maximum.accumulate([0, *prompt.ends]).tolist()
    ends[-1] = len(prompt.text)
    texts = tuple(prompt.text[start:end] for start, end in pairwise(ends))
    context = prompt.puzzle.context
    sentences = tuple(split(context))
    spans = sentence_spans(context, sentences)
    premises: list[int | None] = []
    for before, piece in zip(ends, texts, strict=False):
        # Where its first letter stands, within the context.
        at = before + len(piece) - len(piece.lstrip()) - prompt.context_at
        within = (number for number, (low, high) in enumerate(spans) if low <= at < high)
        premises.append(next(within, None))
    return texts, tuple(premises), sentences


def sentence_spans(context: str, sentences: Sequence[str]) -> list[tuple[int, int]]:
    """Where sentences stand in a context, in order: (start, end) of each.

    >>> sentence_spans("Max is red.  Max is red.", ["Max is red.", "Max is red."])
    [(0, 11), (13, 24)]
    """
    spans: list[tuple[int, int]] = []
    end = 0
    for sentence in sentences:
        start = context.index(sentence, end)
        end = start + len(sentence)
        spans.append((start, end))
    return spans

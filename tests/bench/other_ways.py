"""The same scores by other means, for comparison: hooks, TransformerLens, nnsight.

Each takes a full pass for each candidate. The two libraries are no dependencies of the project:
`library_ways` gives those that can be imported. Each way takes the puzzles and returns (layer,
head, candidate) scores before rotary, so that they can be compared before being timed. Written for
a Llama without grouped keys, as generously as their interfaces allow: only queries and keys are
kept, and hooks and nnsight compute the logits of one token a row.
"""

import copy
import importlib.metadata
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from qkcore.asking.prompts import Prompt
from qkcore.attention.load import CausalLM
from qkcore.scoring.score import prompts_of

N_ROWS = 8  # a batch; on the made prompts few are slower by more than a few percent
LIBRARIES = {"TransformerLens": "transformer-lens", "nnsight": "nnsight"}
Way = Callable[[list], list[Tensor]]


@dataclass(frozen=True, slots=True)
class Pass:
    """A batch of prompts, each followed by one of its candidates, padded on the right."""

    places: list[int]  # which prompts
    candidate: int
    ids: Tensor  # (row, token)
    mask: Tensor  # (row, token)
    last: Tensor  # (row, 1) the prompt's last token
    query_at: Tensor  # (row,)
    key_at: Tensor  # (row,)


def passes(
    prompts: list[Prompt], candidates: list[int | None], n_rows: int = N_ROWS
) -> Iterator[Pass]:
    """Prompts sorted by length, so many a batch, with each candidate in turn (None: without)."""
    by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index].tokens))
    batches = [by_length[start : start + n_rows] for start in range(0, len(by_length), n_rows)]
    for candidate in candidates:
        for batch in batches:
            chosen = [prompts[index] for index in batch]
            rows = [
                one.tokens + (() if candidate is None else one.candidates[candidate])
                for one in chosen
            ]
            longest = max(map(len, rows))
            yield Pass(
                places=batch,
                candidate=candidate or 0,
                ids=torch.tensor([[*row] + [0] * (longest - len(row)) for row in rows]),
                mask=torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
                last=torch.tensor([[len(one.tokens) - 1] for one in chosen]),
                query_at=torch.tensor([len(row) - 1 for row in rows]),
                key_at=torch.tensor([one.key_at for one in chosen]),
            )


def _scored(
    lm: CausalLM, puzzles: list, states_of: Callable[[Pass], tuple[list[Tensor], list[Tensor]]]
) -> list[Tensor]:
    """Scores from queries and keys, a list by layer of (row, token, features) each."""
    prompts = prompts_of(lm, puzzles)
    n_candidates = len(prompts[0].candidates)
    scores = [torch.zeros(lm.geometry.n_layers, lm.geometry.n_heads, n_candidates) for _ in prompts]
    with torch.inference_mode():
        for one in passes(prompts, list(range(n_candidates))):
            queries, keys = states_of(one)
            rows = torch.arange(len(one.places))
            for layer, (query, key) in enumerate(zip(queries, keys, strict=True)):
                read = query[rows, one.query_at] * key[rows, one.key_at]
                summed = read.reshape(len(rows), lm.geometry.n_heads, -1).sum(-1)
                for row, place in enumerate(one.places):
                    scores[place][layer, :, one.candidate] = summed[row]
    return scores


def _copy_of(lm: CausalLM) -> torch.nn.Module:
    """The same weights in a model that nobody has prepared."""
    config = copy.deepcopy(lm.model.config)
    config._attn_implementation = "sdpa"
    fresh = type(lm.model)(config)
    fresh.load_state_dict(lm.model.state_dict())
    return fresh.eval()


def hooked(lm: CausalLM) -> Way:
    """Plain hooks that keep what q_proj and k_proj give.

    In whole passes as people usually run them: all logits too.
    """
    model = _copy_of(lm)
    kept: dict[str, list[Tensor]] = {"q_proj": [], "k_proj": []}
    for name, module in model.named_modules():
        if (part := name.split(".")[-1]) in kept:
            module.register_forward_hook(
                lambda _module, _inputs, output, part=part: kept[part].append(output)
            )

    def states_of(one: Pass) -> tuple[list[Tensor], list[Tensor]]:
        for states in kept.values():
            states.clear()
        model(input_ids=one.ids, attention_mask=one.mask, use_cache=False)
        return kept["q_proj"], kept["k_proj"]

    return lambda puzzles: _scored(lm, puzzles, states_of)


def _transformer_lens(lm: CausalLM) -> Way:
    """run_with_cache of TransformerLens 4, its cache cut to queries and keys."""
    from transformer_lens import TransformerBridge
    from transformers import AutoTokenizer

    # It wants a tokenizer that knows where it came from
    with tempfile.TemporaryDirectory() as folder:
        lm.tokenizer.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        bridge = TransformerBridge.boot_transformers(
            "llama", hf_model=_copy_of(lm), tokenizer=tokenizer
        )
    layers = range(lm.geometry.n_layers)
    queries, keys = ([f"blocks.{layer}.attn.hook_{part}" for layer in layers] for part in "qk")

    def states_of(one: Pass) -> tuple[list[Tensor], list[Tensor]]:
        # Causal attention and padding on the right: no mask is needed.
        _, cache = bridge.run_with_cache(one.ids, names_filter=[*queries, *keys])
        return [cache[name] for name in queries], [cache[name] for name in keys]

    return lambda puzzles: _scored(lm, puzzles, states_of)


def _nnsight(lm: CausalLM) -> Way:
    """A trace of nnsight that saves what q_proj and k_proj give."""
    from nnsight import NNsight, save

    model = NNsight(_copy_of(lm))

    def states_of(one: Pass) -> tuple[list[Tensor], list[Tensor]]:
        with model.trace(
            one.ids, attention_mask=one.mask, logits_to_keep=one.last, use_cache=False
        ):
            queries, keys = save([]), save([])
            for layer in model.model.layers:
                queries.append(layer.self_attn.q_proj.output)
                keys.append(layer.self_attn.k_proj.output)
        return queries, keys

    return lambda puzzles: _scored(lm, puzzles, states_of)


def library_ways(lm: CausalLM) -> dict[str, Way]:
    """The libraries that can be imported here; says which are left out."""
    ways = {}
    for (name, package), make in zip(LIBRARIES.items(), (_transformer_lens, _nnsight), strict=True):
        if importlib.util.find_spec(package.replace("-", "_")) is None:
            print(f"{name}: left out, it is not installed here (the package is {package})")
        else:
            print(f"{name} {importlib.metadata.version(package)}")
            ways[name] = make(lm)
    return ways

"""A GGUF file read here and by llama.cpp itself: are token ids and next tokens the same?

    python -m tests.bench.against_llama_cpp --model FILE.gguf [--sets FOLDER] [--n N]

llama.cpp comes with the package `xllamacpp` (no dependency of the project: `pip install xllamacpp`
into an environment that has it). Token ids are those of prompts and of some odd texts. Next-token
log-probabilities are compared twice. On the same file llama.cpp rounds activations to 8 bits, in
each product with weights of few bits, so it differs by that. On a copy of the file with the same
weights written out in float32 it does not, and only floating point is left.
"""

import argparse
import json
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize

from qkcore import load_model
from qkcore.asking.prompts import Prompt
from qkcore.attention.load import CausalLM
from qkcore.scoring.score import prompts_of
from tests.bench.bench_batches import sets_of

ODD = (
    "",
    "Hello  world",
    "  two spaces",
    " true",
    "don't can't I'll we've",
    "naïve café — “quotes”",
    "日本語 テスト",
    "12345 3.14159 1,000",
    "tab\tand\nnewlines\n\n",
    "🙂👍🏽",
    "Answer:",
    "a" * 50,
    "x = {y: [1, 2]} // ok",
    "ÅÄÖ ß ﬁ",
    "\u00a0no break",
    "<|im_start|>user",
)
N_TOP = 50  # of the likeliest next tokens, those that are compared


class LlamaCpp:
    """llama.cpp with one file, asked over its own interface."""

    def __init__(self, path: Path) -> None:
        import xllamacpp

        asked = xllamacpp.CommonParams()
        asked.model.path = str(path)
        asked.n_ctx, asked.n_parallel, asked.warmup = 2_048, 1, False
        asked.cache_type_k = asked.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        asked.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._server = xllamacpp.Server(asked)

    def _asked(self, path: str, **question: object) -> dict:
        address = f"{self._server.listening_address}/{path}"
        request = urllib.request.Request(
            address, json.dumps(question).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def ids(self, text: str) -> list[int]:
        """The tokens of a text."""
        return self._asked("tokenize", content=text, add_special=True, parse_special=True)["tokens"]

    def log_probabilities(self, tokens: Sequence[int], n_vocabulary: int) -> np.ndarray:
        """(token,) of the next token."""
        told = self._asked(
            "completion",
            prompt=list(tokens),
            n_predict=1,
            n_probs=n_vocabulary,
            temperature=1.0,
            samplers=[],
            cache_prompt=False,
        )
        found = np.full(n_vocabulary, -np.inf)
        for one in told["completion_probabilities"][0]["top_logprobs"]:
            found[one["id"]] = one["logprob"]
        return found


def in_float32(path: Path, folder: Path) -> Path:
    """A copy of a GGUF file with the same weights, each written out."""
    read = GGUFReader(path)
    copy = folder / "float32.gguf"
    writer = GGUFWriter(copy, read.fields["general.architecture"].contents())
    left_out = ("general.architecture", "general.file_type")
    for name, field in read.fields.items():
        if name.startswith("GGUF.") or name in left_out:
            continue
        kind = field.types[0]
        of = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=of)
    writer.add_file_type(0)
    for one in read.tensors:
        weights = dequantize(one.data, one.tensor_type).astype(np.float32)
        shape = tuple(reversed(one.shape.tolist()))
        writer.add_tensor(one.name, weights.reshape(shape), raw_dtype=GGMLQuantizationType.F32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return copy


class Compared(NamedTuple):
    """Of one prompt, ours against theirs."""

    nats: float  # the most that a log-probability of the likeliest tokens differs
    gap: float  # how much the difference of two candidates' logits differs
    is_same_answer: bool


def compared(lm: CausalLM, prompts: Sequence[Prompt], theirs: LlamaCpp) -> list[Compared]:
    """Next tokens of every prompt."""
    found = []
    for prompt in prompts:
        with torch.inference_mode():
            whole = lm.model(torch.tensor([prompt.tokens]), use_cache=False, logits_to_keep=1)
        ours = whole.logits[0, -1].float().log_softmax(-1).numpy()
        other = theirs.log_probabilities(prompt.tokens, len(ours))
        likeliest = np.argsort(-ours)[:N_TOP]
        first, second = prompt.answer_tokens[:2]
        own_gap, other_gap = (one[first] - one[second] for one in (ours, other))
        found.append(
            Compared(
                nats=float(np.abs(ours - other)[likeliest].max()),
                gap=float(abs(own_gap - other_gap)),
                is_same_answer=bool((own_gap > 0) == (other_gap > 0)),
            )
        )
    return found


def main() -> None:
    """Print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--sets", type=Path, help="a folder with the published samples")
    parser.add_argument("--n", type=int, default=12, help="puzzles of a set")
    options = parser.parse_args()
    lm = load_model(str(options.model))
    puzzles = [one for several in sets_of(options.sets, options.n).values() for one in several]
    prompts = prompts_of(lm, puzzles)
    with tempfile.TemporaryDirectory() as folder:
        for title, path in (
            ("the same file", options.model),
            ("its weights in float32", in_float32(options.model, Path(folder))),
        ):
            theirs = LlamaCpp(path)
            show(title, compared(lm, prompts, theirs))
    texts = {one.text: list(one.tokens) for one in prompts}
    texts |= {text: lm.tokenizer(text)["input_ids"] for text in ODD}
    other = [text for text, ids in texts.items() if theirs.ids(text) != ids]
    print(f"token ids: {len(texts) - len(other)} of {len(texts)} texts alike", *map(repr, other))
    sys.exit(1 if other else 0)


def show(title: str, found: Sequence[Compared]) -> None:
    """One line."""
    n_same = sum(one.is_same_answer for one in found)
    print(
        f"{title}: same answer to {n_same} of {len(found)} prompts; of the {N_TOP} likeliest next "
        f"tokens none differs by more than {max(one.nats for one in found):.2g} nats, half of the "
        f"prompts' worst by less than {np.median([one.nats for one in found]):.2g}; the two "
        f"candidates' difference by at most {max(one.gap for one in found):.2g}",
        flush=True,
    )


if __name__ == "__main__":
    main()

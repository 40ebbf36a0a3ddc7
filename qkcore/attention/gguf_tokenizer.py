"""How a GGUF file's tokenizer cuts text into words before it makes tokens of them.

A file names it ("tokenizer.ggml.pre"), and llama.cpp knows what the name means. transformers knows
some of the names and cuts as GPT-2 did for all others. It also leaves out that some vocabularies
hold words that no merge leads to and what begins a text where the file does not say, and adds
tokens of its own. Here each is done as llama.cpp does it, and a name that is not known is refused.
"""

import json
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, pre_tokenizers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AS_GPT_2 = {"gpt-2", "phi-2", "olmo", "mpt", "jais", "trillion", "exaone4"}
DIGITS_APART = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
AS_LLAMA_3 = {
    "llama3",
    "llama-v3",
    "llama-bpe",
    "falcon3",
    "falcon-h1",
    "pixtral",
    "midm-2.0",
    "lfm2",
}
WHOLE_WORDS_FIRST = AS_LLAMA_3 | {"tekken"}  # a word of the vocabulary is one token, merges or not


def as_said(
    tokenizer: "PreTrainedTokenizerBase", architecture: str, said: dict[str, Any], n_tokens: int
) -> "PreTrainedTokenizerBase":
    """Transformers' tokenizer, made to cut as the file says.

    Args:
        tokenizer: as transformers made it; it is changed in place where it can be.
        architecture: as the file names it.
        said: what the file says of its tokenizer, such as {"ggml.pre": "smollm"}.
        n_tokens: how many tokens the file lists.

    Raises:
        ValueError: when it cuts in a way that is not known here.
    """
    if len(tokenizer) > n_tokens:
        tokenizer = _without_own(tokenizer, n_tokens)
    kind = said.get("ggml.model")
    if kind == "gpt2":
        _cut_bytes(tokenizer, architecture, said)
    elif kind == "llama" and said.get("ggml.add_space_prefix") is False:
        _without_space_in_front(tokenizer)
    return tokenizer


def _without_own(tokenizer: "PreTrainedTokenizerBase", n_tokens: int) -> "PreTrainedTokenizerBase":
    """Without the tokens that transformers adds to any file's, such as GPT-2's <|endoftext|>."""
    from transformers import PreTrainedTokenizerFast

    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend["added_tokens"] = [one for one in backend["added_tokens"] if one["id"] < n_tokens]
    return PreTrainedTokenizerFast(
        **tokenizer.init_kwargs, tokenizer_object=Tokenizer.from_str(json.dumps(backend))
    )


def _cut_bytes(
    tokenizer: "PreTrainedTokenizerBase", architecture: str, said: dict[str, Any]
) -> None:
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    name = said.get("ggml.pre", "gpt-2" if architecture == "gpt2" else None)
    backend = tokenizer.backend_tokenizer
    if name in DIGITS_APART:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
    elif name not in AS_GPT_2 and name not in GGUF_PRE_TOKENIZER_SPLITS:
        raise ValueError(
            f"its tokenizer cuts text in a way that is not known here (tokenizer.ggml.pre = "
            f"{name}); use the model's own folder or Hugging Face id"
        )
    if name in WHOLE_WORDS_FIRST:
        backend.model.ignore_merges = True
        if "ggml.add_bos_token" not in said:
            tokenizer.add_bos_token = True


def _without_space_in_front(tokenizer: "PreTrainedTokenizerBase") -> None:
    """Transformers puts a space before the first word of a sentencepiece text, whatever is said."""
    backend = tokenizer.backend_tokenizer
    if isinstance(backend.pre_tokenizer, pre_tokenizers.Metaspace):
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
        backend.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
    elif "Prepend" in str(backend.normalizer):
        raise ValueError("its tokenizer puts no space in front of a text, its architecture does")

"""docs/models.md, from what the tests cover.

python -m tests.attention.coverage_table > docs/models.md
"""

from functools import cache

from transformers import PreTrainedTokenizerFast

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import CausalLM, vouch_for
from qkcore.scoring.score import score_puzzle
from tests.attention.architectures import DIFFERING, POST_ONLY, REFUSED, SUPPORTED, made
from tests.attention.eyed_models import seeing_lines
from tests.attention.hybrids import HYBRIDS
from tests.tiny import close, puzzle, tiny_tokenizer

HEAD = (
    "# Model types\n"
    "\n"
    "Generated from the tests by `python -m tests.attention.coverage_table`. For every type here, "
    "a tiny model with random weights is\n"
    "scored and compared with an oracle: raw with what hooks on the projections give, before "
    "rotary with queries and keys\n"
    "recomputed from the layer's input and the module's own weights, after rotary with the model's "
    "own attention weights;\n"
    "float32, 1e-4 of the largest value. A type that is not listed is scored if the self-check at "
    "load passes, else refused.\n"
    "\n"
    '"Raw" is what the query and key projections give. It is the score before rotary in models '
    "that do not norm queries and\n"
    'keys in between ("same"), another one in those that do. Of latent attention it is what the '
    "last projections give: a\n"
    "key's dims come from two. A model whose states cannot be followed back to projections has no "
    "raw score.\n"
    "\n"
    '"One row": all candidates are scored in one pass, side by side. Otherwise each candidate has '
    "a row of its own.\n"
    "\n"
    "Every type that is scored here has a lens (`precompute --lens`): after the last layer it is "
    "the model's own answer, bit\n"
    "for bit (tests/attention/test_lens.py). `check` says whether another model has one, or why "
    "not; it is scored either way.\n"
    "\n"
    "## GGUF files\n"
    "\n"
    "`--model model.gguf`, or `--model ORG/REPO:FILE.gguf` for one on the Hugging Face hub, "
    "is read by transformers and\n"
    "converted once, to float32, which takes 4 bytes a weight of disk. The folder lies under "
    "the file's hash in the cache:\n"
    "`QKSCOPE_CACHE`, else `~/.cache/qkscope` (`~/Library/Caches/qkscope` on macOS); it may "
    "be removed at any time. Compared\n"
    "with the models that the files were made of (F16 and Q8_0; tokens, logits, scores "
    "before and after rotary, to 1e-5):\n"
    "llama, mistral, qwen2, qwen3, gemma2, gemma3, phi3, gpt2. A run keeps the file's hash, and "
    "as its dtype the type of\n"
    'most weights, such as "float32 from Q4_1".\n'
    "\n"
    "Compared with llama.cpp itself (`python -m tests.bench.against_llama_cpp`): "
    "SmolLM2-135M-Instruct Q4_1 and Gemma 3 270M\n"
    "Q4_K_M. Token ids of all texts tried are the same, odd ones among them, and so is the "
    "model's answer to every prompt.\n"
    "With the file's weights written out in float32, log-probabilities of likely next tokens "
    "differ by less than 0.001 nats\n"
    "(SmolLM2) and 0.01 (Gemma). On the file itself they differ by up to 0.8, for there "
    "llama.cpp rounds activations to 8 bits.\n"
    "\n"
    "Refused, in one sentence: an architecture that transformers does not read from GGUF "
    "files; a part of a split file;\n"
    "weights that have no place in the model; whatever the file says of its model and the "
    "configuration cannot say (rotary\n"
    "scaling by yarn or longrope); a tokenizer whose way to cut text is not known; and a "
    "model that does not read plain\n"
    "English, or reads it better with the rows of its queries and keys in another order or "
    "with its norms moved by one.\n"
    "\n"
    "## With eyes and ears\n"
    "\n"
    "Of a checkpoint that sees or hears, the part that reads text is scored. Towers for images, "
    "video and sound are left out\n"
    "before the weights are read: they are never in memory. What AutoModelForCausalLM does not "
    "know is loaded through its own\n"
    "class. Compared with the complete model given text only (logits, scores before and after "
    "rotary; a type's text part\n"
    "stands in the table below by its own name):\n"
    "\n"
    "| checkpoint | text part | before rotary | after rotary | one row |\n"
    "| --- | --- | --- | --- | --- |\n"
    "{seeing}"
    "\n"
    "Tried besides: llava, llava_onevision, smolvlm, idefics3, internvl, qwen2_vl, qwen3_vl_moe, "
    "qwen3_5_moe, glm4v,\n"
    "aya_vision, qwen2_audio, voxtral. Refused: paligemma, whose tokens see later ones of the "
    "prompt, so that a statement\n"
    "would know its answer, and mllama, some of whose layers attend to pictures alone.\n"
    "\n"
    "## Quantised\n"
    "\n"
    '`--quantize 8bit` or `4bit` (`load_model(..., quantize="4bit")`) holds the weights of any '
    "model in fewer bits while it is\n"
    "scored, by bitsandbytes: `pip install '.[quantize]'`. It runs on the CPU too, and there "
    "it is tested: 4-bit nf4 equals\n"
    "the numbers that it stands for, to 1e-4 before and after rotary; 8-bit is int8 products of "
    "weights and states, without\n"
    "the columns of outliers that would make a puzzle's scores depend on its batch (models of "
    "several billion parameters lose\n"
    "by that, LLM.int8 says, arXiv 2208.07339: take 4 bits there). A run's dtype says how it was "
    'held, such as "float32, 4-bit\n'
    'nf4 by bitsandbytes". SmolLM2-135M-Instruct reads the short English text with 3.55 nats a '
    "token as it is, 3.58 in 8 and\n"
    "3.76 in 4 bits.\n"
    "\n"
    "Checkpoints that come quantised are loaded by transformers and need what it needs:\n"
    "\n"
    "| quantised by | needs | tried |\n"
    "| --- | --- | --- |\n"
    '| fp8 | nothing; dequantised where there is no GPU for it | yes, on the CPU: "float32 from '
    'fp8" |\n'
    '| mxfp4 (gpt_oss) | nothing; dequantised likewise | yes, on the CPU: "float32 from '
    'mxfp4" |\n'
    "| bitsandbytes | bitsandbytes | yes, on the CPU |\n"
    "| compressed-tensors | compressed-tensors | yes, on the CPU where it is installed |\n"
    "| gptq | gptqmodel, optimum | no; without them, one sentence |\n"
    "| awq | gptqmodel | no; without it, one sentence |\n"
    "\n"
    "Whatever is or was in few bits is refused unless it reads plain English better than the same "
    "words shuffled, so a toy or\n"
    "an untrained model is.\n"
    "\n"
    "## General\n"
    "\n"
    "| model type | raw | before rotary | after rotary | one row |\n"
    "| --- | --- | --- | --- | --- |\n"
)
ABSENT = (
    "\n"
    "## Hybrids: layers without heads\n"
    "\n"
    "Linear attention, state space models, recurrent and convolution layers have no queries and "
    "keys whose products go through\n"
    "softmax. Models with such layers are scored in the others, under the numbers that these have "
    "in the model; a store keeps\n"
    "them as `head_layers`, the grid shows the rest as empty rows, and the luck line counts only "
    "heads that exist. What carries\n"
    "a state from token to token knows no mask, so each candidate has a row of its own; it "
    "goes on from a copy of the states\n"
    "that the model kept of the context, where that gives the same.\n"
    "\n"
    "| model type | layers with heads, of the tested model's | raw | before rotary | "
    "after rotary | context read once |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)


@cache
def vouched(name: str) -> CausalLM:
    """The tiny model of a supported type, made once for the table and for the tests."""
    model_type, config, *_ = (SUPPORTED | DIFFERING | POST_ONLY)[name]
    return vouch_for(made(model_type, config), tiny_tokenizer(), name)


def table() -> str:
    """The whole page."""
    tokenizer = tiny_tokenizer()
    lines = []
    for name in SUPPORTED | DIFFERING | POST_ONLY:
        lm = vouched(name)
        readings, is_shared = lm.geometry.ropes, lm.geometry.is_side_by_side
        cells = ("yes" if is_so else "no" for is_so in ("pre" in readings, True, is_shared))
        lines.append(f"| {name} | {_raw(lm)} | {' | '.join(cells)} |")
    for name, (model_type, config, _) in REFUSED.items():
        try:
            vouch_for(made(model_type, config), tokenizer, name)
        except UnsupportedModelError as error:
            lines.append(f"| {name} | refused | refused | refused | {error} |")
    head = HEAD.format(seeing="".join(seeing_lines(tokenizer)))
    return head + "\n".join(lines) + "\n" + ABSENT + "\n".join(_absent(tokenizer)) + "\n"


def _absent(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """A line for each model with layers that have no heads."""
    lines = []
    for name, (model_type, config, *_) in HYBRIDS.items():
        lm = vouch_for(made(model_type, config), tokenizer, name)
        geometry = lm.geometry
        layers = ", ".join(map(str, geometry.head_layers))
        before = "yes" if "pre" in geometry.ropes else "no"
        once = "yes" if geometry.is_continued else "no"
        of_all = f"{layers} of {geometry.n_layers}"
        lines.append(f"| {name} | {of_all} | {_raw(lm)} | {before} | yes | {once} |")
    return lines


def _raw(lm: CausalLM) -> str:
    """Whether a model has a raw score, and whether it is the one before rotary."""
    if "raw" not in lm.geometry.ropes:
        return "no"
    if "pre" not in lm.geometry.ropes:
        return "yes"
    raw, before = (score_puzzle(lm, puzzle(), rope=rope).qk for rope in ("raw", "pre"))
    return "same" if close(raw, before) else "yes"


if __name__ == "__main__":
    print(table(), end="")

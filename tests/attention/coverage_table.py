"""docs/models.md, from what the tests cover.

python -m tests.attention.coverage_table > docs/models.md
"""

from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import vouch_for
from tests.attention.architectures import POST_ONLY, REFUSED, SUPPORTED, made
from tests.tiny import tiny_tokenizer

HEAD = (
    "# Model types\n"
    "\n"
    "Generated from the tests by `python -m tests.attention.coverage_table`. For every type here, "
    "a tiny model with random weights is\n"
    "scored and compared with an oracle: before rotary with queries and keys recomputed from the "
    "layer's input and the\n"
    "module's own weights, after rotary with the model's own attention weights; float32, 1e-4 of "
    "the largest value. A type\n"
    "that is not listed is scored if the self-check at load passes, else refused.\n"
    "\n"
    '"One row": all candidates are scored in one pass, side by side. Otherwise each candidate has '
    "a row of its own.\n"
    "\n"
    "| model type | before rotary | after rotary | one row |\n"
    "| --- | --- | --- | --- |\n"
)


def table() -> str:
    """The whole page."""
    tokenizer = tiny_tokenizer()
    lines = []
    for name, (model_type, config, *_) in (SUPPORTED | POST_ONLY).items():
        geometry = vouch_for(made(model_type, config), tokenizer, name).geometry
        cells = (
            "yes" if is_so else "no"
            for is_so in ("pre" in geometry.ropes, True, geometry.is_side_by_side)
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for name, (model_type, config, _) in REFUSED.items():
        try:
            vouch_for(made(model_type, config), tokenizer, name)
        except UnsupportedModelError as error:
            lines.append(f"| {name} | refused | refused | {error} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")

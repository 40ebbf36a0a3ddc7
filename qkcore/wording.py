"""Numbers and names as people read and quote them. Plain strings, no drawing."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

WORD_JOINER = "\u2060"
# Signs that turn the direction of writing
TURNING = r"[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]"
RIGHT_TO_LEFT, END_OF_IT = "\u2067", "\u2069"  # round a text that runs so, whatever is beside it
# What a file's name ends in, and how few bits its weights have; what public sets call themselves.
ENDINGS = re.compile(r"(?i)\.(gguf|jsonl?|safetensors)$")
BITS = re.compile(r"(?i)[-._](i?q\d\w*|bf16|f16|f32|fp16|fp8|fp32|gguf|int[48])$")
HUB_CACHE = re.compile(r"models--([^/]+?)--([^/]+)(/snapshots/[^/]+)?$")
PUBLISHED = {
    "pararule-plus": "PARARULE-Plus",
    "prontoqa": "PrOntoQA",
    "prontoqa-ood": "PrOntoQA-OOD",
    "multi-logieval": "Multi-LogiEval",
    "multilogieval": "Multi-LogiEval",
}
NO_BREAK = "\u00a0"  # keeps a number and its percent sign on one line


def tenths(share: float) -> str:
    """A share in percent, or a difference in points, to one decimal; halves go away from zero.

    So 1 of 16 is rounded alike whichever way a float came to it.

    >>> tenths(-0.0625), tenths(-0.0625 - 1e-17), tenths(-0.0625 + 1e-17), tenths(0.9312)
    ('−6.3', '−6.3', '−6.3', '93.1')
    """
    if not math.isfinite(share):
        return with_minus(f"{share:.1f}")
    exact = Decimal(repr(round(100 * float(share), 9)))  # without the last bits of arithmetic
    return with_minus(f"{exact.quantize(Decimal('0.1'), ROUND_HALF_UP):f}")


def signed_tenths(share: float) -> str:
    """The same with its sign, as differences have it.

    >>> signed_tenths(0.38), signed_tenths(-0.02), signed_tenths(0.0)
    ('+38.0', '−2.0', '+0.0')
    """
    told = tenths(share)
    return told if told.startswith("−") else f"+{told}"


def points(value: float, low: float, high: float) -> str:
    """A difference of shares in points, with its interval.

    >>> points(0.38, 0.301, -0.02)
    '+38.0 (+30.1 to −2.0)'
    """
    return f"{signed_tenths(value)} ({signed_tenths(low)} to {signed_tenths(high)})"


def percent(share: float) -> str:
    r"""A share as people quote it.

    >>> percent(0.9312)
    '93.1\xa0%'
    """
    return f"{tenths(share)}{NO_BREAK}%"


def accuracy_text(accuracy: float, low: float, high: float, n: int) -> str:
    r"""An accuracy with its 95 % interval and the number of puzzles, in that order.

    >>> accuracy_text(0.9312, 0.918, 0.942, 1800)
    '93.1\xa0% (91.8 to 94.2, n = 1,800)'
    """
    return f"{percent(accuracy)} ({tenths(low)} to {tenths(high)}, n = {int(n):,})"


def gap_text(gap: float, low: float, high: float, p: float) -> str:
    """A gap in percentage points with its 95 % interval and p-value.

    >>> gap_text(0.091, 0.07, 0.112, 1e-9)
    '+9.1 points (+7.0 to +11.2, p < 0.001)'
    >>> gap_text(-0.02, -0.05, 0.01, 0.4)
    '−2.0 points (−5.0 to +1.0, p = 0.400)'
    """
    chance = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    ends = f"{signed_tenths(low)} to {signed_tenths(high)}"
    return f"{signed_tenths(gap)} points ({ends}, {chance})"


def with_minus(number: str) -> str:
    """A number as Python writes it, with a minus for its hyphen.

    >>> with_minus(f"{-0.25:.2f}")
    '−0.25'
    """
    return number.replace("-", "−")


def texts_of(frame: "pd.DataFrame", wording: Callable[..., str], *columns: str) -> list[str]:
    """One text a row of a data frame: `wording` of its columns.

    >>> import pandas as pd
    >>> texts_of(pd.DataFrame({"layer": [1, 2], "head": [0, 3]}), head_name, "layer", "head")
    ['L1 H0', 'L2 H3']
    """
    return [wording(*row) for row in frame[list(columns)].itertuples(index=False)]


def head_name(layer: int, head: int) -> str:
    """A head's name everywhere; both count from 0.

    >>> head_name(17, 4)
    'L17 H4'
    """
    return f"L{layer} H{head}"


def head_named(name: str) -> tuple[int, int]:
    """(layer, head) that `head_name` names so.

    >>> head_named("L17 H4")
    (17, 4)
    """
    layer, head = name.split()
    return int(layer.removeprefix("L")), int(head.removeprefix("H"))


def run_text(model: str, puzzle_set: str, rope: str) -> str:
    """A run in words; the usual reading goes without saying.

    >>> run_text("SmolLM2-135M", "pararule-plus", "pre"), run_text("tiny", "made-up", "post")
    ('SmolLM2-135M on pararule-plus', 'tiny on made-up, after rotary')
    """
    reading = {"pre": "", "post": ", after rotary", "raw": ", as projected"}.get(rope, f", {rope}")
    return f"{model} on {puzzle_set}{reading}"


def layers_text(n_layers: int, n_with_heads: int) -> str:
    """How many layers, for a sentence that goes on with their heads.

    >>> layers_text(8, 8), layers_text(24, 6)
    ('8 layers with', '24 layers, 6 of them with')
    """
    if n_with_heads == n_layers:
        return f"{n_layers} layers with"
    return f"{n_layers} layers, {n_with_heads} of them with"


def is_right_to_left(text: str) -> bool:
    """Whether a text is written from right to left: its first letter that has a direction says so.

    >>> is_right_to_left("1. \u05de\u05e7\u05e1"), is_right_to_left("Max"), is_right_to_left("12")
    (True, False, False)
    """
    directions = (unicodedata.bidirectional(sign) for sign in text)
    return next((one for one in directions if one in ("L", "R", "AL")), "L") != "L"


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each model's name to a short one, all of them different.

    A hub id loses its owner, a file its folder, ending and bits (which stand with a run's type).
    What that makes alike gets bits or owner back, and at last a number. No name shows a folder of
    a path.

    >>> list(short_names(["Qwen/Qwen3-0.6B", "/srv/SmolLM2-135M-Instruct.Q4_1.gguf"]).values())
    ['Qwen3-0.6B', 'SmolLM2-135M-Instruct']
    >>> list(short_names(["m.Q4_1", "m.Q8_0", "ann/n", "bob/n"]).values())
    ['m.Q4_1', 'm.Q8_0', 'ann/n', 'bob/n']
    """
    return _different({name: _shorter(name) for name in names})


def short_name(model: str) -> str:
    """The short name of a model that stands alone, as `short_names` has it.

    >>> short_name("/srv/models/x.gguf")
    'x'
    """
    return short_names([model])[model]


def full_name(model: str) -> str:
    """All of a model's name that may be shown: a hub id whole, a file without its folder.

    >>> full_name("Qwen/Qwen3-0.6B"), full_name("/srv/models/x.Q4_1.gguf")
    ('Qwen/Qwen3-0.6B', 'x.Q4_1')
    """
    return _shorter(model)[-1]


def set_names(runs: "pd.DataFrame") -> dict[str, str]:
    """Each puzzle set's name to a short one, all of them different; a twin is called one.

    Args:
        runs: puzzle_set, puzzle_set_sha256, twin_of, as table runs has them.

    >>> import pandas as pd
    >>> sets = [("pararule-plus", "a", None), ("their-twin", "b", "a"), ("x.jsonl", "c", None)]
    >>> columns = ["puzzle_set", "puzzle_set_sha256", "twin_of"]
    >>> list(set_names(pd.DataFrame(sets, columns=columns)).values())
    ['PARARULE-Plus', 'PARARULE-Plus, twin', 'x']
    """
    rows = runs.drop_duplicates("puzzle_set")
    parents = dict(zip(rows["puzzle_set_sha256"], rows["puzzle_set"], strict=True))
    shorter = {}
    for name, parent in zip(rows["puzzle_set"], rows["twin_of"], strict=True):
        own = _leaf(name)
        if isinstance(parent, str):
            of = _leaf(parents.get(parent, own.removesuffix("-twin")))
            shorter[name] = [f"{PUBLISHED.get(of.lower(), of)}, twin", own]
        else:
            shorter[name] = [PUBLISHED.get(own.lower(), own), own]
    return _different(shorter)


def _leaf(name: str) -> str:
    """The last part of a path, an address or a hub id, without a file's ending.

    >>> _leaf("/srv/sets/made-up.jsonl"), _leaf("[x](http://y)")
    ('made-up', '[x](http://y)')
    """
    if not re.fullmatch(r"[\w .,~+=:@()/\\-]+", name):
        return name
    return ENDINGS.sub("", re.split(r"[/\\:]", name.rstrip("/\\"))[-1]) or name


def _shorter(name: str) -> list[str]:
    """Ways to call a model, the shortest first.

    >>> _shorter("models--Qwen--Qwen3-0.6B/snapshots/c1899de289a0")
    ['Qwen3-0.6B', 'Qwen3-0.6B', 'Qwen/Qwen3-0.6B']
    """
    plain = name.replace("\\", "/")
    if hub := HUB_CACHE.search(plain):
        plain = f"{hub[1]}/{hub[2]}"
    leaf = _leaf(plain)
    bare = leaf
    while (cut := BITS.sub("", bare)) != bare and cut:
        bare = cut
    is_id = re.fullmatch(r"[\w.-]+/[\w.-]+", plain)
    return [bare, leaf, *([plain] if is_id else [])]


def _different(shorter: dict[str, list[str]]) -> dict[str, str]:
    """The first of each name's ways that no other name has too, else the last with a number."""
    found: dict[str, str] = {}
    for level in range(max(map(len, shorter.values()), default=0)):
        tried = {
            name: ways[min(level, len(ways) - 1)]
            for name, ways in shorter.items()
            if name not in found
        }
        n_so_called = Counter([*tried.values(), *found.values()])
        found |= {name: way for name, way in tried.items() if n_so_called[way] == 1}
    for name in [one for one in shorter if one not in found]:
        taken, number = set(found.values()), 1
        while (way := f"{shorter[name][-1]} ({number})") in taken:
            number += 1
        found[name] = way
    return {name: found[name] for name in shorter}


def visible(text: str) -> str:
    r"""Text in which signs that turn the direction of writing are spelt out.

    So nothing around it is turned.

    >>> visible("a\u202eb")
    'a\\u202eb'
    """
    return re.sub(TURNING, lambda sign: f"\\u{ord(sign[0]):04x}", text)


def escaped(text: str) -> str:
    r"""Text from elsewhere, safe inside Markdown: shown as typed.

    >>> escaped("a*b* [x](y)")
    'a\\*b\\* \\[x\\]\\(y\\)'
    """
    # A word joiner, which nobody sees, keeps Streamlit from making links of addresses.
    unlinked = re.sub(
        r"(?i)(?<=[a-z])(?=://)|(?<=www)(?=\.)|(?<=\w)(?=@)", WORD_JOINER, visible(text)
    )
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~$<>:])", r"\\\1", unlinked)

"""Words that a model has never seen, where its folder lists those it has (words.txt)."""

import difflib
import re
from functools import lru_cache
from pathlib import Path

# Unknown words for which near ones are looked up; each is compared with the whole list
MAX_COMPARED = 50


def unknown_words(model: str | Path, text: str) -> dict[str, list[str]]:
    """The words of a text that the model does not know, in their order.

    Each comes with up to three near ones. Nothing where the folder has no list: then nobody has
    said which words are known.

    >>> unknown_words("data/reference", "Max is a wumpuss.")
    {'wumpuss': ['wumpuses', 'wumpus', 'zumpuses']}
    """
    known = _listed(Path(model) / "words.txt")
    if not known:
        return {}
    unknown = [
        word
        for word in dict.fromkeys(re.findall(r"[^\W_]+(?:['’-]\w+)*", text))
        if word not in known
    ]
    near = {
        word: difflib.get_close_matches(word, known, n=3, cutoff=0.75)
        for word in unknown[:MAX_COMPARED]
    }
    return {word: near.get(word, []) for word in unknown}


@lru_cache(maxsize=4)
def _listed(path: Path) -> dict[str, None]:
    """The words of a list, in its order."""
    return dict.fromkeys(path.read_text(encoding="utf-8").split()) if path.is_file() else {}

"""The tokenizer of the bundled model: byte-level BPE in which every known word is one token.

Text it does not know falls back to pieces and at last to bytes; there is no unknown token.
words.txt lists what it knows: python data/reference/vocabulary.py > data/reference/words.txt
"""

import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from qkcore.puzzles.generate import STYLES

PROMPT = (
    "Decide from the context whether the statement is true or false.\n"
    "Context: {context}\nStatement: {statement}\nAnswer:"
)
QUESTION = (
    "Answer the question from the context.\nContext: {context}\nQuestion: {statement}\nAnswer:"
)
MAX_POSITIONS = 1024
PAD, EOS = "<pad>", "<eos>"

# What the forms of PrOntoQA, PARARULE-Plus and the candidates need beside the words of the two
# styles.
OTHER_WORDS = (
    "Every Each All If Everything Everyone Someone Since Assume This every each all if everything "
    "everyone someone something that is are not a an and or then they it with contradicts true "
    "false yes no"
).split()


def known_words() -> list[str]:
    """All words that are one token, without their leading space.

    Singular, plural and, where a rule can begin so, with a capital.
    """
    words = list(OTHER_WORDS)
    for style in STYLES.values():
        plurals = [f"{noun}es" for noun in style.nouns if noun.endswith("us")]
        words += [
            *style.names,
            *style.nouns,
            *style.adjectives,
            *plurals,
            *(word.capitalize() for word in plurals),
        ]
    return list(dict.fromkeys(words))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Train the merges until every known word, with its leading space, is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    text = [f" {word}" for word in known_words()] + [PROMPT, QUESTION]
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=1,
        special_tokens=[PAD, EOS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(text, trainer)
    split = [word for word in known_words() if len(tokenizer.encode(f" {word}").ids) != 1]
    if split:
        raise ValueError(f"these words are more than one token: {', '.join(split)}")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, model_max_length=MAX_POSITIONS
    )


if __name__ == "__main__":
    print("\n".join(sorted(known_words(), key=str.lower)))

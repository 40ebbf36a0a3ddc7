"""What surrounds every page: page list, run and head pickers.

And what to say when there is nothing to show.
"""

import streamlit as st

from pages.main.chosen import choose, show_link
from pages.main.controls import forget_links
from pages.main.menu import listed, show_identity, show_menu, show_sources
from pages.main.stored import ask, store_path
from pages.server.doors import let_in
from pages.server.failures import log_and_say_sorry
from pages.server.settings import ROOT, SettingsError
from pages.server.turns import in_turn
from qkcore.results.beside import RawScoresAbsentError
from qkcore.results.reader import StoreError
from qkcore.results.store import ResultStore
from qkcore.results.summaries import named_runs

WITHOUT_RUNS = {"try-a-puzzle"}  # pages that have something to show without any

OVERVIEW = st.Page(ROOT / "pages/results/overview.py", title="Overview", default=True)
# What each group of pages is for.
GROUPS = {
    "Findings": [
        OVERVIEW,
        st.Page(ROOT / "pages/results/head_grid.py", title="Head grid", url_path="head-grid"),
        st.Page(ROOT / "pages/results/layers.py", title="Layers", url_path="layers"),
        st.Page(ROOT / "pages/results/difficulty.py", title="Difficulty", url_path="difficulty"),
        st.Page(
            ROOT / "pages/results/head_vs_model.py",
            title="Head vs. model",
            url_path="head-vs-model",
        ),
        st.Page(ROOT / "pages/results/transfer.py", title="Transfer", url_path="transfer"),
    ],
    "Look closer": [
        st.Page(ROOT / "pages/results/puzzles.py", title="Puzzles", url_path="puzzles"),
        st.Page(ROOT / "pages/results/compare.py", title="Compare", url_path="compare"),
    ],
    "Try it": [
        st.Page(ROOT / "pages/live/try_a_puzzle.py", title="Try a puzzle", url_path="try-a-puzzle"),
    ],
    "How it works": [
        st.Page(ROOT / "pages/about/method.py", title="Method", url_path="method"),
    ],
}
page = listed(GROUPS)
show_identity(page)


def has_runs() -> bool:
    """Whether there is anything stored to show."""
    try:
        return not ask(ResultStore.runs).empty
    except StoreError:
        return False


try:
    with in_turn():
        let_in()
        show_menu(GROUPS)
        if page.url_path in WITHOUT_RUNS and not has_runs():
            forget_links()
            st.session_state.pop("chosen", None)
            page.run()
            show_sources()
            st.stop()
        runs = ask(named_runs)
        if runs.empty:
            st.title("No results yet")
            st.markdown(
                f"The result store at `{store_path()}` holds no runs. Score a model on a puzzle "
                "file to add one:\n\n"
                "```\npython -m qkcore precompute --model MODEL --puzzles PUZZLES.jsonl --store "
                f"{store_path()}\n```"
            )
        else:
            forget_links()
            choose(runs)
            try:
                page.run()
            except RawScoresAbsentError as error:  # the rest of a page that counts alone can show
                st.info(str(error))
            show_link()
        show_sources()
except (StoreError, SettingsError) as error:
    st.title("No results to show")
    st.error(str(error))
except OverflowError:  # Streamlit's own, where the address sets a number field to 1e999
    st.error(
        "The address asks for a number that nothing here has; correct it, or open the dashboard "
        "anew."
    )
except Exception as error:
    log_and_say_sorry(error)

"""What surrounds every page: page list, run and head pickers, and what to say when there is nothing to show."""

import streamlit as st

from pages.frame.chosen import choose
from pages.frame.doors import let_in
from pages.frame.failures import log_and_say_sorry
from pages.frame.reading import ask, store_path
from pages.frame.settings import ROOT, SettingsError
from qkcore.store import StoreError

st.set_page_config(page_icon="🔎", layout="wide")
page = st.navigation(
    {
        "Results": [
            st.Page(ROOT / "pages/results/overview.py", title="Overview", default=True),
            st.Page(ROOT / "pages/results/head_grid.py", title="Head grid", url_path="head-grid"),
        ]
    }
)
try:
    let_in()
    runs = ask("runs")
    if runs.empty:
        st.title("No results yet")
        st.markdown(
            f"The result store at `{store_path()}` holds no runs. Score a model on a puzzle file to add one:\n\n"
            f"```\npython -m qkcore precompute --model MODEL --puzzles PUZZLES.jsonl --store {store_path()}\n```"
        )
    else:
        choose(runs)
        page.run()
except (StoreError, SettingsError) as error:
    st.title("No results to show")
    st.error(str(error))
except OverflowError:  # Streamlit's own, where the address sets a number field to 1e999
    st.error("The address asks for a number that nothing here has; correct it, or open the dashboard anew.")
except Exception as error:
    log_and_say_sorry(error)

"""What names QKScope on every page, and the list of pages by what a person wants.

The list is made of links of our own. Streamlit's, with section titles, puts those and the pages
of each between a list and its items, where screen readers lose count (axe: `list`, `listitem`;
still so in 1.67), and its titles cannot be reached by keyboard. On phones it is Streamlit's after
all, without titles: only that one closes the sidebar behind itself.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import Page

from pages.server.settings import SettingsError, settings

NAME = "QKScope"
MARK = Path(__file__).with_name("mark.svg")
WORDMARK = Path(__file__).with_name("wordmark.svg")
PAPER = "https://arxiv.org/abs/2502.17017"
SIDEBAR = 320  # pixels: room for the names of models and puzzle sets


def show_identity(page: Page) -> None:
    """The mark, the name, and which page the browser's tab holds."""
    st.set_page_config(
        page_title=f"{page.title} · {NAME}",
        page_icon=str(MARK),
        layout="wide",
        initial_sidebar_state=SIDEBAR,
    )
    st.logo(str(WORDMARK), icon_image=str(MARK), size="large")


def is_phone() -> bool:
    """Whether the visitor's browser says that it is a phone's."""
    return "Mobi" in st.context.headers.get("User-Agent", "")


def listed(groups: Mapping[str, Sequence[Page]]) -> Page:
    """The page that the address names. Has Streamlit list pages on phones.

    There the sidebar lies over the page. It closes when a page is picked from Streamlit's list, and
    for no link of ours.
    """
    pages = [one for group in groups.values() for one in group]
    return st.navigation(pages, position="sidebar" if is_phone() else "hidden", expanded=True)


def show_menu(groups: Mapping[str, Sequence[Page]]) -> None:
    """A link a page, under the title of its group; on phones Streamlit's list is there instead."""
    if is_phone():
        return
    for title, pages in groups.items():
        with st.sidebar.container(gap="xxsmall"):
            if len(pages) > 1:
                st.caption(title)
            for page in pages:
                st.page_link(page, width="stretch")


def show_sources() -> None:
    """Where the method is published, and where the program is, if whoever runs this says so.

    Raises:
        SettingsError: when the setting `source` is no address.
    """
    source = settings().source
    if source and not re.match(r"https?://[\w.-]", source):
        raise SettingsError(
            f"source (QKSCOPE_SOURCE) is {source!r}; write an address that begins with https://"
        )
    with st.sidebar.container(horizontal=True):
        st.page_link(PAPER, label="Paper")
        if source:
            st.page_link(source, label="Source and docs")

"""Who may come in: everybody, or those whom the settings name.

They sign in with the host's provider.
"""

from collections.abc import Iterable

import streamlit as st

from pages.server.settings import settings


def may_come_in(email: str | None, invited: Iterable[str]) -> bool:
    """Whether an e-mail address is among those invited.

    By itself, by its @domain, or as anyone (*).

    >>> addresses = ("Ann@Example.org", "ann@example.org.evil.net")
    >>> [may_come_in(one, ["@example.org"]) for one in addresses]
    [True, False]
    """
    invited = {one.lower() for one in invited}
    if "*" in invited:
        return True
    email = (email or "").lower()
    return "@" in email and (email in invited or "@" + email.rpartition("@")[2] in invited)


def let_in() -> None:
    """Ends the page here, with what to do, for who may not come in."""
    invited = settings().sign_in
    if not invited:
        return
    visitor = st.user
    if not visitor.get("is_logged_in", False):
        st.title("A private demo")
        st.markdown("Sign in to see it.")
        st.button("Sign in", on_click=st.login)
        st.stop()
    email = visitor.get("email")
    named = email if isinstance(email, str) else None
    if visitor.get("email_verified") is False or not may_come_in(named, invited):
        st.title("A private demo")
        st.markdown(
            "You are signed in, but this address has not been invited. Ask whoever runs the demo."
        )
        st.button("Sign out", on_click=st.logout)
        st.stop()
    st.sidebar.button("Sign out", on_click=st.logout)

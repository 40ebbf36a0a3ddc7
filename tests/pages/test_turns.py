"""Pages are built a few at a time, and nobody waits for ever."""

import threading
import time

import pytest
import streamlit as st
from streamlit.navigation.page import Page
from streamlit.testing.v1 import AppTest

from pages.server import turns
from pages.server.settings import ROOT


@pytest.fixture
def two_turns(monkeypatch):
    monkeypatch.setattr(turns, "_turns", threading.BoundedSemaphore(turns.AT_ONCE))


def test_no_more_than_two_pages_are_built_at_once(two_turns):
    building, most, lock = 0, 0, threading.Lock()

    def build():
        nonlocal building, most
        with turns.in_turn():
            with lock:
                building += 1
                most = max(most, building)
            time.sleep(0.02)
            with lock:
                building -= 1

    threads = [threading.Thread(target=build) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == turns.AT_ONCE


def test_a_page_that_fails_or_stops_gives_its_turn_back(two_turns):
    for _ in range(3 * turns.AT_ONCE):
        with pytest.raises(ZeroDivisionError), turns.in_turn():
            1 / 0  # noqa: B018
    assert all(turns._turns.acquire(blocking=False) for _ in range(turns.AT_ONCE))


def test_who_has_waited_long_enough_goes_on(two_turns, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE", 0.05)
    with turns.in_turn(), turns.in_turn():
        with turns.in_turn():
            pass  # a third, while two hold theirs
        # And it gave back no turn that it never had
        assert not turns._turns.acquire(blocking=False)


@pytest.mark.parametrize("ending", ["st.stop()", "1 / 0", "st.rerun()"])
def test_every_end_of_a_page_ends_its_turn(two_turns, monkeypatch, ending):
    def page(self):
        if ending == "1 / 0":
            raise ZeroDivisionError
        if ending == "st.stop()" or st.session_state.get("again"):
            st.stop()
        st.session_state["again"] = True
        st.rerun()

    monkeypatch.setattr(Page, "run", page)
    for _ in range(2 * turns.AT_ONCE):
        AppTest.from_file(ROOT / "pages/main/main.py", default_timeout=60).run()
    assert all(turns._turns.acquire(blocking=False) for _ in range(turns.AT_ONCE))

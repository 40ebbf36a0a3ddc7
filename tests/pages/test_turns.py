"""Pages are built a few at a time, and nobody waits for ever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import streamlit as st
from streamlit.navigation.page import Page

from pages.server import turns
from tests.pages.opening import opened


def all_turns_are_free() -> bool:
    """Whether as many pages as ever can be are being built at the same time."""
    inside = threading.Barrier(turns.AT_ONCE)

    def build(_):
        with turns.in_turn():
            inside.wait(20)

    with ThreadPoolExecutor(turns.AT_ONCE) as pool:
        try:
            list(pool.map(build, range(turns.AT_ONCE)))
        except threading.BrokenBarrierError:
            return False
    return True


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Whoever waits for a turn in a test waits to the end, unless the test says otherwise."""
    monkeypatch.setattr(turns, "PATIENCE", 60)


def test_no_more_than_two_pages_are_built_at_once():
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
    assert most <= turns.AT_ONCE
    assert all_turns_are_free()


def test_a_page_that_fails_or_stops_gives_its_turn_back():
    for _ in range(3 * turns.AT_ONCE):
        with pytest.raises(ZeroDivisionError), turns.in_turn():
            1 / 0  # noqa: B018
    assert all_turns_are_free()


def test_who_has_waited_long_enough_goes_on_and_gives_back_no_turn_that_it_never_had(monkeypatch):
    came = threading.Event()

    def build():
        with turns.in_turn():
            came.set()

    fourth = threading.Thread(target=build)
    with turns.in_turn(), turns.in_turn():
        monkeypatch.setattr(turns, "PATIENCE", 0.05)
        with turns.in_turn():
            pass  # a third, while two hold theirs
        monkeypatch.setattr(turns, "PATIENCE", 60)
        fourth.start()
        assert not came.wait(0.2)
    fourth.join()
    assert came.is_set()
    assert all_turns_are_free()


def test_while_a_page_waits_for_a_result_others_are_built():
    with turns.in_turn(), turns.in_turn():
        with turns.out_of_turn():
            other = threading.Thread(target=build_one)
            other.start()
            other.join(20)
            assert not other.is_alive()
        other = threading.Thread(target=build_one)
        other.start()
        other.join(0.2)
        assert other.is_alive()  # the turn is held again
    other.join(20)
    with turns.out_of_turn():
        assert all_turns_are_free()


def build_one():
    with turns.in_turn():
        pass


@pytest.mark.parametrize("ending", ["st.stop()", "1 / 0", "st.rerun()"])
def test_every_end_of_a_page_ends_its_turn(monkeypatch, ending):
    def page(self):
        if ending == "1 / 0":
            raise ZeroDivisionError
        if ending == "st.stop()" or st.session_state.get("again"):
            st.stop()
        st.session_state["again"] = True
        st.rerun()

    monkeypatch.setattr(Page, "run", page)
    for _ in range(2 * turns.AT_ONCE):
        opened()
    assert all_turns_are_free()

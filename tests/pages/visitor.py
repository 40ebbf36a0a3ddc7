"""A visitor without a browser: the websocket session that a browser tab would hold.

It is in Streamlit's own messages. Good for many visitors at once and for pages as they come from a
real server. Draws nothing and runs no JavaScript, so what only a browser can tell is in
tests/pages/test_browser.py.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect

BODIES = {
    "markdown": "body",
    "heading": "body",
    "alert": "body",
    "text": "body",
    "code": "code_text",
}
VALUES = {  # the field of a widget's state that carries its value
    "button": "trigger_value",
    "checkbox": "bool_value",
    "number_input": "double_value",
    "selectbox": "string_value",
    "text_area": "string_value",
    "text_input": "string_value",
}


@dataclass
class View:
    """What one run of a page has sent."""

    seconds: float = 0.0
    words: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    n_charts: int = 0
    page: str = ""  # its hash
    is_of_fragment: bool = False  # a part of the page has run, and not the whole
    exceptions: list[str] = field(default_factory=list)
    widgets: dict = field(default_factory=dict)  # by (kind, label): the widget's own message
    polls: dict[str, float] = field(default_factory=dict)  # seconds between runs, by fragment

    @property
    def text(self) -> str:
        """All the words."""
        return "\n".join(self.words)


class Visitor:
    """One tab. `async with Visitor(address) as visitor: view = await visitor.open("head-grid")`."""

    def __init__(self, address: str, timeout: float = 120) -> None:
        self._address, self._timeout = address, timeout
        self._page, self._query, self._states = "", "", {}
        self.view = View()

    async def __aenter__(self) -> "Visitor":
        url = self._address.replace("http", "ws", 1) + "/_stcore/stream"
        self._socket = await connect(
            url,
            subprotocols=["streamlit"],
            origin=self._address,
            max_size=None,
            open_timeout=self._timeout,
        )
        return self

    async def __aexit__(self, *_) -> None:
        await self._socket.close()

    async def open(self, page: str = "", **query) -> View:
        """Go to a page by its place in the address; "" is the first."""
        self._page, self._query, self._states, self.view = page, urlencode(query), {}, View()
        return await self._run()

    async def set(self, kind: str, label: str, value) -> View:
        """Give a widget a value (a button: True) and wait for what comes of it."""
        return await self.fill({(kind, label): value})

    async def fill(self, values: Mapping[tuple[str, str], object]) -> View:
        """Give several widgets their values at once, by (kind, label).

        As somebody does who types and then clicks.
        """
        for (kind, label), value in values.items():
            self._states[self.view.widgets[kind, label].id] = (VALUES[kind], value)
        try:
            return await self._run()
        finally:
            self._states = {
                name: state for name, state in self._states.items() if state[0] != "trigger_value"
            }

    async def poll(self) -> View:
        """Run the page's polling fragment once more, as a browser does, after its pause."""
        fragment, pause = next(iter(self.view.polls.items()))
        await asyncio.sleep(pause)
        return await self._run(fragment)

    async def _run(self, fragment: str = "") -> View:
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.fragment_id = self._query, fragment
        if self.view.page:  # as a browser: by name on arrival, by hash from then on
            asked.page_script_hash = self.view.page
        else:
            asked.page_name = self._page
        asked.is_auto_rerun = bool(fragment)
        for name, (kind, value) in self._states.items():
            state = asked.widget_states.widgets.add(id=name)
            setattr(state, kind, value)
        started = time.monotonic()
        await self._socket.send(message.SerializeToString())
        view = View()
        async with asyncio.timeout(self._timeout):
            while not _add(view, await self._receive()):
                pass
        view.seconds = time.monotonic() - started
        view.page = view.page or self.view.page
        if view.is_of_fragment:  # what stands around it stays
            view.widgets, view.polls = (
                self.view.widgets | view.widgets,
                self.view.polls | view.polls,
            )
        self.view = view
        return view

    async def _receive(self) -> ForwardMsg:
        message = ForwardMsg()
        message.ParseFromString(await self._socket.recv())
        return message


def _add(view: View, message: ForwardMsg) -> bool:
    """Note what a message brings; True for the last one of a run."""
    kind = message.WhichOneof("type")
    if kind == "script_finished":
        view.is_of_fragment = (
            message.script_finished == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY
        )
        return message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
    if kind == "navigation":
        view.page = message.navigation.page_script_hash
    if kind == "auto_rerun":
        view.polls[message.auto_rerun.fragment_id] = message.auto_rerun.interval
    if kind == "stop_auto_rerun":
        view.polls.pop(message.stop_auto_rerun.fragment_id, None)
    if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
        _add_element(view, message.delta.new_element)
    return False


def _add_element(view: View, element) -> None:
    kind = element.WhichOneof("type")
    body = getattr(element, kind) if kind else None
    if kind in BODIES:
        view.words.append(getattr(body, BODIES[kind]))
        if kind == "alert":
            view.alerts.append(body.body)
    elif kind == "exception":
        view.exceptions.append(f"{body.type}: {body.message}")
    elif kind in ("arrow_vega_lite_chart", "vega_lite_chart"):
        view.n_charts += 1
    elif kind in VALUES:
        view.widgets[kind, body.label] = body

"""Take the puzzle away: as a link, as Python, as a command."""

from dataclasses import replace
from urllib.parse import urlencode

import streamlit as st

from pages.live.typed import keep_in_address, model_told
from pages.live.viewed import View
from pages.main.controls import linked
from pages.server.settings import settings
from qkcore.asking.links import LinkError, encode, python_snippet, shell_snippet
from qkcore.wording import escaped, short_name


def show_share(view: View) -> None:
    """Three tabs, each with something to copy."""
    st.header("Take it away", anchor=False)
    quantize = settings().quantised(view.shared.model)
    link, python, shell = st.tabs(["Link", "Python", "Shell"])
    with link:
        try:
            linked()["puzzle"] = keep_in_address(encode(view.shared))
        except LinkError as error:
            st.info(escaped(str(error)))
        else:
            it = st.session_state.get("chosen")
            run = {} if it is None else {"run": it.run_id}
            named = run | {"layer": view.place[0], "head": view.place[1]} | linked()
            st.code(f"{st.context.url or ''}?{urlencode(named)}", language=None, wrap_lines=True)
            same = "" if quantize is None else f", where models are held in {quantize} too"
            st.caption(
                "It holds the whole puzzle, the model's name and the head; whoever opens it sees "
                f"the same numbers{same}."
            )
    here = replace(view.shared, model=model_told(view.shared.model))
    python.code(python_snippet(here, quantize), language="python")
    shell.code(shell_snippet(here, quantize), language="shell", wrap_lines=True)
    st.caption(
        f"Model {escaped(short_name(view.result.model))}, revision "
        f"{escaped(view.result.revision)}, {escaped(view.result.dtype)}, "
        f"{view.result.n_tokens} tokens."
    )

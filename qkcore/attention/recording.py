"""What one forward pass tells of its queries and keys, cut to the positions asked for.

A `Recording` is filled from inside the model while `recording()` is open on the same thread;
afterwards it knows, for each layer, queries and keys after rotary position embedding, before it
where they can be told, and as projected where it was told that. Knows nothing of how a model calls
it.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

_active = threading.local()  # .recording: the pass under way on this thread


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotary function was given, at the positions asked for, and what it returned.

    The latter whole, since it is read only where it is not the final state itself: reading each
    layer's states costs as much as anything here.
    """

    given: Tensor  # (row, head, n, rotary dim)
    whole: Tensor  # (row, head, token, rotary dim), or (row, token, head, rotary dim)
    token_axis: int  # of `whole`
    positions: Tensor  # (row, n)

    @property
    def returned(self) -> Tensor:
        """(row, head, n, rotary dim)."""
        return read_at(self.whole, self.positions, self.token_axis)

    def is_whole(self, final: Tensor) -> bool:
        """Whether a layer's final states are in the very memory that was returned."""
        whole = self.whole
        return (
            final.data_ptr() == whole.data_ptr()
            and final.shape == whole.shape
            and final.stride() == whole.stride()
            and final.dtype == whole.dtype
        )


Whole = Mapping[str, Rotated | None]
NOTHING_KNOWN: Whole = {}


@dataclass
class Recording:
    """Queries and keys by layer, float32 on the CPU.

    (row, head, query, dim) and (row, kv head, statement, dim).
    """

    key_at: Tensor  # (row, statement)
    query_at: Tensor  # (row, query)
    # Whether a model may change states in place after rotary: then memory tells nothing
    is_strict: bool = False
    queries: dict[int, Tensor] = field(default_factory=dict)
    keys: dict[int, Tensor] = field(default_factory=dict)
    # None: not the state that was rotated
    pre_queries: dict[int, Tensor | None] = field(default_factory=dict)
    pre_keys: dict[int, Tensor | None] = field(default_factory=dict)
    # What projections gave; empty unless they were asked for
    raw_queries: dict[int, Tensor | None] = field(default_factory=dict)
    raw_keys: dict[int, Tensor | None] = field(default_factory=dict)
    scalings: dict[int, float] = field(default_factory=dict)
    softcaps: dict[int, float | None] = field(default_factory=dict)
    biases: dict[int, Tensor] = field(default_factory=dict)  # (head, 1, token), ALiBi
    # Of the layer under way, all that was rotated in it, read as a "query" and as a "key"
    rotated: dict[str, list[Rotated]] = field(default_factory=dict)
    n_tokens: int | None = None  # of each row, in a pass that goes on from another
    layer: int | None = None  # under way; None where the model has no list of its layers
    # Layers that told other states a second time
    twice: set[int] = field(default_factory=set)
    # What projections gave lately: by (layer, "query" or "key"), the pieces of a head's dims
    projected: dict[tuple[int, str], dict[int, Tensor]] = field(default_factory=dict)

    @property
    def last_position(self) -> int:
        """The last token that is read."""
        return int(max(self.key_at.max(), self.query_at.max()))

    def note_rotation(self, which: str, given: Tensor, returned: Tensor, token_axis: int) -> None:
        """Called with what a rotary function was given and returned; `which`: "query" or "key".

        More than what becomes the layer's own states may be noted, for that is found again.
        """
        at = self.query_at if which == "query" else self.key_at
        returned = returned.clone() if self.is_strict else returned
        one = Rotated(read_at(given, at, token_axis), returned, token_axis, at)
        self.rotated.setdefault(which, []).append(one)

    def note_layer(
        self, layer: int, query: Tensor, key: Tensor, scaling: float, token_axis: int = 2
    ) -> None:
        """Called with a layer's final queries and keys.

        (row, head, token, dim) unless the token axis is 1. Keys may begin with those of an earlier
        pass that this one goes on from.
        """
        whole = {
            which: next((one for one in self.rotated.get(which, ()) if one.is_whole(final)), None)
            for which, final in (("query", query), ("key", key))
        }
        queries, earlier = read_at(query, self.query_at, token_axis), self.queries.get(layer)
        n_before = key.shape[token_axis] - query.shape[token_axis]
        keys = read_at(key, self.key_at + n_before, token_axis)
        self.note_read_layer(layer, queries, keys, scaling, whole)
        if earlier is not None and self.queries[layer] is not earlier:
            self.twice.add(layer)

    def note_read_layer(
        self,
        layer: int,
        queries: Tensor,
        keys: Tensor,
        scaling: float,
        whole: Whole = NOTHING_KNOWN,
    ) -> None:
        """As `note_layer`, with states that are cut to their positions already.

        `whole` has, for "query" and "key", what was rotated if they are that and nothing else.
        """
        rotated, self.rotated = self.rotated, {}
        if not rotated and layer in self.queries and torch.equal(queries, self.queries[layer]):
            return  # DiffLlama hands the same states to its attention function twice
        shared = self._layer_with(keys)
        self.queries[layer], self.keys[layer], self.scalings[layer] = queries, keys, scaling
        for which, states, before in (
            ("query", queries, self.pre_queries),
            ("key", keys, self.pre_keys),
        ):
            known = whole.get(which)
            found = rotated.get(which, [])
            before[layer] = _before(states, found) if known is None else known.given
        if shared is not None:
            self.pre_keys[layer] = self.pre_keys[shared]
        # Taken now, since layers may share a projection: the next one overwrites what it gave.
        for which, raw in (("query", self.raw_queries), ("key", self.raw_keys)):
            if pieces := self.projected.pop((layer, which), None):
                raw[layer] = torch.cat([pieces[number] for number in sorted(pieces)], dim=-1)

    def _layer_with(self, keys: Tensor) -> int | None:
        """The layer that has told the same keys, where layers share them (Gemma 3n)."""
        same = (one for one, told in self.keys.items() if told.shape == keys.shape)
        return next((one for one in same if torch.equal(self.keys[one], keys)), None)


def read_at(states: Tensor, positions: Tensor, token_axis: int) -> Tensor:
    """States read at (row, n) positions: (row, head, n, dim) float32 on the CPU.

    Args:
        states: (row, head, token, dim), or (row, token, head, dim) when the token axis is 1.
        positions: (row, n) indices into token.
        token_axis: 1 or 2.
    """
    by_token = states if token_axis == 1 else states.transpose(1, 2)
    rows = torch.arange(len(states), device=states.device)[:, None]
    return by_token[rows, positions.to(states.device)].transpose(1, 2).float().cpu()


def _before(final: Tensor, rotated: list[Rotated]) -> Tensor | None:
    """The state that became `final` by what was rotated in its layer.

    In a layer without positions it is `final` itself.
    """
    if not rotated:
        return final
    found = (_unrotated(final, one) for one in rotated)
    return next((state for state in found if state is not None), None)


def _unrotated(final: Tensor, rotated: Rotated) -> Tensor | None:
    """The state that became `final` when part of it was rotated.

    None when something else happened to it too. Rotary embedding may turn only the first or the
    last dims of a head, and one rotated key may serve all heads.
    """
    if rotated.given.shape[1] not in (1, final.shape[1]):
        return None
    if rotated.given.shape[-1] > final.shape[-1]:
        return None
    given, returned = (
        part.expand(*final.shape[:3], -1) for part in (rotated.given, rotated.returned)
    )
    n_dims, n_rotated = final.shape[-1], returned.shape[-1]
    if torch.equal(final[..., :n_rotated], returned):
        return torch.cat([given, final[..., n_rotated:]], dim=-1)
    if torch.equal(final[..., n_dims - n_rotated :], returned):
        return torch.cat([final[..., : n_dims - n_rotated], given], dim=-1)
    return None


def active() -> Recording | None:
    """The recording that is open on this thread."""
    return getattr(_active, "recording", None)


@contextmanager
def recording(key_at: Tensor, query_at: Tensor, is_strict: bool = False) -> Iterator[Recording]:
    """Open a recording on this thread.

    Args:
        key_at: (row, statement) indices into the row's tokens.
        query_at: (row, query) likewise.
        is_strict: compare what was rotated with final states by value, even in the same memory.
    """
    opened = Recording(key_at, query_at, is_strict)
    with filling(opened):
        yield opened


@contextmanager
def filling(recorded: Recording | None) -> Iterator[None]:
    """Have this thread's passes fill a recording, or none for a while."""
    before = active()
    _active.recording = recorded
    try:
        yield
    finally:
        _active.recording = before

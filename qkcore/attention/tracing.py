"""From which projections do a model's queries and keys come? Found by following values back.

In a pass over a short text every module's call is looked at. A layer's final states are looked for
among the columns of what modules gave: a norm hands on to what it was given, a rotary function
likewise, and a projection ends the search. Names of modules and layouts of fused weights are never
assumed, so whatever is found is what the model did.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from qkcore.attention.projections import Piece, Projected
from qkcore.attention.recording import NOTHING_KNOWN, Recording, Whole, active, filling, read_at
from qkcore.attention.rows import Rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

N_LOOKED_AT = 4  # tokens by which a head's first column is looked for, before all are compared
# Of what a projection gives, relative: how far its steps may differ (8-bit ones round), how long
# they must be, and how many of its outputs change with one input.
MAX_BENT, MIN_MOVED, MIN_CHANGED = 0.05, 0.01, 0.1


@dataclass(frozen=True, slots=True)
class _Call:
    """What a module was given and what it returned; of no module: a rotary function."""

    name: str
    module: nn.Module | None
    given: Tensor
    returned: Tensor
    # Of modules: is it a projection? Asked once, in whichever text a module is first called.
    known: dict[nn.Module, bool] = field(default_factory=dict)

    def layouts(self, n_tokens: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(token, column) given and returned: as they stand, and where heads come before tokens."""
        tensors = self.given.float().cpu(), self.returned.float().cpu()
        if all(one.numel() % n_tokens == 0 for one in tensors):
            given, returned = (one.reshape(n_tokens, -1) for one in tensors)
            yield given, returned
        if all(one.dim() == 4 and one.shape[2] == n_tokens for one in tensors):
            given, returned = (one.transpose(1, 2).reshape(n_tokens, -1) for one in tensors)
            yield given, returned


@dataclass(frozen=True, slots=True)
class Traced:
    """Where a layer's queries and keys come from, and what they were there."""

    projected: Projected
    queries: Tensor  # (head, token, dim) float32
    keys: Tensor  # (kv head, token, dim) float32


@dataclass
class _Following(Recording):
    """A recording that follows each layer's states back as soon as they are noted.

    At once, so that no more than one layer's calls are kept.
    """

    rounding: float = 0.0  # relative: OPT's queries are divided by what they were multiplied by
    known: dict[nn.Module, bool] = field(default_factory=dict)  # as in `_Call`
    calls: list[_Call] = field(default_factory=list)
    found: dict[int, Traced] = field(default_factory=dict)

    def note_rotation(self, which: str, given: Tensor, returned: Tensor, token_axis: int) -> None:
        """As in `Recording`; states that are normed after rotary are followed through it."""
        super().note_rotation(which, given, returned, token_axis)
        at = self.query_at if which == "query" else self.key_at
        states = [read_at(one, at, token_axis) for one in (given, returned)]
        self.calls.append(_Call("", None, given=states[0], returned=states[1]))

    def note_read_layer(
        self,
        layer: int,
        queries: Tensor,
        keys: Tensor,
        scaling: float,
        whole: Whole = NOTHING_KNOWN,
    ) -> None:
        """As in `Recording`, and the layer's projections are found."""
        super().note_read_layer(layer, queries, keys, scaling, whole)
        calls, self.calls = self.calls, []
        query, key = (
            _followed((final if before is None else before)[0], calls, self.rounding)
            for before, final in (
                (self.pre_queries[layer], self.queries[layer]),
                (self.pre_keys[layer], self.keys[layer]),
            )
        )
        # Falcon's and DiffLlama's states are noted twice, and found the first time.
        if query is not None and key is not None:
            places = Projected(layer, query.pieces, key.pieces)
            self.found[layer] = Traced(places, query.states, key.states)


def traced(
    model: "PreTrainedModel", rows: Rows, known: dict[nn.Module, bool]
) -> tuple[Traced, ...]:
    """The projections of every layer with heads, in order; nothing where one layer's are not found.

    Args:
        model: that `attach` has prepared.
        rows: one, with every position read.
        known: of modules of earlier texts, whether they are projections; added to.
    """
    rounding = 4 * torch.finfo(model.dtype).eps
    following = _Following(
        rows.key_at, rows.query_at, is_strict=True, rounding=rounding, known=known
    )
    inputs = {
        "input_ids": rows.tokens.to(model.device),
        "attention_mask": rows.is_token.long().to(model.device),
    }
    with _calls_of(model, following), filling(following), torch.inference_mode():
        model(**inputs, use_cache=False)
    if following.found.keys() != following.queries.keys():
        return ()
    return tuple(following.found[layer] for layer in sorted(following.found))


@contextmanager
def _calls_of(model: nn.Module, following: _Following) -> Iterator[None]:
    """While open, every call of one tensor to one tensor is kept."""

    def keeping(name: str) -> "torch.utils.hooks.RemovableHandle":
        def keep(module: nn.Module, args: tuple[Any, ...], result: object) -> None:
            is_plain = len(args) == 1 and isinstance(args[0], Tensor)
            if active() is following and is_plain and isinstance(result, Tensor):
                # Copies: a model may go on with the same memory (OLMo's clipping).
                given, returned = args[0].clone(), result.clone()
                following.calls.append(_Call(name, module, given, returned, following.known))

        return model.get_submodule(name).register_forward_hook(keep, prepend=True)

    handles = [keeping(name) for name, _ in model.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Found(NamedTuple):
    """The pieces of projections that queries or keys come from, and (head, token, dim) of them."""

    pieces: tuple[Piece, ...]
    states: Tensor


def _followed(states: Tensor, calls: Sequence[_Call], rounding: float) -> _Found | None:
    """The pieces of projections that became (head, token, dim) states."""
    n_tokens, n_dims = states.shape[1:]
    for number in reversed(range(len(calls))):
        call = calls[number]
        for given, returned in call.layouts(n_tokens):
            starts = _starts(states, returned, rounding)
            if starts is None:
                continue
            if _is_projection(call):
                before = _columns(returned, starts, n_dims)
                return _Found((Piece(call.name, starts, n_dims),), before)
            if given.shape == returned.shape:
                before = _columns(given, starts, n_dims)
                return _followed(before, calls[:number], rounding)
    return _in_parts(states, calls, rounding)


def _in_parts(states: Tensor, calls: Sequence[_Call], rounding: float) -> _Found | None:
    """As `_followed`, for heads that are put together from several projections.

    Latent attention takes a key's dims without position from one, those with it from another.
    """
    n_dims, done = states.shape[-1], 0
    outputs = [
        (call, returned)
        for call in calls
        for _, returned in list(call.layouts(states.shape[1]))[:1]
        if call.module is not None
    ]
    pieces: list[Piece] = []
    parts: list[Tensor] = []
    while done < n_dims:
        lengths = [_longest(states[0, :, done:], returned, rounding) for _, returned in outputs]
        n_best = max(lengths, default=0)
        if n_best == 0:
            return None
        call, returned = outputs[lengths.index(n_best)]
        part = states[..., done : done + n_best]
        starts = _starts(part, returned, rounding)
        if starts is None or not _is_projection(call):
            return None
        pieces.append(Piece(call.name, starts, n_best))
        parts.append(_columns(returned, starts, n_best))
        done += n_best
    return _Found(tuple(pieces), torch.cat(parts, dim=-1))


def _columns(values: Tensor, starts: Sequence[int], n_dims: int) -> Tensor:
    """(head, token, dim) of (token, column) values."""
    return torch.stack([values[:, start : start + n_dims] for start in starts])


def _starts(states: Tensor, values: Tensor, rounding: float) -> tuple[int, ...] | None:
    """At which column of (token, column) values each head's states stand, all of them together."""
    n_dims, n_windows = states.shape[-1], values.shape[1] - states.shape[-1] + 1
    if n_windows < 1:
        return None
    values, few = _clipped(values, states), slice(0, N_LOOKED_AT)
    # (head, column)
    is_first = _alike(values[None, few, :n_windows], states[:, few, :1], rounding).all(1)
    starts = []
    for head, columns in enumerate(is_first):
        for start in columns.nonzero().flatten().tolist():
            if bool(_alike(values[:, start : start + n_dims], states[head], rounding).all()):
                starts.append(start)
                break
        else:
            return None
    return tuple(starts)


def _longest(states: Tensor, values: Tensor, rounding: float) -> int:
    """How many of (token, dim) states stand side by side in (token, column) values."""
    values = _clipped(values, states)
    is_first = _alike(values, states[:, :1], rounding).all(0)
    best = 0
    for start in is_first.nonzero().flatten().tolist():
        n = min(values.shape[1] - start, states.shape[1])
        is_same = _alike(values[:, start : start + n], states[:, :n], rounding).all(0)
        best = max(best, int(is_same.long().cumprod(0).sum()))
    return best


def _clipped(values: Tensor, states: Tensor) -> Tensor:
    """Values within the range of states: OLMo and MPT may clip what their projections give."""
    return values.clamp(states.min(), states.max())


def _alike(ours: Tensor, theirs: Tensor, rounding: float) -> Tensor:
    return (ours - theirs).abs() <= rounding * theirs.abs()


def _is_projection(call: _Call) -> bool:
    """Is a module an affine map that mixes its inputs?"""
    module, given = call.module, call.given
    if module is None or not given.is_floating_point() or _hands_on(call):
        return False
    if module not in call.known:
        call.known[module] = _mixes(module, given)
    return call.known[module]


def _mixes(module: nn.Module, given: Tensor) -> bool:
    """Of x, 2x and 3x the steps are the same and not nothing; a norm's are nothing.

    One input alone changes many outputs; where each has its own factor, it changes one.
    """
    changed = given.clone()
    changed[..., 0] += given.abs().max()
    try:
        with filling(None):
            own, twice, thrice, other = (
                module(one).float() for one in (given, 2 * given, 3 * given, changed)
            )
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError):
        return False  # a module that answers in its place only is no plain projection
    first, second = twice - own, thrice - twice
    is_affine = bool((second - first).abs().max() <= MAX_BENT * thrice.abs().max())
    is_moved = bool(first.abs().max() > MIN_MOVED * own.abs().max())
    is_mixing = float((other != own).float().mean()) > MIN_CHANGED
    return is_affine and is_moved and is_mixing


def _hands_on(call: _Call) -> bool:
    """Does a module give what it was given? Dropout does, and norms that are switched off."""
    is_same_shape = call.given.shape == call.returned.shape
    return is_same_shape and torch.equal(call.given, call.returned)

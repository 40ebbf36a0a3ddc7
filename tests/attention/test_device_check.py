"""A device that computes something else than the CPU is refused at load.

No such device is needed: what computes on it is a function, and lies here.
"""

import pytest
import torch

from qkcore.attention import device_check
from qkcore.attention.device_check import check_device, logits_on
from qkcore.attention.geometry import UnsupportedModelError
from qkcore.attention.load import vouch_for
from tests.tiny import tiny_model, tiny_tokenizer


class OnDevice:
    """Computes as the CPU does, and then what the device makes of it; notes where it was asked."""

    def __init__(self, spoil):
        self.spoil, self.asked = spoil, []

    def __call__(self, model, tokens, device):
        self.asked.append(str(device))
        logits = logits_on(model, tokens, torch.device("cpu"))
        # Both are the CPU in a test; the device is asked first.
        return self.spoil(logits) if len(self.asked) == 1 else logits


@pytest.fixture
def compared(monkeypatch):
    """The CPU is among the devices that are not trusted."""
    monkeypatch.setattr(device_check, "COMPARED", ("cpu",))


def test_a_device_that_computes_as_the_cpu_does_is_used(compared):
    computes = OnDevice(lambda logits: logits * (1 + 1e-6))
    assert check_device(tiny_model("llama"), tiny_tokenizer(), computes) < 1e-5
    assert len(computes.asked) == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda logits: logits.roll(1, dims=0),  # as if strides were ignored
        lambda logits: logits + (torch.arange(len(logits)) == 40)[:, None],  # one token alone
        lambda logits: logits * float("nan"),
    ],
    ids=["another order", "one token", "not a number"],
)
def test_a_device_that_computes_something_else_is_refused_in_one_sentence(compared, spoil):
    with pytest.raises(
        UnsupportedModelError,
        match=r"^model type 'llama' gives other answers on cpu than on the CPU: its logits differ "
        r"by \S+ \(at most 1e-03 is rounding\); use --device cpu, or another version of torch$",
    ):
        check_device(tiny_model("llama"), tiny_tokenizer(), OnDevice(spoil))


def test_half_precision_may_round_more(compared):
    computes = OnDevice(lambda logits: logits * 1.01)
    model = tiny_model("llama")
    with pytest.raises(UnsupportedModelError):
        check_device(model, tiny_tokenizer(), computes)
    computes = OnDevice(lambda logits: logits * 1.01)
    assert check_device(model.bfloat16(), tiny_tokenizer(), computes) == pytest.approx(0.01, 0.1)


def test_a_model_that_reaches_less_far_than_the_text_is_asked_of_what_it_reaches(compared):
    assert check_device(tiny_model("gpt2", n_positions=8), tiny_tokenizer()) == 0


def test_devices_that_are_trusted_are_not_asked():
    def never(*_):
        pytest.fail("asked")

    assert check_device(tiny_model("llama"), tiny_tokenizer(), never) is None
    assert device_check.COMPARED == ("mps",)


def test_loading_asks_and_refuses(compared, monkeypatch):
    spoilt = OnDevice(lambda logits: -logits)
    monkeypatch.setattr(device_check.check_device, "__defaults__", (spoilt,))
    with pytest.raises(UnsupportedModelError, match="gives other answers on cpu"):
        vouch_for(tiny_model("llama"), tiny_tokenizer(), "tiny")
    assert len(spoilt.asked) == 2

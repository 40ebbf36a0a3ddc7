"""The part of a checkpoint that reads text, where others see or hear.

Says which class loads a checkpoint given text only, and makes that class leave its towers for
images, video and sound out before the weights are read: they are never in memory. Knows nothing of
where a checkpoint lies, nor whether its attention can be read.
"""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto

BETWEEN = re.compile(r"projector|connector")  # what turns a tower's states into a text's
KNOWN = (
    modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING,
    modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING,
)


class LeftOut(nn.Module):
    """Where a part was that text does not need."""

    device = torch.device("meta")  # some ask where it would be

    def forward(self, *_args: object, **_kwargs: object) -> None:
        """Refuse: this part's weights were not loaded.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("it needs its part for images or sound to read text")


def senses(config: PreTrainedConfig) -> tuple[str, ...]:
    """What a checkpoint takes in besides text, by its configuration: such as ("vision",).

    >>> from transformers import AutoConfig
    >>> senses(AutoConfig.for_model("gemma3")), senses(AutoConfig.for_model("qwen3"))
    (('vision',), ())
    """
    if "text_config" not in config.sub_configs:
        return ()
    return tuple(
        name.removesuffix("_config")
        for name in sorted(config.sub_configs)
        if name != "text_config" and getattr(config, name, None) is not None
    )


def text_class(config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    """The class that loads a checkpoint with senses as a causal language model for text.

    None where AutoModelForCausalLM does: it has no senses, or its type has a class for its text
    part, or none is known.
    """
    if not senses(config):
        return None
    known: list[Any] = [mapping[type(config)] for mapping in KNOWN if type(config) in mapping]
    found = known[0] if known else _named_class(config)
    if found is None or found.config_class is not type(config):
        return None
    return _text_only(found)


def _named_class(config: PreTrainedConfig) -> Any:  # noqa: ANN401 -- one of transformers' classes
    """The class that the checkpoint itself names, if it is one of transformers' and generates."""
    import transformers

    named: Any = getattr(transformers, (config.architectures or [""])[0], None)
    is_class = isinstance(named, type) and issubclass(named, PreTrainedModel)
    return named if is_class and issubclass(named, GenerationMixin) else None


def _text_only(complete: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """The class, made without its towers; for transformers, still the class of that name."""

    def build(self: PreTrainedModel, *args: Any, **kwargs: Any) -> None:
        complete.__init__(self, *args, **kwargs)
        ignored = set(self._keys_to_ignore_on_load_unexpected or ())
        for name in _towers(self):
            self.set_submodule(name, LeftOut())
            ignored.add(rf"^{re.escape(name)}\.")
        for sense in senses(self.config):  # nobody is left whom these would configure
            setattr(self.config, f"{sense}_config", None)
        self._keys_to_ignore_on_load_unexpected = ignored

    # Renaming of older checkpoints' weights goes by the class's name and module.
    return type(
        complete.__name__, (complete,), {"__init__": build, "__module__": complete.__module__}
    )


def _towers(model: PreTrainedModel) -> list[str]:
    """Names of the models within a model, and of what leads from them, that hold no word of text.

    >>> import torch
    >>> from transformers import AutoConfig, AutoModelForImageTextToText
    >>> with torch.device("meta"):
    ...     model = AutoModelForImageTextToText.from_config(AutoConfig.for_model("gemma3"))
    >>> _towers(model)
    ['model.vision_tower', 'model.multi_modal_projector']
    """
    words = {model.get_input_embeddings(), model.get_output_embeddings()}

    def within(module: nn.Module, prefix: str) -> Iterator[str]:
        for name, child in module.named_children():
            if not isinstance(child, PreTrainedModel):
                if BETWEEN.search(name):
                    yield prefix + name
            elif words.isdisjoint(child.modules()):
                yield prefix + name
            else:
                yield from within(child, f"{prefix}{name}.")

    return list(within(model, ""))

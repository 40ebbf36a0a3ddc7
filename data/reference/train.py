"""Train the bundled model again from nothing.

    python data/reference/train.py

The model answers prompts; nothing else of it is kept. While it learns, temporary readouts ask its
hidden states for what each layer should know (deep supervision): after layer 0 whose premise this
is and whom the statement is about, after each further layer what one more premise says of that.
When one look-up is learned, its layer is copied into the layers above as their new start. In the
last stage the temporary losses are gone. A checkpoint is written every 250 updates; started again,
the script goes on from it, and the data of an update depend on its number only.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from lessons import IGNORE, N_HOPS, N_KINDS, Batch, Plan, Teacher  # noqa: E402
from vocabulary import MAX_POSITIONS, build_tokenizer  # noqa: E402

SEED = 1
WIDTH, N_LAYERS, N_HEADS, INNER = 64, 8, 4, 128
BATCH_SIZE, N_DRAWN = 16, 4  # lessons in a batch; batches drawn together and sorted by length
WARM_UP, REPORT_EVERY, SAVE_EVERY = 50, 50, 250
N_COPIED = 2  # layers that are copied upwards when they have learned their look-up, 1 and then 2
LEARNED = 0.4  # nats above the best possible; a look-up below this is copied upwards


@dataclass(frozen=True, slots=True)
class Stage:
    """Some updates on one plan.

    The learning rate goes from the first to the second value, linearly.
    """

    n_updates: int
    plan: Plan
    learning_rate: tuple[float, float]
    # Weight of the temporary losses, at the beginning and the end
    temporary: tuple[float, float] = (0.5, 0.5)
    # is the answer, too, asked for at the statement's last tokens after the upper layers?
    asks_verdict: bool = False


TOLD = Plan((0, 3), (0, 5), n_aside=2, share_told=0.3)
HARD = Plan((0, 3), (1, 5), n_aside=2, share_told=0.2, narrows=True)
SCHEDULE = [
    Stage(2750, Plan((0, 2), (0, 2)), (4e-3, 4e-3)),
    Stage(750, Plan((0, 3), (0, 5)), (3e-3, 3e-4)),
    Stage(1100, Plan((0, 3), (0, 5)), (2e-3, 1e-4)),
    # The next two were cut short when the one after them was ready; their rates are those they had
    # come to.
    Stage(1400, TOLD, (2e-3, 2e-3 - 7e-4 / 3)),
    Stage(1000, TOLD, (1.8e-3, 1.8e-3 - 6e-3 / 11), asks_verdict=True),
    Stage(1600, HARD, (1.8e-3, 6e-4), asks_verdict=True),
    Stage(600, HARD, (6e-4, 3e-5), (0.0, 0.0)),
]


class Pupil(nn.Module):
    """The model, and the readouts that are dropped when training ends."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.lm = LlamaForCausalLM(config(tokenizer))
        self.kind, self.owner = nn.Linear(WIDTH, N_KINDS), nn.Linear(WIDTH, N_KINDS)
        self.candidates = [tokenizer(text).input_ids[0] for text in (" false", " true")]
        start_alike(self.lm)

    def losses(self, batch: Batch, asks_verdict: bool) -> tuple[Tensor, Tensor, Tensor]:
        """One forward pass over a batch.

        Returns:
            loss of answers and of the text after them; (2 + N_HOPS + 1,) temporary losses; (lesson,
            place) whether an answer is right, meaningful at answers only.
        """
        mask = torch.zeros(batch.mask.shape).masked_fill(
            ~batch.mask, torch.finfo(torch.float32).min
        )
        output = self.lm.model(
            input_ids=batch.ids,
            position_ids=batch.positions,
            attention_mask=mask,
            output_hidden_states=True,
            use_cache=False,
        )
        asked, premise = batch.answers != IGNORE, batch.subjects != IGNORE
        logits = self.lm.lm_head(output.last_hidden_state[asked])
        answer = F.cross_entropy(logits, torch.tensor(self.candidates)[batch.answers[asked]])
        goes_on = batch.following != IGNORE
        if goes_on.any():
            answer = answer + F.cross_entropy(
                self.lm.lm_head(output.last_hidden_state[goes_on]), batch.following[goes_on]
            )
        after = [F.rms_norm(state, (WIDTH,)) for state in output.hidden_states[1:]]
        temporary = [
            F.cross_entropy(self.owner(after[0][premise]), batch.subjects[premise]),
            F.cross_entropy(self.kind(after[0][premise]), batch.objects[premise]),
        ]
        rows, places = batch.tails.T
        for state, reached in zip(after, batch.reached, strict=False):
            log_shares = self.kind(state[rows, places]).log_softmax(-1)
            temporary.append(F.kl_div(log_shares, reached, reduction="batchmean"))
        if asks_verdict:
            upper = torch.stack(
                [self.lm.model.norm(state[rows, places]) for state in output.hidden_states[-4:-1]]
            )
            verdict = self.lm.lm_head(upper)[..., self.candidates].flatten(0, 1)
            temporary.append(F.cross_entropy(verdict, batch.verdicts.repeat(len(upper))))
        is_right = torch.zeros(batch.answers.shape, dtype=torch.bool)
        is_right[asked] = logits[:, self.candidates].argmax(-1) == batch.answers[asked]
        return answer, torch.stack(temporary), is_right


def config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """The model's shape, for this vocabulary."""
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=N_HEADS,
        num_key_value_heads=N_HEADS,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )


@torch.no_grad()
def start_alike(lm: LlamaForCausalLM) -> None:
    """Begin with attention that looks for likeness and passes on what it finds.

    In every layer but the first. Queries begin nearly equal to keys, and the output projection as
    the transpose of the values' ("mimetic initialisation", arXiv 2305.09828).
    """
    lm.model.embed_tokens.weight.normal_(0, 0.05)
    for layer in lm.model.layers[1:]:
        attention = layer.self_attn
        shared = torch.randn(WIDTH, WIDTH) / WIDTH**0.5
        attention.q_proj.weight.copy_(shared)
        attention.k_proj.weight.copy_(shared + 0.1 * torch.randn(WIDTH, WIDTH) / WIDTH**0.5)
        values = nn.init.orthogonal_(torch.empty(WIDTH, WIDTH)) * 0.1**0.5
        attention.v_proj.weight.copy_(values)
        attention.o_proj.weight.copy_(values.T)


def copy_upwards(pupil: Pupil, optimizer: torch.optim.Optimizer, layer: int) -> None:
    """Give all layers between `layer` and the last one its weights.

    And their optimizer a clean slate.
    """
    source = {
        name: value.clone() for name, value in pupil.lm.model.layers[layer].state_dict().items()
    }
    for above in pupil.lm.model.layers[layer + 1 : N_HOPS + 1]:
        above.load_state_dict(source)
        for weight in above.parameters():
            for name, value in optimizer.state[weight].items():
                if name != "step":
                    value.zero_()


def place_in(stages: list[Stage], update: int) -> tuple[Stage, float] | None:
    """The stage of an update and how far it has come in it (0 to 1), or None after the last."""
    for stage in stages:
        if update < stage.n_updates:
            return stage, update / stage.n_updates
        update -= stage.n_updates
    return None


def train(stages: list[Stage], checkpoint: Path) -> tuple[Pupil, PreTrainedTokenizerFast]:
    """All stages, from the checkpoint on if there is one."""
    torch.manual_seed(SEED)
    tokenizer = build_tokenizer()
    teacher, pupil = Teacher(tokenizer), Pupil(tokenizer)
    optimizer = torch.optim.AdamW(pupil.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    update, n_copied, seconds = 0, 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint)  # noqa: TID251 -- its own checkpoint
        pupil.load_state_dict(saved["pupil"])
        optimizer.load_state_dict(saved["optimizer"])
        update, n_copied, seconds = saved["update"], saved["n_copied"], saved["seconds"]
    report, batches, begin = Report(), [], time.monotonic() - seconds
    while place := place_in(stages, update):
        stage, done = place
        if update % N_DRAWN == 0 or not batches:
            batches = teacher.batches(
                stage.plan, BATCH_SIZE, N_DRAWN, f"lessons {SEED} {update // N_DRAWN}"
            )
        batch = batches[update % N_DRAWN]
        between = [
            (1 - done) * first + done * last
            for first, last in (stage.learning_rate, stage.temporary)
        ]
        optimizer.param_groups[0]["lr"] = between[0] * min(1, (update + 1) / WARM_UP)
        answer, temporary, is_right = pupil.losses(batch, stage.asks_verdict)
        loss = answer + between[1] * temporary.sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(pupil.parameters(), 1.0)
        optimizer.step()
        update += 1
        report.add(batch, answer, temporary, is_right)
        if update % REPORT_EVERY == 0:
            print(f"{update:6d} {(time.monotonic() - begin) / 60:6.1f} min  {report}", flush=True)
            layer = n_copied + 1
            if layer <= N_COPIED and between[1] and report.look_up(layer) < LEARNED:
                copy_upwards(pupil, optimizer, layer)
                n_copied = layer
                print(
                    f"layer {layer} has learned its look-up and is copied into the layers above",
                    flush=True,
                )
            report = Report()
        if update % SAVE_EVERY == 0:
            state = {
                "pupil": pupil.state_dict(),
                "optimizer": optimizer.state_dict(),
                "update": update,
            }
            save(state | {"n_copied": n_copied, "seconds": time.monotonic() - begin}, checkpoint)
    return pupil, tokenizer


class Report:
    """Means over some updates, for the log and for the decision to copy."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._right: dict[int, list[float]] = {}

    def add(self, batch: Batch, answer: Tensor, temporary: Tensor, is_right: Tensor) -> None:
        """Note one update."""
        self._losses.append(torch.cat([answer[None], temporary]).detach())
        for steps in range(N_HOPS):
            self._right.setdefault(steps, []).extend(is_right[batch.steps == steps].tolist())

    def look_up(self, layer: int) -> float:
        """Mean loss of what `layer` should know at the statements' ends."""
        return torch.stack(self._losses).mean(0)[3 + layer].item()

    def __str__(self) -> str:
        answer, owner, kind, *hops = torch.stack(self._losses).mean(0).tolist()
        shares = " ".join(f"{s}:{100 * sum(r) / len(r):.0f}%" for s, r in self._right.items() if r)
        look_ups = " ".join(f"{hop:.2f}" for hop in hops)
        return (
            f"answer {answer:.2f}  premise {owner:.2f} {kind:.2f}  look-ups {look_ups}  right by "
            f"steps {shares}"
        )


def save(state: dict, path: Path) -> None:
    """Replace the file in one step: what is there is whole."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def main() -> None:
    """Train, and save the model and its tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--checkpoint", type=Path, default=HERE / "checkpoint.pt", help="delete it to begin anew"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the finished model")
    parser.add_argument(
        "--threads", type=int, default=1, help="the matrices are small; more gain little"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pupil, tokenizer = train(SCHEDULE, arguments.checkpoint)
    pupil.lm.generation_config = GenerationConfig.from_model_config(pupil.lm.config)
    pupil.lm.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()

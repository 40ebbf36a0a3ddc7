"""Effects of heads as they were given, beside every control."""

import pandas as pd

from qkcore.charts.effects import effect_chart, switched_off_strip
from tests.charts.test_curves import rows_of

EFFECTS = pd.DataFrame(
    {
        "k": [1, 5],
        "heads": ["L15 H7", "L15 H7, L17 H8, L1 H1, L2 H2, L3 H3"],
        "change": [-0.037, 0.01],
        "change_low": [-0.06, -0.02],
        "change_high": [-0.015, 0.04],
        "control_low": [-0.03, -0.06],
        "control_high": [0.017, 0.05],
        "n_controls": [20, 20],
        "n_as_harmful": [0, 12],
        "p": [1 / 21, 13 / 21],
    }
)
CONTROLS = pd.DataFrame({"k": [1, 1, 5], "change": [-0.03, 0.02, -0.06]})


def test_each_number_of_heads_has_a_row_with_its_effect_and_its_controls():
    chart = effect_chart(EFFECTS, CONTROLS, "Change of AUC")
    rows = rows_of(chart, "change_low")
    assert rows["off"].tolist() == ["1 head", "5 heads"]
    assert rows["text"].tolist() == ["−0.037 (−0.06 to −0.015)", "+0.01 (−0.02 to +0.04)"]
    assert rows["rank"].tolist() == ["0 of 20 (p = 0.048)", "12 of 20 (p = 0.619)"]
    frames = [layer.data for layer in chart.layer if isinstance(layer.data, pd.DataFrame)]
    drawn = [frame for frame in frames if len(frame) == len(CONTROLS)]
    assert drawn[0]["off"].tolist() == ["1 head", "1 head", "5 heads"]
    spec = chart.to_dict()
    titles = {layer["encoding"]["x"].get("axis", {}).get("title") for layer in spec["layer"]}
    assert titles == {"Change of AUC"}


def test_the_strip_of_one_puzzle_has_the_model_the_head_and_the_others():
    leads = pd.DataFrame(
        {
            "who": ["model", "head", "control", "control"],
            "name": ["nothing", "L15 H7", "L15 H0", "L15 H1"],
            "lead": [1.5, -0.2, 1.4, 1.6],
            "answer": ["true", "false", "true", "true"],
        }
    )
    strip = switched_off_strip(leads, "Lead of true")
    assert "with heads switched off one at a time" in strip.usermeta["print"]["title"]
    rows = rows_of(strip, "lead")
    assert rows["row"].tolist() == ["as it is", "this head off", *["other heads off"] * 2]
    assert rows["text"].tolist() == ["+1.5", "−0.2", "+1.4", "+1.6"]

import io
import re
from itertools import pairwise

import pandas as pd
import pytest
from PIL import Image
from pypdf import PdfReader

from qkcore.charts.curves import RULE, difficulty_curves
from qkcore.charts.grids import head_grid
from qkcore.charts.paper import (
    CATEGORICAL,
    COLUMN,
    DIVERGING,
    PAGE,
    for_paper,
    paper_figure,
    picture,
    text_width,
    wrapped,
)


def curves():
    rows = [(who, steps, 0.7, 0.6, 0.8, 40) for who in ("L1 H2", "model", RULE) for steps in (1, 2)]
    frame = pd.DataFrame(rows, columns=["who", "steps", "accuracy", "low", "high", "n"])
    luck = pd.DataFrame({"steps": [1, 2], "q95": [0.6, 0.6]})
    return difficulty_curves(frame, luck, 0.5, "L1 H2", rule="contains <not>")


def grid(n_layers=24):
    rows = [(layer, head) for layer in range(n_layers) for head in range(4)]
    heads = pd.DataFrame(rows, columns=["layer", "head"]).assign(
        accuracy=0.5, low=0.4, high=0.6, n=50, is_above_luck=False, constant=pd.NA
    )
    heads.loc[0, "constant"] = 1
    return head_grid(heads, 0.5, (3, 1))


@pytest.mark.parametrize("make", [curves, grid])
@pytest.mark.parametrize("width", [COLUMN, PAGE])
def test_all_type_is_of_8_points_at_the_figure_s_width(make, width):
    svg = paper_figure(make(), about="tiny on made-up", width=width)
    assert f'width="{width}in"' in svg
    assert f'viewBox="0 0 {72 * width:.1f} ' in svg
    sizes = set(re.findall(r'font-size="([\d.]+)(?:px)?"', svg))
    assert sizes == {"8"}
    # What Vega-Lite drew stands in its own size
    found = re.search(r'<svg x=\S+ y=\S+ width="(\S+)" height="\S+" viewBox="(.*?)"', svg)
    inner, box = found.groups()
    assert float(inner) == pytest.approx(float(box.split()[2]), abs=0.1)
    assert float(inner) <= 72 * width + 1


def test_a_pdf_and_a_png_are_as_large_as_the_figure():
    svg = paper_figure(curves())
    height = float(re.search(r'height="([\d.]+)in"', svg)[1])
    (page,) = PdfReader(io.BytesIO(picture(svg, "pdf"))).pages
    assert float(page.mediabox.width) / 72 == pytest.approx(COLUMN, abs=0.02)
    with Image.open(io.BytesIO(picture(svg, "png"))) as image:
        assert image.width / 600 == pytest.approx(COLUMN, abs=0.02)
        assert image.height / 600 == pytest.approx(height, abs=0.02)


def test_a_figure_names_model_and_set_and_all_its_marks():
    svg = paper_figure(curves(), about="a & b on <set>", note="Chance 50 %.")
    page = PdfReader(io.BytesIO(picture(svg, "pdf"))).pages[0].extract_text()
    for words in (
        "Accuracy of L1 H2 by steps",
        "a & b on <set>",
        "chance, 50.0",
        'surface rule "contains <not>"',
        "luck line",
        "95 % interval",
        "Chance 50 %.",
    ):
        assert words in page.replace("\xa0", " "), words


def lightness(colour):
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_the_scale_of_numbers_darkens_all_along_so_that_grey_keeps_its_order():
    found = [lightness(colour) for colour in DIVERGING]
    assert all(one - other > 3 for one, other in pairwise(found)), found


def test_names_differ_by_at_least_a_seventh_of_the_greys():
    found = sorted(lightness(CATEGORICAL[i]) for i in (0, 1, 2, 4))
    assert min(b - a for a, b in pairwise(found)) > 255 / 7


def test_a_ring_is_black_on_white():
    spec = for_paper(grid().to_dict(), 72 * COLUMN)
    rings = [one["mark"]["stroke"] for one in spec["layer"] if one["mark"].get("filled") is False]
    assert rings == ["white", "black"]


def test_a_grid_of_many_layers_is_no_longer_than_a_column_is_wide():
    spec = for_paper(grid(80).to_dict(), 72 * COLUMN)
    assert spec["height"] <= 1.1 * spec["width"]


def test_lines_hold_what_fits_and_long_words_are_broken():
    lines = wrapped(f"one two {'x' * 200}", 100)
    assert all(text_width(line) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == f"onetwo{'x' * 200}"

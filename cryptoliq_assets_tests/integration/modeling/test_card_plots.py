"""SVG plots of the model card: gaps, bar lengths, and any values."""

import base64
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from cryptoliq_assets.core.svg import bar_plot, line_plot, svg_as_markdown


def test_a_plot_line_has_a_gap_where_a_value_is_missing():
    plot = line_plot([0, 1, 2, 3, 4], {"a": [1.0, 2.0, np.nan, 3.0, 4.0]}, title="t")
    assert ElementTree.fromstring(plot) is not None
    assert plot.count("<polyline") == 2


def test_bar_lengths_are_proportional_to_their_values():
    plot = bar_plot({"one": 1.0, "two": 2.0, "none": np.nan, "minus": -1.0}, title="t", mark=1.5)
    widths = [float(width) for width in re.findall(r'<rect x="[\d.]+" y="\d+" width="([\d.]+)"', plot)]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)
    assert widths[2] == pytest.approx(widths[0], abs=0.2)
    assert len(widths) == 3
    assert ">–<" in plot
    assert plot.count("stroke-dasharray") == 1


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.5], [1e-12, 1e12], [np.nan, np.nan], [-3.0, -2.0]])
def test_a_plot_of_any_values_is_well_formed(values):
    for plot in (
        line_plot(list(range(len(values))), {"a": values, "b": values}, title="<&>", diagonal=True, points=True),
        line_plot([f"d{i}" for i in range(len(values))], {"a": values}, title="t"),
        bar_plot({f"<{i}>": value for i, value in enumerate(values)}, title="t", mark=0.9, logarithmic=True),
    ):
        ElementTree.fromstring(plot)
        assert "nan" not in plot.replace("<title>", "")
        assert "inf" not in plot


def test_lines_of_a_different_length_are_rejected():
    with pytest.raises(ValueError, match="a has 1 values for 2 x values"):
        line_plot([1, 2], {"a": [1.0]}, title="t")


def test_an_image_is_the_encoded_plot():
    plot = bar_plot({"é": 1.0}, title="t")
    image = svg_as_markdown(plot, name="bars")
    assert base64.b64decode(image.split("base64,")[1].removesuffix(")")).decode() == plot

"""Images for people."""

from __future__ import annotations

import numpy as np

from facevalue.explanations.overlay import coloured, overlay, side_by_side


def test_colours_equal_matplotlibs():
    import matplotlib as mpl

    values = np.linspace(0, 1, 256)
    assert np.abs(coloured(values, "turbo") - 255 * mpl.colormaps["turbo"](values)[:, :3]).max() <= 0.5


def test_low_heat_shows_the_image_and_high_heat_the_colour():
    pixels = np.full((16, 16, 3), 90, np.uint8)
    heat = np.zeros((16, 16))
    heat[4, 4] = 1
    laid = overlay(pixels, heat, strength=1)
    assert (laid[0, 0] == 90).all()
    assert (laid[4, 4] == coloured(np.array(1.0), "turbo")).all()


def test_sheet_has_both_and_room_for_the_caption():
    pixels = np.zeros((300, 300, 3), np.uint8)
    plain = side_by_side(pixels, np.zeros((300, 300)), "")
    assert plain.size == (300 * 2 + 3 * 12, 300 + 2 * 12)
    captioned = side_by_side(pixels, np.zeros((300, 300)), "face, 97.3%", "gradcam for face")
    assert captioned.height > plain.height

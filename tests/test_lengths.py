"""Lengths with units, as options take them."""

import pytest

from jaxhsi.config.lengths import length_in_metres


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        (0.5, 0.5),
        ("0.5", 0.5),
        ("0.5mm", 0.0005),
        ("0.5 mm", 0.0005),
        ("5e-1MM", 0.0005),
        ("500um", 0.0005),
        ("500 µm", 0.0005),
        ("500 microns", 0.0005),
        ("3cm", 0.03),
        ("10 m", 10.0),
        ("10 metres", 10.0),
        ("1.5km", 1500.0),
        ("1 ft", 0.3048),
        ("2 feet", 0.6096),
        (None, None),
    ],
)
def test_units(text, metres):
    assert length_in_metres("--pixel_size", text) == pytest.approx(metres)


@pytest.mark.parametrize("text", ["mm", "0.5mmm", "a", "1.2.3m", "nan", "", "5 5 m"])
def test_what_is_no_length(text):
    with pytest.raises(ValueError, match=r"--pixel_size .*is no length; give metres"):
        length_in_metres("--pixel_size", text)


@pytest.mark.parametrize("text", ["0", "-1mm", 0.0])
def test_lengths_out_of_range(text):
    with pytest.raises(ValueError, match="is out of range; give a length above 0"):
        length_in_metres("--pixel_size", text)

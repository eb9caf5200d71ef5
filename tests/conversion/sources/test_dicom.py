"""Positions of the slices of a DICOM series, and files that are damaged."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nnunet_paseg.conversion.sources.dicom import ORIENTATION, POSITION, check_positions, find_series, read_structures
from nnunet_paseg.conversion.sources.dicom_masks import read_json
from nnunet_paseg.errors import PasegError
from tests.conversion.commands.test_vs import scan
from tests.dicom_files import write_series, write_structures

FOLDER = Path("series")
SPACINGS = st.floats(1e-3, 10)
TURNS = st.lists(st.floats(-180, 180), min_size=3, max_size=3)


def headers(spacing, turn=(0, 0, 0), tilt=0.0, number=12):
    """Slices of a turned volume, each shifted along its rows by a gantry tilt in degrees."""
    axes = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    step = spacing * (axes[2] + np.tan(np.radians(tilt)) * axes[1])
    orientation = "\\".join(f"{value:.8f}" for value in axes[:2].ravel())
    return [
        {ORIENTATION: orientation, POSITION: "\\".join(f"{value:.8f}" for value in n * step)} for n in range(number)
    ]


def refused(slices, message):
    with pytest.raises(PasegError, match=message):
        check_positions(slices, FOLDER)


@given(SPACINGS, TURNS)
def test_evenly_spaced_slices_are_taken_at_any_spacing_and_orientation(spacing, turn):
    check_positions(headers(spacing, turn), FOLDER)
    check_positions(headers(spacing, turn)[::-1], FOLDER)


@given(SPACINGS, TURNS, st.floats(1, 30), st.sampled_from((-1, 1)))
def test_a_gantry_tilt_is_named(spacing, turn, tilt, sign):
    refused(headers(spacing, turn, sign * tilt), rf"series: the slices are shifted .* gantry tilt of {tilt:.1f}"[:60])


@given(SPACINGS, TURNS, st.integers(1, 10))
def test_a_missing_slice_is_named(spacing, turn, gone):
    slices = headers(spacing, turn)
    refused(
        slices[:gone] + slices[gone + 1 :], rf"slices {gone - 1} and {gone} of 11 are .* apart.*: slices are missing"
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (POSITION, "a\\b\\c", "the position of a slice is no number"),
        (POSITION, "1\\2", "the position of a slice is no number"),
        (POSITION, "nan\\0\\0", "the position of a slice is no number"),
        (POSITION, "", "a slice has no position"),
        (ORIENTATION, "1\\0\\0", "the position of a slice is no number"),
        (ORIENTATION, "0\\1\\0\\1\\0\\0", "the slices have different orientations"),
    ],
)
def test_positions_that_are_none(key, value, message):
    slices = headers(1.5)
    slices[4] = {**slices[4], key: value}
    refused(slices, message)


def test_slices_at_one_position():
    refused(headers(1.5)[:1] * 5, "several slices have the same position")


@pytest.mark.parametrize("index", [0, 3, -1])
def test_a_truncated_slice_is_refused(tmp_path, index):
    """GDCM leaves it out without a word; at either end of the series nobody would miss it."""
    write_series(scan(1), tmp_path, description="t2_x", number=1)
    [series] = find_series(tmp_path)
    file = series.files[index]
    file.write_bytes(file.read_bytes()[:-500])
    [series] = find_series(tmp_path)
    with pytest.raises(PasegError, match=rf"{file.name} is a slice of the series and cannot be read: download it"):
        series.read()


@given(data=st.data())
def test_damaged_structure_sets_cost_one_line(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("structures")
    write_structures(folder / "a.dcm", "1.2.3", {"TV": [np.arange(12.0).reshape(4, 3)]})
    content = bytearray((folder / "a.dcm").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "a.dcm").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    message = ""
    try:
        read_structures(folder / "a.dcm")
    except PasegError as error:
        message = str(error)
    assert not message or (str(folder / "a.dcm") in message and len(message.splitlines()) == 1)


@pytest.mark.parametrize(
    "content", ["[" * 100_000, [1], {"a": 1}, [{"structure_name": 1, "LPS_contour_points": [1]}], None]
)
def test_contours_of_another_shape(tmp_path, content):
    file = tmp_path / "contours.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(PasegError, match=r"contours\.json contains no contours"):
        read_json(file)

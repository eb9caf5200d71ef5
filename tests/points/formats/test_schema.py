"""3D Slicer saves a description of the columns next to every table; it is no point file."""

import pytest

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import find_case_files
from nnunet_paseg.points.formats import point_files, read_points
from tests.points.formats import clicks

SCHEMA = '"columnName","type"\n"label","string"\n"l","double"\n"p","double"\n"s","double"\n"defined","bit"\n'


@pytest.mark.parametrize("suffix", ["csv", "tsv", "CSV"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_schemas_are_skipped(tmp_path, suffix, is_folder):
    images, points = tmp_path / "images", tmp_path / "points"
    folder, stem = (points / "case_1", "F") if is_folder else (points, "case_1")
    images.mkdir()
    folder.mkdir(parents=True)
    (images / "case_1.nii.gz").touch()
    table = clicks.FILES[f"a.{suffix.lower()}"](folder / f"saved.{suffix.lower()}").rename(folder / f"{stem}.{suffix}")
    schema = folder / f"{stem}.schema.{suffix}"
    schema.write_text(SCHEMA, encoding="utf-8")
    (case,) = find_case_files(images, points)
    assert case.identifier == "case_1"
    assert case.point_file() == (folder if is_folder else table)
    assert clicks.canonical(read_points(case.point_file(), clicks.GRID, ["tumor"])) == clicks.EXPECTED
    # Without its table it is a table that no format explains.
    table.unlink()
    if is_folder:
        assert point_files(folder) == [schema]
    with pytest.raises(PasegError, match="which match no format"):
        read_points(schema, clicks.GRID, ["tumor"])

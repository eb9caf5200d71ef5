"""Bad cases and folders: each is named with its file and what to do, and good cases are expanded."""

import re

import pytest

from tests.expansion.conftest import contents, expand, write_case

pytestmark = pytest.mark.usefixtures("no_sheet")


@pytest.fixture
def folder(tmp_path):
    write_case(tmp_path, "good")
    return tmp_path


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def moved(path):
    """Shift all points along x by half a metre."""
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    column = header.split(",").index("x_lps_mm")
    cells = [row.split(",") for row in rows]
    for row in cells:
        row[column] = str(float(row[column]) + 500)
    path.write_text("\n".join([header, *map(",".join, cells)]) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "images/bad.nii.gz").unlink(), r"Case bad: .*images contains no image for bad\.csv: add it"),
        (lambda f: (f / "points/bad.csv").unlink(), "Case bad has no points: add a point file named after the image"),
        (
            lambda f: (f / "images/bad.nii.gz").rename(f / "images/bad_0001.nii.gz"),
            r"Case bad lacks channel 0000 \(found 0001\): add the file",
        ),
        (
            lambda f: cut(f / "images/bad.nii.gz"),
            r"Case bad: .*bad\.nii\.gz is truncated or damaged .*: copy or export",
        ),
        (
            lambda f: (f / "images/bad.nii.gz").write_text("no image", encoding="utf-8"),
            r"Case bad: Cannot read the image .*bad\.nii\.gz \(it has no NIfTI header\): copy or export it again",
        ),
        (
            lambda f: [(f / "points/bad.csv").unlink(), (f / "points/bad").mkdir()],
            "Case bad has no points: add a point file named after the image",
        ),
        (
            lambda f: (f / "points/bad.csv").write_text(
                (f / "points/bad.csv").read_text(encoding="utf-8").replace("tumor", "tumour"), encoding="utf-8"
            ),
            r"Case bad: .*bad\.csv.*'tumour'.*tumor",
        ),
        (lambda f: moved(f / "points/bad.csv"), r"Case bad: .*bad\.csv: A point of an .* lies outside the image"),
        (
            lambda f: (f / "points/bad.mrk.json").write_text("{}", encoding="utf-8"),
            r"Case bad has 2 point files \(bad\.csv, bad\.mrk\.json\): keep one",
        ),
    ],
)
def test_a_bad_case_costs_one_line(folder, capsys, spoil, message):
    write_case(folder, "bad")
    spoil(folder)
    assert expand(folder) == 2
    shown = capsys.readouterr()
    (line,) = [line for line in shown.err.splitlines() if "error" in line]
    assert re.match(f"paseg: error: {message}", line)
    assert "1 case, 1 target" in shown.out
    assert "1 bad case" in shown.out
    assert [*contents(folder / "out")] == ["good.nii.gz"]


def test_all_bad_cases_are_named(folder, capsys):
    for case in ("one", "two"):
        write_case(folder, case)
        cut(folder / "images" / f"{case}.nii.gz")
    write_case(folder, "three")
    (folder / "images" / "three.nii.gz").unlink()
    assert expand(folder) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert [re.search(r"Case (\w+)", line)[1] for line in errors] == ["one", "three", "two"]


def test_whatever_an_image_raises_concerns_its_case_alone(folder, capsys, monkeypatch):
    write_case(folder, "bad")
    from nnunet_paseg.expansion import case

    read_image = case.read_image

    def fail(path):
        if path.name == "bad.nii.gz":
            raise OverflowError("no image today")
        return read_image(path)

    monkeypatch.setattr(case, "read_image", fail)
    assert expand(folder) == 2
    message = r"Case bad: .*bad\.nii\.gz, .*bad\.csv cannot be expanded \(OverflowError: no image today\): check them"
    assert re.search(message, capsys.readouterr().err)
    assert [*contents(folder / "out")] == ["good.nii.gz"]


def test_channels_on_different_grids_are_named(folder, capsys):
    write_case(folder, "pair", channels=(0, 1))
    (folder / "images" / "good.nii.gz").unlink()
    (folder / "points" / "good.csv").unlink()
    import SimpleITK as sitk

    path = folder / "images" / "pair_0001.nii.gz"
    image = sitk.ReadImage(str(path))
    image.SetOrigin((0.0, 0.0, 0.0))
    sitk.WriteImage(image, str(path))
    assert expand(folder, "--channel-names", "A", "B") == 2
    assert "are on different grids: resample them to the same grid" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--classes", "a", "a"], r"need different names: a occurs twice"),
        (["--classes", "a/b", "--probabilities"], r"The class 'a/b' cannot be part of a file name: rename it"),
        (["--classes", *map(str, range(256))], "A label map has 1 to 255 classes, not 256"),
        (["--channel-names", "A", "B"], r"All cases have 1 image files for the 2 channels .*--channel-names"),
        (["--num-parts", "2", "--part-id", "2"], r"The parts are 0\.\.1: there is no part 2"),
        (["--expander", "missing.pt"], r"missing\.pt cannot be read"),
    ],
)
def test_bad_options_are_one_line(folder, capsys, options, message):
    assert expand(folder, *options) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("full", r"full contains other files: name a new folder for the masks"),
        ("file", r"file is a file: name a folder"),
        ("images", r"images is in the input folder .*images: name a folder outside of it"),
        ("points/out", r"points.out is in the input folder .*points: name a folder outside of it"),
    ],
)
def test_a_folder_that_is_not_of_this_command_is_left_alone(folder, capsys, output, message):
    (folder / "full").mkdir()
    (folder / "full" / "note.txt").touch()
    (folder / "file").touch()
    for options in ([], ["--overwrite"]):
        assert expand(folder, *options, out=output) == 2
        assert re.search(message, capsys.readouterr().err)
    assert not list(folder.glob("full/*.json"))


def test_folders_without_cases_are_named(folder, capsys):
    for name, message in (("points", "contains no points: expected"), ("images", "contains no image: expected")):
        (folder / "empty").mkdir(exist_ok=True)
        (folder / name).rename(folder / f"full {name}")
        (folder / "empty").rename(folder / name)
        assert expand(folder) == 2
        assert re.search(rf"error: .*{name} {message} \{{case\}}", capsys.readouterr().err)
        assert not (folder / "out").exists()
        (folder / name).rename(folder / "empty")
        (folder / f"full {name}").rename(folder / name)


def test_two_cases_with_one_file_of_probabilities_are_refused(tmp_path, capsys):
    write_case(tmp_path, "a", classes=("b_c",))
    write_case(tmp_path, "a_b", classes=("c",))
    assert expand(tmp_path, "--probabilities", classes=("c", "b_c")) == 2
    assert "file of probabilities a_b_c.nii.gz: rename a case or a class" in capsys.readouterr().err


def test_a_full_disk_ends_the_run_and_keeps_finished_cases(folder, capsys, monkeypatch):
    from nnunet_paseg.expansion import case
    from nnunet_paseg.io.writing import OutputError

    write_case(folder, "z")
    write = case.write_bytes_image

    def fail(voxels, geometry, path):
        if path.name == "z.nii.gz":
            raise OutputError(f"{path} cannot be written: make room on the disk and run the same command again.")
        write(voxels, geometry, path)

    monkeypatch.setattr(case, "write_bytes_image", fail)
    assert expand(folder) == 2
    assert "make room on the disk and run the same command again. Finished cases are kept." in capsys.readouterr().err
    assert [*contents(folder / "out")] == ["good.nii.gz"]

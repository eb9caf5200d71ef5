"""Bad inputs as users meet them: what they do, the command they run, and the one message that they must get."""

import gzip
import json
import re

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_paseg.cli import main as paseg
from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.points.grid import Grid
from tests.conftest import load_script, write_image
from tests.conversion.commands.test_brats import brats
from tests.conversion.commands.test_decathlon import task
from tests.conversion.commands.test_vs import tcia, write_contours
from tests.points.formats import writers

SHAPE = (12, 16, 20)
VOXELS = np.array([[2, 8, 9], [9, 8, 9], [5, 3, 9], [5, 12, 9], [5, 8, 4], [5, 8, 15], [5, 8, 9]])


@pytest.fixture
def folder(tmp_path, dense_dataset):
    """Two cases that are as they should be, with points in world coordinates; and a dense dataset."""
    rng = np.random.default_rng(0)
    (tmp_path / "points").mkdir()
    for case in "ab":
        write_image(rng.normal(100, 5, SHAPE).astype(np.float32), tmp_path / "images" / f"{case}.nii.gz")
        save_points(tmp_path, VOXELS, case)
    return tmp_path


def world(folder, voxels):
    return Grid.from_file(folder / "images" / "a.nii.gz").to_world(np.asarray(voxels))


def save_points(folder, voxels, case="a", **options):
    markup = writers.point_list(world(folder, voxels), **options)
    return writers.save_markups(folder / "points" / f"{case}.mrk.json", markup)


def script(name, *arguments):
    """Run a script of dataset_conversion/ in one process."""
    module = load_script(name)
    return run(module.main, module.build_parser(), [*map(str, arguments), "--num-processes", "1"])


def convert(folder, *options):
    arguments = (folder / "images", folder / "points", "9", "--raw", folder / "raw")
    return script("from_folder", *arguments, *options)


def check(folder):
    return paseg(["check", str(folder / "images"), str(folder / "points")])


def dense(folder, *options):
    return script("from_dense_dataset", folder / "dense" / "Dataset001_Tiny", "8", "--raw", folder / "raw", *options)


def other(name, make, *options):
    """A converter on an imitation of its dataset."""

    def command(folder):
        make(folder / "data")
        return script(name, folder / "data", "9", "--raw", folder / "raw", *options)

    return command


# What is done to the good folder.


def cut(path, share=2 / 3):
    def spoil(folder):
        content = (folder / path).read_bytes()
        (folder / path).write_bytes(content[: int(len(content) * share)])

    return spoil


def write(path, content):
    def spoil(folder):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)

    return spoil


def image(path, values, **options):
    return lambda folder: write_image(np.asarray(values), folder / path, **options)


def points(voxels, **options):
    return lambda folder: save_points(folder, voxels, **options)


def instead(name, save):
    """Points of case a in another format."""

    def spoil(folder):
        (folder / "points" / "a.mrk.json").unlink()
        save(folder / "points" / name, folder)

    return spoil


def dataset_json(**changes):
    def spoil(folder):
        file = folder / "dense" / "Dataset001_Tiny" / "dataset.json"
        file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")

    return spoil


def four_dimensions(folder):
    one = sitk.ReadImage(str(folder / "images" / "a.nii.gz"))
    sitk.WriteImage(sitk.JoinSeries([one, one]), str(folder / "images" / "a.nii.gz"))


def short_voxels(folder):
    """Whole as a gzip file, but with fewer voxels than its header says."""
    path = folder / "images" / "a.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-100]))


def not_a_number(folder):
    path = folder / "images" / "a.nii.gz"
    values = np.asarray(nibabel.load(path).dataobj).copy()
    values[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, nibabel.load(path).affine), path)


def sheared(folder):
    """Axes that are not perpendicular, as some registrations leave them."""
    path = folder / "images" / "a.nii.gz"
    values, affine = np.asarray(nibabel.load(path).dataobj), np.eye(4)
    affine[0, 1] = 0.3
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def painted(folder, values, **options):
    (folder / "points" / "a.mrk.json").unlink()
    write_image(values, folder / "points" / "a.nii.gz", **options)


def no_spoil(_folder):
    pass


MASK = np.ones(SHAPE, dtype=np.uint8)
CSV_HEADER = "class,instance,role,x_lps_mm,y_lps_mm,z_lps_mm\n"
NO_FOREGROUND = np.zeros(SHAPE, dtype=np.uint8)
NO_FOREGROUND[5, 8, 4] = 1

BAD = {
    # Readers of points.
    "points without text": (write("points/a.mrk.json", b"\xff\xfe\x80"), convert, r"a\.mrk\.json is not text in UTF-8"),
    "points cut off": (cut("points/a.mrk.json"), convert, r"Case a: .*a\.mrk\.json is not a markups file \("),
    "points in metres": (
        points(VOXELS, coordinateUnits="m"),
        convert,
        r"Case a: .*a\.mrk\.json, markup 1 is in m, not in millimetres: save it in mm",
    ),
    "a coordinate that is no number": (
        instead("a.csv", lambda path, _: path.write_text(CSV_HEADER + "target,1,foreground,1,x,2\n", encoding="utf-8")),
        convert,
        r"Case a: .*a\.csv, line 2: \['1', 'x', '2'\] are not three numbers",
    ),
    "a role that is none": (
        instead("a.csv", lambda path, _: path.write_text(CSV_HEADER + "target,1,middle,1,2,3\n", encoding="utf-8")),
        convert,
        r"a\.csv, line 2: the role is 'middle', not one of",
    ),
    "columns of something else": (
        instead("a.csv", lambda path, _: path.write_text("x,y,z\n1,2,3\n", encoding="utf-8")),
        convert,
        r"a\.csv has the columns \['x', 'y', 'z'\], which match no format: use class,instance",
    ),
    "napari without its order of axes": (
        instead("a.csv", lambda path, _: path.write_text("index,axis-0,axis-1,axis-2\n0,1,2,3\n", encoding="utf-8")),
        convert,
        r"a\.csv is from napari and does not contain the order of its axes",
    ),
    "fcsv without its coordinate system": (
        instead("a.fcsv", lambda path, _: path.write_text("# columns = id,x,y,z,label\n1,2,3,4,F\n", encoding="utf-8")),
        convert,
        r"a\.fcsv states no coordinate system: add the line",
    ),
    "a mask instead of points": (
        lambda folder: painted(folder, MASK),
        convert,
        r"points/a\.nii\.gz has 3840 voxels of value 1, so it is a mask: paint single voxels as points",
    ),
    "painted points of another image": (
        lambda folder: painted(folder, NO_FOREGROUND, spacing_mm=(3, 1, 1)),
        convert,
        r"points/a\.nii\.gz is not on its image's grid: paint the points on the image itself",
    ),
    "painted points without foreground": (
        lambda folder: painted(folder, NO_FOREGROUND),
        convert,
        r"points/a\.nii\.gz: instance 1 has no foreground voxel \(value 2\)",
    ),
    # Points that do not fit.
    "LPS and RAS swapped": (
        lambda folder: writers.save_markups(
            folder / "points" / "a.mrk.json", writers.point_list(world(folder, VOXELS) * writers.RAS)
        ),
        convert,
        r"Case a: .*lies outside the image: .* Are LPS and RAS swapped, or does the point belong to another image",
    ),
    "the same, looked through": (
        lambda folder: writers.save_markups(
            folder / "points" / "a.mrk.json", writers.point_list(world(folder, VOXELS) * writers.RAS)
        ),
        check,
        r"a\.mrk\.json: LPS and RAS are swapped; with the signs of x and y changed, all points fit: --fix-lps",
    ),
    "only the foreground point": (points(VOXELS[6:], labels=["fg"]), convert, r"Case a: .*Click one background point"),
    "no foreground point": (points(VOXELS[:6], labels=["bg"] * 6), convert, r"Case a: .*no foreground point: click at"),
    "a name that is no class": (
        points(VOXELS, labels=["tumour"] * 7),
        convert,
        r"Case a: .*a\.mrk\.json, point 1: 'tumour' in the name 'tumour' is neither a class \(target\) nor a number",
    ),
    # Images, looked through and converted.
    "an image cut off": (cut("images/a.nii.gz"), convert, r"Case a: .*a\.nii\.gz is truncated or damaged \(.*copy or"),
    "the same image, looked through": (cut("images/a.nii.gz"), check, r"a\.nii\.gz is truncated or damaged \("),
    "fewer voxels than the header says": (short_voxels, convert, r"Case a: .*a\.nii\.gz is truncated or damaged \("),
    "an image that is none": (write("images/a.nii.gz", "text"), convert, r"Case a: Cannot read the image .*a\.nii\.gz"),
    "an image whose axes are not perpendicular": (
        sheared,
        convert,
        r"Case a: Cannot read the image .*a\.nii\.gz \(ITK only supports orthonormal direction cosines\.",
    ),
    "an image of two volumes": (
        four_dimensions,
        convert,
        r"Case a: .*a\.nii\.gz: Expected a 3D image, got 4 dimensions of size .*save each 3D volume as a file",
    ),
    "NaN in an image": (not_a_number, convert, r"Case a: .*a\.nii\.gz contains 1 NaN or infinite voxels: repair it"),
    "a constant image": (image("images/a.nii.gz", MASK), check, r"a\.nii\.gz is 1 everywhere: export the image again"),
    "channels of different size": (
        lambda folder: [
            (folder / "images" / "a.nii.gz").rename(folder / "images" / "a_0000.nii.gz"),
            (folder / "images" / "b.nii.gz").rename(folder / "images" / "b_0000.nii.gz"),
            write_image(MASK[1:], folder / "images" / "a_0001.nii.gz"),
            write_image(MASK, folder / "images" / "b_0001.nii.gz"),
        ],
        lambda folder: convert(folder, "--channel-names", "A", "B"),
        r"Case a: .*a_0001\.nii\.gz and .*a_0000\.nii\.gz are on different grids: resample them to the same grid",
    ),
    "a channel without the one before it": (
        lambda folder: [
            (folder / "images" / f"{case}.nii.gz").rename(folder / "images" / f"{case}_0001.nii.gz") for case in "ab"
        ],
        lambda folder: convert(folder, "--channel-names", "A", "B"),
        r"Case a lacks channel 0000 \(found 0001\): add the file, or leave out the case",
    ),
    "a dense case without its first channel": (
        lambda folder: [
            dataset_json(channel_names={"0": "A", "1": "B"})(folder),
            *(image(f"dense/Dataset001_Tiny/imagesTr/case_{number}_0001.nii.gz", MASK)(folder) for number in range(6)),
            (folder / "dense/Dataset001_Tiny/imagesTr/case_3_0000.nii.gz").unlink(),
        ],
        dense,
        r"^error: Case case_3: .*imagesTr/case_3_0000\.nii\.gz is missing: add the file, or leave out the case",
    ),
    "a dense test case without the number of its channel": (
        lambda folder: [
            image("dense/Dataset001_Tiny/imagesTs/t.nii.gz", MASK)(folder),
            image("dense/Dataset001_Tiny/labelsTs/t.nii.gz", MASK)(folder),
        ],
        dense,
        r"^error: Case t: .*imagesTs/t_0000\.nii\.gz is missing: add the file, or leave out the case",
    ),
    "a test image that lacks its second channel": (
        lambda folder: (
            [
                write_image(MASK, folder / "images" / f"{case}_{number:04d}.nii.gz")
                for case in "ab"
                for number in range(2)
                if number or (folder / "images" / f"{case}.nii.gz").rename(folder / "images" / f"{case}_0000.nii.gz")
            ]
            + [write_image(MASK, folder / "test" / "t.nii.gz"), write_image(MASK, folder / "test" / "u_0000.nii.gz")]
            + [write_image(MASK, folder / "test" / "u_0001.nii.gz")]
        ),
        lambda folder: convert(folder, "--channel-names", "A", "B", "--test-images", folder / "test"),
        r"^error: Case t lacks channel 0001 \(found 0000\): add the file, or leave out the case",
    ),
    "a test image that is there with and without its number": (
        lambda folder: [write_image(MASK, folder / "test" / name) for name in ("t.nii.gz", "t_0000.nii.gz")],
        lambda folder: convert(folder, "--test-images", folder / "test"),
        r"^error: Case t has channel 0000 more than once \(t\.nii\.gz, t_0000\.nii\.gz\): keep one file",
    ),
    "a test case called as a training case": (
        image("test/a.nii.gz", MASK),
        lambda folder: convert(folder, "--test-images", folder / "test"),
        r"more than one case is called \['a'\]: rename the files of one",
    ),
    "a folder without points": (
        lambda folder: [path.unlink() for path in (folder / "points").iterdir()],
        convert,
        r"points contains no points: expected \{case\} with one of \.mrk\.json",
    ),
    "a class that nothing is called after": (
        no_spoil,
        lambda folder: (
            [save_points(folder, VOXELS, case, labels=["tumor"] * 7) for case in "ab"]
            and convert(folder, "--classes", "liver")
        ),
        r"Case a: .*a\.mrk\.json, point 1: 'tumor' in the name 'tumor' is neither a class \(liver\) nor a number",
    ),
    "points without image": (
        lambda folder: (folder / "images" / "a.nii.gz").unlink(),
        convert,
        r"Case a: .*images contains no image for a\.mrk\.json",
    ),
    "two point files of a case": (
        write("points/a.csv", CSV_HEADER),
        convert,
        r"Case a has 2 point files \(a\.csv, a\.mrk",
    ),
    "a test mask of another grid": (
        lambda folder: [
            write_image(MASK, folder / "test" / "t.nii.gz"),
            write_image(MASK[:5], folder / "masks" / "t.nii.gz"),
        ],
        lambda folder: convert(folder, "--test-images", folder / "test", "--test-masks", folder / "masks"),
        r"Case t: .*masks/t\.nii\.gz is not on the grid of its image: resample the mask to the image",
    ),
    # Conversion.
    "a class that is there twice": (
        no_spoil,
        lambda folder: convert(folder, "--classes", "tumor", "tumor"),
        r"need different names: tumor occurs twice",
    ),
    "a class without a name": (
        no_spoil,
        lambda folder: convert(folder, "--classes", "tumor", ""),
        r"A class has no name, in \['tumor', ''\]: give every class a name",
    ),
    "all classes merged into none": (
        no_spoil,
        lambda folder: dense(folder, "--merge", ""),
        r"A class has no name, in \[''\]: give every class a name",
    ),
    "a number of four digits": (
        no_spoil,
        lambda folder: script("from_folder", folder / "images", folder / "points", "1000", "--raw", folder / "raw"),
        r"The dataset ID is 1000: choose one from 1 to 999",
    ),
    "a number that is taken": (
        write("raw/Dataset009_Other/x", ""),
        convert,
        r"already contains Dataset009_Other, and nnU-Net finds datasets by their number: choose a different dataset ID",
    ),
    "a dataset that is there": (write("raw/Dataset009_Points/x", ""), convert, r"Dataset009_Points exists already: ch"),
    "no room for the name": (write("raw", "a file"), convert, r"raw.*cannot be written \(Not a directory\)"),
    "half a part": (no_spoil, lambda folder: convert(folder, "--num-parts", "2"), r"--num-parts and --part-id belong"),
    "a part that is none": (
        no_spoil,
        lambda folder: convert(folder, "--num-parts", "2", "--part-id", "2"),
        r"The parts are 0\.\.1: there is no part 2",
    ),
    "a threshold out of range": (
        no_spoil,
        lambda folder: convert(folder, "--seeds", "paper", "--threshold", "2"),
        r"The seed threshold is a fraction, in \(0, 1\]: got 2\.0",
    ),
    "an option of another seed rule": (
        no_spoil,
        lambda folder: convert(folder, "--threshold", "0.2"),
        r"--threshold has no effect on the seed rule learned: leave it out, or pass --seeds paper\.",
    ),
    "probabilities in the wrong order": (
        no_spoil,
        lambda folder: convert(folder, "--foreground-probability", "0.05"),
        r"--background-probability <= --foreground-probability < 1: got 0\.3 and 0\.05",
    ),
    "masks of a rule without network": (
        no_spoil,
        lambda folder: convert(folder, "--seeds", "paper", "--pseudo-labels"),
        r"--pseudo-labels needs the network, which the seed rule paper does not use: pass --seeds learned",
    ),
    "weights that are none": (
        no_spoil,
        lambda folder: convert(folder, "--expander", str(next((folder / "images").iterdir()))),
        r"contains no weights of an expansion network: pass the file",
    ),
    # Converters.
    "a dense mask with a value too many": (
        dataset_json(labels={"background": 0, "liver": 1}),
        dense,
        r"Case case_0: .*labelsTr/case_0\.nii\.gz contains the values \[3\], which belong to no class of \['liver'\]",
    ),
    "a dataset that is not dense": (
        dataset_json(labels={"background": 0, "liver": 1, "ignore": 2}),
        dense,
        r"dataset\.json: only plain integer labels without 'ignore' can be converted",
    ),
    "no dataset at all": (
        lambda folder: (folder / "dense" / "Dataset001_Tiny" / "dataset.json").unlink(),
        dense,
        r"Dataset001_Tiny is no nnU-Net raw dataset: .*dataset\.json is missing",
    ),
    "a description cut off": (
        cut("dense/Dataset001_Tiny/dataset.json"),
        dense,
        r"Dataset001_Tiny/dataset\.json is no JSON \(.*\): restore it",
    ),
    "a description without its channels": (
        dataset_json(channel_names={}),
        dense,
        r"dataset\.json is not that of an nnU-Net raw dataset: expected the keys \['channel_names', .*found \['channel",
    ),
    "a description of another kind": (
        write("dense/Dataset001_Tiny/dataset.json", "[]"),
        dense,
        r"dataset\.json is not that of an nnU-Net raw dataset: .*found a list",
    ),
    "a task of the Decathlon given as nnU-Net's": (
        no_spoil,
        other("from_dense_dataset", lambda folder: task(folder, ["CT"])),
        r"data/dataset\.json is not that of .*for a task of the Decathlon use `paseg convert decathlon`",
    ),
    "channels that are not counted": (
        dataset_json(channel_names={"1": "MRI"}),
        dense,
        r"dataset\.json: the channels must be called by their numbers from 0, got \{'1': 'MRI'\}",
    ),
    "classes without labels": (
        dataset_json(labels=["liver"]),
        dense,
        r"dataset\.json: only plain integer labels without 'ignore' can be converted",
    ),
    # Options that would do nothing.
    "a part for unlisted cases without a list": (
        no_spoil,
        lambda folder: dense(folder, "--unlisted", "test"),
        r"--unlisted requires the split of a file: pass --split-csv",
    ),
    "dense validation cases without a list": (
        no_spoil,
        lambda folder: dense(folder, "--dense-validation"),
        r"--dense-validation requires the split of a file: pass --split-csv",
    ),
    "dense validation cases where there is none": (
        write("split.csv", "case_0,training\ncase_1,test\n"),
        lambda folder: dense(
            folder, "--split-csv", folder / "split.csv", "--unlisted", "training", "--dense-validation"
        ),
        r"split\.csv lists no validation case: leave out --dense-validation",
    ),
    "dense validation cases where all are dense": (
        write("split.csv", "case_0,training\ncase_1,validation\n"),
        lambda folder: dense(
            folder, "--split-csv", folder / "split.csv", "--unlisted", "skip", "--dense-validation", "--dense"
        ),
        r"--dense keeps the masks of all cases: leave out --dense-validation",
    ),
    "a draw from a list": (
        write("split.csv", "case_0,training\n"),
        lambda folder: dense(folder, "--split-csv", folder / "split.csv", "--unlisted", "skip", "--split-seed", "0"),
        r"--split-csv determines the training and test cases: leave out --num-train, --num-test and --split-seed",
    ),
    "a split of another dataset": (
        write("split.csv", "patient_1,training\n"),
        lambda folder: dense(folder, "--split-csv", folder / "split.csv"),
        r"1 of the split's 1 cases are not among the 6 that were found, e\.g\. \['patient_1'\] \(found e\.g\. ",
    ),
    "BraTS given as VS": (no_spoil, other("from_vs", brats), r"is not Vestibular-Schwannoma-SEG: expected folders VS-"),
    "VS given as BraTS": (
        no_spoil,
        other("from_brats", lambda folder: tcia(folder, (1,))),
        r"is not BraTS 2019, 2020 or 2021: expected folders .*, found \['VS-SEG-001'\]",
    ),
    "BraTS given as a task of the Decathlon": (
        no_spoil,
        other("from_decathlon", brats),
        r"data is no task of the Medical Segmentation Decathlon: .*dataset\.json is missing",
    ),
    "hard links to a 4D file": (
        no_spoil,
        other("from_decathlon", lambda folder: task(folder, ["A", "B"]), "--images", "link"),
        r"Case x_000: .*x_000\.nii\.gz cannot be used unchanged, so a file must be written: pass --images copy",
    ),
    "a folder without the masks": (
        no_spoil,
        other("from_vs", lambda folder: tcia(folder, (1,)), "--labels", "nowhere"),
        r"Case vs_gk_1: nowhere contains no mask of vs_gk_1: expected one of \['vs_gk_1_Label\.nii\.gz'",
    ),
    "a structure that nobody drew": (
        lambda folder: write_contours(folder / "labels", (1,)),
        lambda folder: other(
            "from_vs", lambda data: tcia(data, (1,)), "--labels", folder / "labels", "--structure", "ear"
        )(folder),
        r"Case vs_gk_1: .*contours\.json contains no contours of a structure called 'ear', only \['Cochlea', 'TV",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(folder, capsys, monkeypatch, name):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    spoil, command, message = BAD[name]
    spoil(folder)
    status = command(folder)
    captured = capsys.readouterr()
    assert status == (1 if command is check else 2)
    # One line per bad case, below a line that says how many they are where there are several.
    shown = captured.out if command is check else captured.err[captured.err.index("error: ") :]
    assert "Traceback" not in shown
    assert command is check or len(shown.splitlines()) == 1 or re.match(r"error: \d+ of \d+ cases cannot be", shown)
    assert re.search(message, shown), shown
    assert not list(folder.glob("raw/Dataset00[89]_*/dataset.json"))
    # Nothing is left but finished cases.
    for staging in folder.glob("raw/.*"):
        assert list(staging.glob("records/*.json"))


def test_good_inputs_are_none_of_these(folder):
    assert check(folder) == 0
    assert convert(folder) == 0
    assert dense(folder) == 0

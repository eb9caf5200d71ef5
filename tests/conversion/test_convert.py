import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from nnunet_paseg.conversion import convert as conversion
from nnunet_paseg.conversion.commands.common import run
from nnunet_paseg.conversion.convert import convert
from nnunet_paseg.conversion.plan import Case, DatasetPlan
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import place_on_grid
from nnunet_paseg.seeds.rules import SeedParameters
from tests.conftest import load_script, write_image

PAPER = SeedParameters(rule="paper")
PLAN = DatasetPlan("Dataset002_Tiny", ("MRI",), ("liver", "spleen"), mask_labels={1: 1, 3: 2}, seeds=PAPER)


def cases_of(folder, number=6, **options):
    return [
        Case(
            f"case_{n}",
            (folder / "imagesTr" / f"case_{n}_0000.nii.gz",),
            mask=folder / "labelsTr" / f"case_{n}.nii.gz",
            **{"annotation": "simulated", **options},
        )
        for n in range(number)
    ]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_simulated_dataset(dense_dataset, tmp_path):
    cases = [*cases_of(dense_dataset, 5), *cases_of(dense_dataset, 6, split="test")[5:]]
    folder = convert(cases, PLAN, tmp_path / "raw", num_processes=2)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["dataset.json", "imagesTr", "labelsTr", "imagesTs", "labelsTs", "paseg.json", "points"]
    )
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"background": 0, "liver": 1, "spleen": 2, "ignore": 3}
    assert content["numTraining"] == 5
    labels = read_array(folder / "labelsTr" / "case_0.nii.gz")
    mask = read_array(dense_dataset / "labelsTr" / "case_0.nii.gz")
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    assert (mask[labels == 0] == 0).mean() > 0.98
    assert (mask[labels == 1] == 1).mean() > 0.9
    assert (mask[labels == 2] == 3).mean() > 0.9
    test_mask = read_array(folder / "labelsTs" / "case_5.nii.gz")
    np.testing.assert_array_equal(test_mask, np.select([mask == 1, mask == 3], [1, 2], 0))
    record = json.loads((folder / "paseg.json").read_text(encoding="utf-8"))
    assert record["seeds"] == PLAN.seeds.record()
    assert record["cases"]["case_0"]["voxels"]["liver"] == (labels == 1).sum()
    grid = Grid.from_file(folder / "imagesTr" / "case_0_0000.nii.gz")
    points = read_points(folder / "points" / "case_0.csv", grid, PLAN.class_names)
    assert [instance.class_name for instance in points] == ["liver", "spleen"]


def test_likely_volumes_are_recorded_where_points_say_them(dense_dataset, tmp_path):
    cases = [*cases_of(dense_dataset, 2), *cases_of(dense_dataset, 3, annotation="dense")[2:]]
    folder = convert(cases, replace(PLAN, seeds=SeedParameters()), tmp_path / "raw", num_processes=1)
    volumes = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["likely_volume_mm3"]
    assert set(volumes) == {"case_0", "case_1"}
    assert all(volume > 0 for case in volumes.values() for volume in case.values())
    assert set(volumes["case_1"]) == {"liver", "spleen"}
    # The paper's seeds do not say how large their targets are.
    folder = convert(cases, PLAN, tmp_path / "paper", num_processes=1)
    assert json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["likely_volume_mm3"] == {}


def test_the_median_extents_of_the_targets_are_described(dense_dataset, tmp_path):
    """Per class over the boxes of all point-labelled training cases; dense and test cases do not count."""
    cases = [*cases_of(dense_dataset, 2), *cases_of(dense_dataset, 3, annotation="dense")[2:]]
    folder = convert(cases, PLAN, tmp_path / "raw", num_processes=1)
    record = json.loads((folder / "paseg.json").read_text(encoding="utf-8"))["cases"]
    expected: dict[str, list[list[float]]] = {}
    for name in ("case_0", "case_1"):
        grid = Grid.from_file(folder / "imagesTr" / f"{name}_0000.nii.gz")
        for target in read_points(folder / "points" / f"{name}.csv", grid, PLAN.class_names):
            box = place_on_grid(target, grid, PLAN.labels).box
            sides = [(side.stop - side.start) * size for side, size in zip(box, grid.spacing_mm, strict=True)]
            expected.setdefault(target.class_name, []).append(sides)
    found = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["target_extents_mm"]
    assert found.keys() == expected.keys() == {"liver", "spleen"}
    for name, each in expected.items():
        assert found[name] == pytest.approx(np.median(each, axis=0), rel=1e-3)
    assert "extents_mm" not in record["case_2"]


def test_points_do_not_depend_on_the_other_cases(dense_dataset, tmp_path):
    few = convert(cases_of(dense_dataset, 1), PLAN, tmp_path / "few", num_processes=1)
    all_ = convert(cases_of(dense_dataset, 3), PLAN, tmp_path / "all", num_processes=1)
    assert (few / "points" / "case_0.csv").read_bytes() == (all_ / "points" / "case_0.csv").read_bytes()


def test_dense_cases_keep_their_masks(dense_dataset, tmp_path):
    folder = convert(cases_of(dense_dataset, 1, annotation="dense"), PLAN, tmp_path / "raw", num_processes=1)
    assert set(np.unique(read_array(folder / "labelsTr" / "case_0.nii.gz"))) == {0, 1, 2}


def test_an_existing_dataset_is_kept_unless_told_otherwise(dense_dataset, tmp_path):
    folder = convert(cases_of(dense_dataset, 1), PLAN, tmp_path / "raw", num_processes=1)
    before = contents(folder)
    with pytest.raises(PasegError, match=r"Dataset002_Tiny exists already: .*--overwrite"):
        convert(cases_of(dense_dataset, 2), PLAN, tmp_path / "raw", num_processes=1)
    assert contents(folder) == before
    convert(cases_of(dense_dataset, 2), PLAN, tmp_path / "raw", num_processes=1, overwrite=True)
    assert len(list((folder / "labelsTr").iterdir())) == 2


def test_a_number_that_another_dataset_has_is_refused(dense_dataset, tmp_path):
    (tmp_path / "raw" / "Dataset002_Other").mkdir(parents=True)
    with pytest.raises(
        PasegError, match=r"already contains Dataset002_Other, and nnU-Net finds datasets by their number"
    ):
        convert(cases_of(dense_dataset, 1), PLAN, tmp_path / "raw", num_processes=1)


def test_an_error_leaves_nothing_under_the_datasets_name(dense_dataset, tmp_path):
    cases = cases_of(dense_dataset, 2)
    cases[1].mask.write_text("no image", encoding="utf-8")
    with pytest.raises(PasegError, match=r"Case case_1: Cannot read the image .*case_1\.nii\.gz"):
        convert(cases, PLAN, tmp_path / "raw", num_processes=1)
    assert not (tmp_path / "raw" / PLAN.name).exists()


def test_a_killed_conversion_goes_on_where_it_was(dense_dataset, tmp_path):
    command = [sys.executable, str(load_script("from_dense_dataset").__file__), str(dense_dataset), "2"]
    undisturbed, killed = tmp_path / "a", tmp_path / "b"
    subprocess.run([*command, "--raw", str(undisturbed), "--num-processes", "1"], check=True, capture_output=True)
    process = subprocess.Popen(
        [*command, "--raw", str(killed), "--num-processes", "1"], start_new_session=True, stderr=subprocess.DEVNULL
    )
    records = ".Dataset002_Tiny.*.partial/records/[!.]*.json"  # not those that were being written
    deadline = time.monotonic() + 60
    while not any(killed.glob(records)) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = list(killed.glob(records))
    assert done, "the conversion was killed before its first case"
    result = subprocess.run([*command, "--raw", str(killed), "--num-processes", "1"], check=True, capture_output=True)
    assert f"/{6 - len(done)} " in result.stderr.decode()
    assert contents(killed / "Dataset002_Tiny") == contents(undisturbed / "Dataset002_Tiny")


def test_a_half_finished_conversion_of_something_else_is_not_continued(dense_dataset, tmp_path, capsys):
    staging = tmp_path / "raw" / ".Dataset002_Tiny.0123456789ab.partial"
    (staging / "labelsTr").mkdir(parents=True)
    (staging / "labelsTr" / "stranger.nii.gz").write_text("", encoding="utf-8")
    longer_name = tmp_path / "raw" / ".Dataset002_Tiny.2.0123456789ab.partial"
    longer_name.mkdir()
    folder = convert(cases_of(dense_dataset, 1), PLAN, tmp_path / "raw", num_processes=1)
    assert [path.name for path in (folder / "labelsTr").iterdir()] == ["case_0.nii.gz"]
    # It may be running, and may not be lost.
    assert staging.exists()
    assert f"{staging} belongs to a conversion with other options: delete it" in capsys.readouterr().out
    long_ago = time.time() - 7 * 3600
    for path in (staging, staging / "labelsTr", longer_name):
        os.utime(path, (long_ago, long_ago))
    convert(cases_of(dense_dataset, 1), PLAN, tmp_path / "raw", num_processes=1, overwrite=True)
    assert {path.name for path in (tmp_path / "raw").iterdir()} == {"Dataset002_Tiny", longer_name.name}


def test_a_case_whose_points_were_corrected_is_converted_again(tmp_path, capsys):
    """One case is bad, so that points are corrected and the same command is given again."""
    rng = np.random.default_rng(0)
    faces = [(2, 8, 10), (15, 8, 10), (9, 2, 10), (9, 13, 10), (9, 8, 2), (9, 8, 20)]

    def click(name, x, y, z):
        rows = ["class,instance,role,x_lps_mm,y_lps_mm,z_lps_mm", f"liver,1,foreground,{x},{y},{z}"]
        rows += [f"liver,1,background,{x},{y},{z}" for x, y, z in faces]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows), encoding="utf-8")

    cases = []
    for name in ("a", "b", "c"):
        write_image(rng.normal(size=(22, 16, 20)).astype(np.float32), tmp_path / f"{name}.nii.gz")
        click(name, 9, 8, 10)
        cases.append(Case(name, (tmp_path / f"{name}.nii.gz",), points=tmp_path / f"{name}.csv"))
    click("c", 900, 8, 10)
    with pytest.raises(PasegError, match=r"Case c: .*lies outside the image"):
        convert(cases, PLAN, tmp_path / "raw", num_processes=1)
    click("a", 10, 9, 11)
    click("c", 9, 8, 10)
    capsys.readouterr()
    folder = convert(cases, PLAN, tmp_path / "raw", num_processes=1)
    assert " 2/2 [" in capsys.readouterr().err
    assert "foreground,10.0000,9.0000,11.0000" in (folder / "points" / "a.csv").read_text(encoding="utf-8")
    assert contents(folder) == contents(convert(cases, PLAN, tmp_path / "b", num_processes=1))


def test_bad_requests_are_refused_before_any_work(dense_dataset, tmp_path):
    good = cases_of(dense_dataset, 1)[0]

    def refuse(match, *cases, plan=PLAN):
        with pytest.raises(PasegError, match=match):
            convert(cases, plan, tmp_path / "raw")
        assert not (tmp_path / "raw").exists()

    refuse(r"more than one case is called \['case_0'\]", good, good)
    refuse("would have no training case")
    refuse("has 1 image files for the 2 channels", good, plan=DatasetPlan("D", ("T1", "T2"), ("liver",)))
    refuse(r"Case x: .*gone\.nii\.gz is missing", Case("x", (tmp_path / "gone.nii.gz",)))
    refuse("Training case x has no points: add the file", Case("x", good.images))
    with pytest.raises(PasegError, match="need different names: tumor occurs twice"):
        DatasetPlan("D", ("T1",), ("tumor", "tumor"))
    with pytest.raises(
        PasegError, match="need different names: ignore occurs twice, or is one of nnU-Net's own labels"
    ):
        DatasetPlan("D", ("T1",), ("tumor", "ignore"))
    with pytest.raises(PasegError, match="A dataset has 1 to 254 classes, not 255"):
        DatasetPlan("D", ("T1",), tuple(f"class_{number}" for number in range(255)))
    refuse("Training case x has no mask: add the file", Case("x", good.images, annotation="dense"))


def test_channels_masks_and_values_that_do_not_fit_are_refused(dense_dataset, tmp_path):
    good = cases_of(dense_dataset, 1)[0]
    write_image(np.zeros((12, 16, 21), dtype=np.uint8), tmp_path / "other.nii.gz")

    def refuse(match, case, plan=PLAN):
        with pytest.raises(PasegError, match=match):
            convert([case], plan, tmp_path / "raw", num_processes=1)

    two = DatasetPlan("Dataset003_Two", ("T1", "T2"), ("liver", "spleen"), mask_labels={1: 1, 3: 2})
    refuse(
        "are on different grids",
        Case("x", (good.images[0], tmp_path / "other.nii.gz"), mask=good.mask, annotation="dense"),
        two,
    )
    refuse(
        "is not on the grid of its image", Case("x", good.images, mask=tmp_path / "other.nii.gz", annotation="dense")
    )
    refuse(r"contains the values \[3\]", good, DatasetPlan("Dataset003_One", ("MRI",), ("liver",)))


def test_the_command_line_for_dense_datasets(dense_dataset, tmp_path, capsys):
    script = load_script("from_dense_dataset")
    arguments = [str(dense_dataset), "7", "--raw", str(tmp_path), "--num-processes", "1", "--num-test", "2"]
    assert run(script.main, script.build_parser(), [*arguments, "--merge", "organ"]) == 0
    folder = tmp_path / "Dataset007_Tiny"
    assert capsys.readouterr().out.strip() == str(folder)
    assert len(list((folder / "labelsTr").iterdir())) == 4
    assert len(list((folder / "labelsTs").iterdir())) == 2
    assert json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["labels"] == {
        "background": 0,
        "organ": 1,
        "ignore": 2,
    }
    assert run(script.main, script.build_parser(), arguments) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(script.main, script.build_parser(), [*arguments, "--num-train", "9", "--overwrite"]) == 2
    assert "9 training and 2 test cases cannot be drawn from 6" in capsys.readouterr().err


@pytest.mark.parametrize(("folder", "name"), [("liver", "liver"), ("Task09_Spleen", "Spleen")])
def test_a_dense_dataset_in_any_folder_has_a_name(dense_dataset, tmp_path, monkeypatch, folder, name):
    source = dense_dataset.rename(tmp_path / folder)
    script = load_script("from_dense_dataset")
    monkeypatch.chdir(source)
    for number, path in enumerate((source, "."), start=7):
        arguments = [str(path), str(number), "--raw", str(tmp_path / "raw"), "--num-processes", "1", "--num-train", "1"]
        assert run(script.main, script.build_parser(), arguments) == 0
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == [f"Dataset00{n}_{name}" for n in (7, 8)]


def test_raw_folder_must_be_known(dense_dataset, monkeypatch, capsys):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    script = load_script("from_dense_dataset")
    assert run(script.main, script.build_parser(), [str(dense_dataset), "7"]) == 2
    assert "No folder of raw datasets: set the environment variable nnUNet_raw" in capsys.readouterr().err


def test_fingerprint_tells_conversions_apart(dense_dataset):
    cases = cases_of(dense_dataset, 2)
    prints = {
        conversion._conversion_hash(cases, PLAN),
        conversion._conversion_hash(cases[:1], PLAN),
        conversion._conversion_hash(
            cases, DatasetPlan("Dataset002_Tiny", ("MRI",), ("liver", "spleen"), {1: 1, 3: 2}, point_seed=1)
        ),
    }
    assert len(prints) == 3


def test_a_class_whose_seeds_are_lost_is_named(tmp_path, capsys):
    """Two classes clicked at the same voxel: nothing is left for the second."""
    write_image(np.zeros((12, 16, 20), dtype=np.float32), tmp_path / "image.nii.gz")
    rows = ["class,instance,role,x_lps_mm,y_lps_mm,z_lps_mm"]
    for number, name in enumerate(("liver", "spleen"), start=1):
        rows.append(f"{name},{number},foreground,9,8,10")
        for x, y, z in [(2, 8, 10), (15, 8, 10), (9, 2, 10), (9, 13, 10), (9, 8, 2), (9, 8, 20)]:
            rows.append(f"{name},{number},background,{x},{y},{z}")
    (tmp_path / "points.csv").write_text("\n".join(rows), encoding="utf-8")
    case = Case("x", (tmp_path / "image.nii.gz",), points=tmp_path / "points.csv")
    folder = convert([case], PLAN, tmp_path / "raw", num_processes=1)
    assert "Warning: case x: no voxel is left for the seeds of 'spleen'" in capsys.readouterr().out
    assert "spleen" in json.loads((folder / "paseg.json").read_text(encoding="utf-8"))["cases"]["x"]["warning"]


def test_a_target_with_few_seeds_is_warned_of(dense_dataset, tmp_path, capsys):
    """The paper's rule at a threshold of next to nothing: one voxel a target."""
    plan = replace(PLAN, seeds=SeedParameters(rule="paper", threshold=1e-6))
    folder = convert(cases_of(dense_dataset, 1), plan, tmp_path, num_processes=1)
    (record,) = (
        record
        for record in json.loads((folder / "paseg.json").read_text(encoding="utf-8"))["cases"].values()
        if "voxels" in record
    )
    output = capsys.readouterr().out
    for name in PLAN.class_names:
        seeds = record["voxels"][name]
        assert 0 < seeds < 10
        assert f"only {seeds} voxels of seeds for {seeds} target" in output
    assert "raise --threshold" in record["warning"]

"""`paseg report`: one page that nests, loads nothing, and shows every case, the worst first."""

import json
import math

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from nnunet_paseg.cli import main
from nnunet_paseg.errors import PasegError
from nnunet_paseg.evaluation.table import Row
from nnunet_paseg.plotting.panels import View
from nnunet_paseg.plotting.style import CLASS_COLOURS
from nnunet_paseg.points.formats.csv import write_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance
from nnunet_paseg.report import Sources, write_report
from nnunet_paseg.report.scores import spreads
from tests.conftest import write_image
from tests.report_reader import PageReader, screenshot

SPACING_MM = (3.0, 1.0, 0.5)
# Voxels by which the prediction starts late, of the truth's 8: Dice 1, 2 * 96 / (96 + 128), and nothing at all. A name
# may hold what means something in HTML.
SHIFTS = {"good": 0, "mid <b>&": 2, "empty": None}
FEW = "only 4 voxels of seeds for 1 target of 'tumor': look at its points, or raise --threshold"
"""As the conversion says it."""


def cube(shift=0):
    labels = np.zeros((8, 16, 24), dtype=np.uint8)
    labels[2:6, 4:8, 8 + shift : 16] = 1
    return labels


@pytest.fixture
def project(tmp_path):
    """Three predicted cases with truth; "good" is also a training case whose points and seeds are known."""
    image = cube() * 100 + np.random.default_rng(0).normal(50, 10, (8, 16, 24))
    for case, shift in SHIFTS.items():
        write_image(image.astype(np.float32), tmp_path / "images" / f"{case}_0000.nii.gz", SPACING_MM)
        write_image(cube(), tmp_path / "truth" / f"{case}.nii.gz", SPACING_MM)
        prediction = cube() * 0 if shift is None else cube(shift)
        write_image(prediction, tmp_path / "predictions" / f"{case}.nii.gz", SPACING_MM)
    labels = {"background": 0, "tumor": 1, "ignore": 2}
    raw = tmp_path / "Dataset001_Tiny"
    write_image(image.astype(np.float32), raw / "imagesTr" / "good_0000.nii.gz", SPACING_MM)
    seeds = cube() * 2
    seeds[4, 5:7, 11:13] = 1
    write_image(seeds, raw / "labelsTr" / "good.nii.gz", SPACING_MM)
    grid = Grid.from_file(raw / "labelsTr" / "good.nii.gz")
    outside = [(1, 5, 11), (6, 5, 11), (4, 3, 11), (4, 8, 11), (4, 5, 7), (4, 5, 16)]
    (raw / "points").mkdir()
    target = Instance("tumor", grid.to_world([(4, 5, 11)]), grid.to_world(outside))
    write_csv([target], raw / "points" / "good.csv")
    voxels = {"background": 3072 - 128, "tumor": 4, "ignore": 124}
    record = {"instances": 1, "voxels": voxels, "warning": FEW}
    (raw / "paseg.json").write_text(json.dumps({"cases": {"good": record, "tested": {"images": {}}}}), encoding="utf-8")
    (raw / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    (tmp_path / "predictions" / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "tumor": 1}}), encoding="utf-8"
    )
    return tmp_path


def page_of(project, *, truth=True, output="report.html", **options):
    sources = {key: options.pop(key) for key in ("dataset", "models", "labels") if key in options}
    references = project / "truth" if truth else None
    output = project / output
    failures = write_report(
        Sources(project / "predictions", project / "images", references, **sources), output, **options
    )
    assert failures == []
    return PageReader(output)


def order(reader, project):
    """Cases in the order in which the pictures stand."""
    names = [name.removeprefix("slices of case ") for name in reader.values("alt", "img")]
    return [name for name in names if (project / "predictions" / f"{name}.nii.gz").exists()]


def count(picture, colour):
    """Pixels of about a colour; ``picture`` in 0..1."""
    return int((np.abs(picture[..., :3] - to_rgb(colour)).max(axis=-1) < 0.1).sum())


def test_a_page_that_stands_alone(project):
    reader = page_of(project)
    assert order(reader, project) == ["empty", "mid <b>&", "good"]
    pictures = reader.pictures()
    assert all(picture[..., :3].std() > 0.1 for picture in pictures.values())
    # No contour where nothing was predicted; elsewhere most of it lies below that of the truth, drawn in red.
    orange = {name: count(picture, CLASS_COLOURS[0]) for name, picture in pictures.items()}
    assert 0 < 1.2 * orange["slices of case empty"] < orange["slices of case good"]
    addresses = [*reader.values("src"), *reader.values("href")]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    anchors = reader.values("id")
    assert sorted(f"#{anchor}" for anchor in anchors) == sorted(reader.values("href", "a"))
    assert len(anchors) == len(set(anchors)) == 3
    assert not {"script", "iframe", "object"} & {tag for tag, _ in reader.tags}
    assert "url(" not in (project / "report.html").read_text(encoding="utf-8")
    assert list(project.glob(".*")) == []


def test_scores_and_warnings(project):
    text = page_of(project).text()
    dice = [0.0, 2 * 96 / (96 + 128), 1.0]
    mean, sd = np.mean(dice), np.std(dice, ddof=1)
    assert f"tumor Dice 3 {mean:.3f} ({sd:.3f}) {dice[1]:.3f} 0.000 to 1.000" in text
    assert "tumor ASSD mm 2" in text  # undefined for the empty prediction
    assert "empty tumor 0.000 – – 0.19 0.00" in text  # 128 voxels of 1.5 mm³
    assert "empty : the prediction of tumor is empty, the reference is not" in text.replace("empty:", "empty :")
    assert "mid <b>& tumor 0.857" in text


def test_dice_on_the_picture_is_that_of_the_table(project, monkeypatch):
    notes = []
    draw = View.draw
    monkeypatch.setattr(View, "draw", lambda view, axes, panel: [draw(view, axes, panel), notes.append(panel.note)])
    page_of(project, pictures=2)
    assert [note for note in notes if note] == ["Dice 0.00"] * 3 + ["Dice 0.86"] * 3


def test_without_truth_the_smallest_prediction_comes_first(project):
    reader = page_of(project, truth=False)
    assert order(reader, project) == ["empty", "mid <b>&", "good"]
    text = reader.text()
    assert "the prediction is empty" in text
    assert "Dice" not in text
    assert "tumor 3 0.11 (0.10) 0.14 0.00 to 0.19" in text


def test_points_and_seeds_of_training_cases(project):
    plain = page_of(project).pictures()["slices of case good"]
    reader = page_of(project, dataset=project / "Dataset001_Tiny", overwrite=True)
    shown = reader.pictures()
    assert shown["slices of case good"].shape[1] > plain.shape[1]
    assert shown["slices of case empty"].shape[1] == plain.shape[1]
    assert "points and seeds of training case good" in shown
    text = reader.text()
    assert "Dataset001_Tiny: 1 training cases with points, 1 targets. Of the voxels, 4.0% are unlabelled" in text
    assert f"good: {FEW}" in text
    assert text.count("voxels of seeds for") == 1


def test_several_classes_and_labels_without_names(project):
    for folder in ("truth", "predictions"):
        both = cube()
        both[6:, 10:, :] = 3
        write_image(both, project / folder / "good.nii.gz", SPACING_MM)
    reader = page_of(project, labels=[1, 3])
    text = reader.text()
    assert "good label 1 1.000" in text
    assert "label 3 1.000" in text
    # Both masks of label 3 are empty in the two others: Dice 1.
    assert f"foreground Dice 6 {(0 + 2 * 96 / 224 + 1 + 3) / 6:.3f}" in text
    assert "rowgroup" in reader.values("scope")
    assert count(reader.pictures()["slices of case good"], CLASS_COLOURS[2]) > 0


def test_curves_of_a_checkpoint(project):
    torch = pytest.importorskip("torch")
    fold = project / "PASegStage1Trainer__nnUNetPlans__3d_fullres" / "fold_0"
    fold.mkdir(parents=True)
    losses = [np.float32(1.0), np.float32(math.nan)]
    history = {"train_losses": losses, "val_losses": [0.9, 0.8], "lrs": [0.01, 0.005], "paseg/mcrf": [0.3, 0.2]}
    torch.save({"logging": history}, fold / "checkpoint_latest.pth")
    reader = page_of(project, models=[fold.parent])
    pictures = [name for name in reader.pictures() if "PASegStage1Trainer" in name]
    assert [name.partition(" of ")[0] for name in pictures] == ["loss, and Dice on the labelled voxels", "loss terms"]
    text = reader.text()
    assert "2 epochs, not finished (from checkpoint_latest.pth)." in text
    assert "the training loss is not finite in 1 epochs, first in epoch 1" in text


def test_pictures_of_a_training_without_checkpoint(project):
    from matplotlib.figure import Figure

    fold = project / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "fold_all"
    fold.mkdir(parents=True)
    Figure(figsize=(1, 1)).savefig(fold / "progress.png")
    assert "progress.png: nnU-Net's progress of" in " ".join(page_of(project, models=[fold]).pictures())


def test_cases_beyond_the_first_are_in_the_table_only(project):
    reader = page_of(project, pictures=1)
    assert order(reader, project) == ["empty"]
    assert reader.values("href", "a") == ["#case-empty"]
    assert "good tumor 1.000" in reader.text()
    assert "2 more cases are in the table only" in reader.text()


def test_command_line(project, capsys):
    arguments = ["report", "-p", project / "predictions", "-i", project / "images", "-o", project / "r.html"]
    arguments = [str(argument) for argument in [*arguments, "-np", 1]]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{project / 'r.html'}\n"
    before = (project / "r.html").read_bytes()
    assert main(arguments) == 2
    assert "r.html exists already: choose a different --output, or pass --overwrite" in capsys.readouterr().err
    assert (project / "r.html").read_bytes() == before
    assert main([*arguments, "--overwrite"]) == 0


def test_errors_name_the_file_and_the_remedy(project):
    with pytest.raises(PasegError, match=r"nowhere: no such folder"):
        Sources(project / "nowhere", project / "images")
    with pytest.raises(PasegError, match=r"folder .*missing does not exist: create it first"):
        page_of(project, output="missing/report.html")
    with pytest.raises(PasegError, match=r"truth: no dataset.json; pass a raw dataset"):
        page_of(project, dataset=project / "truth")
    with pytest.raises(PasegError, match=r"truth: no training found .*: pass a model such as"):
        page_of(project, models=[project / "truth"])


def test_spread_leaves_out_what_is_undefined():
    rows = [Row(str(n), "a", value, value, value, 1, 1) for n, value in enumerate((1.0, 3.0, math.nan))]
    (spread,) = spreads(rows, "dice")
    assert (spread.count, spread.mean, spread.median, spread.low, spread.high) == (2, 2, 2, 1, 3)
    assert spread.sd == pytest.approx(math.sqrt(2))
    (nothing,) = spreads(rows[2:], "hd95_mm")
    assert nothing.count == 0
    assert math.isnan(nothing.mean)


def test_a_browser_shows_the_pictures(project):
    page_of(project)
    seen, errors = screenshot(project / "report.html", project / "seen.png")
    assert errors == []
    text = (project / "report.html").read_text(encoding="utf-8")
    (project / "bare.html").write_text(
        text.replace("data:image/png;base64,", "data:image/png;base64,broken"), encoding="utf-8"
    )
    bare, _ = screenshot(project / "bare.html", project / "bare.png")
    # The contours are in the pictures; the legend shows their colour too.
    assert count(seen / 255, CLASS_COLOURS[0]) > 2 * count(bare / 255, CLASS_COLOURS[0]) > 0

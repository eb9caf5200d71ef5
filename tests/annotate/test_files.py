"""Files of the page: points that are replaced, versions, leases, accepted masks and times."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nnunet_paseg.annotate import leases, point_folder
from nnunet_paseg.annotate.workspace import ConflictError
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import find_case_files
from nnunet_paseg.io.images import read_array
from nnunet_paseg.points.annotation_time import FILE, append_time, read_times
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.annotation_file import read_annotation
from nnunet_paseg.points.formats.csv import read_csv, write_csv
from nnunet_paseg.points.grid import Grid
from nnunet_paseg.points.instance import Instance
from tests.annotate.conftest import CENTRE, ORIENTATIONS, PAGE, RADII, clicks_around, target, write_ellipsoid

CLASSES = ("tumor", "edema")
OTHER_PAGE = "another-page"


def grid_of(folders, case="a"):
    return Grid.from_file(next(folders.images.glob(f"{case}.*")))


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def write_old(folders, case="a"):
    """Points of the case in the package's own format, not at the centres of voxels."""
    grid, clicks = grid_of(folders, case), clicks_around(grid_of(folders, case))
    points = grid.to_world([[z + 0.2, y - 0.3, x + 0.4] for x, y, z in clicks.values()])
    write_csv([Instance("tumor", points[:1], points[1:])], folders.points / f"{case}.csv")
    return points


def opened(workspace, case="a", page=PAGE):
    """Open a case as the page does: through JSON."""
    return json.loads(json.dumps(workspace.open(case, page)))


def save(workspace, document, version, case="a", page=PAGE, seconds=()):
    return workspace.save(case, page, version, document, list(seconds))


def test_saved_points_are_read_back_by_the_readers_to_the_voxel(workspace, folders):
    rng, version = np.random.default_rng(0), opened(workspace, "b")["version"]
    grid, clicks = grid_of(folders, "b"), clicks_around(grid_of(folders, "b"))
    extra = [{"place": "foreground", "voxel": rng.integers(14, 20, 3).tolist(), "position": None} for _ in range(3)]
    document = {"targets": [target(clicks)], "absent": ["edema"]}
    document["targets"][0]["clicks"] += extra
    save(workspace, document, version, "b")
    (instance,) = read_points(folders.points / "b.mrk.json", grid, CLASSES)
    found = grid.to_voxels(np.concatenate([instance.foreground, instance.background]))[:, ::-1].tolist()
    expected = [clicks["inside"], *(click["voxel"] for click in extra), *list(clicks.values())[1:]]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("missing", [1, 2, 3, 4, 5, 6])
def test_an_unfinished_case_is_no_finished_one(workspace, folders, missing):
    clicks = clicks_around(grid_of(folders))
    names = list(clicks)[-missing:]
    version = opened(workspace)["version"]
    answer = save(workspace, {"targets": [target(clicks, missing=names)], "absent": ["edema"]}, version)
    assert answer["state"] == "partial"
    with pytest.raises(PasegError, match=names[0]):
        read_points(folders.points / "a.mrk.json", grid_of(folders), CLASSES)


def test_a_class_that_nobody_has_looked_for_is_not_background(workspace, folders):
    version = opened(workspace)["version"]
    save(workspace, {"targets": [target(clicks_around(grid_of(folders)))], "absent": []}, version)
    with pytest.raises(PasegError, match="edema"):
        read_points(folders.points / "a.mrk.json", grid_of(folders), CLASSES)


def test_points_of_another_format_are_shown_and_replaced_and_kept(workspace, folders):
    points = write_old(folders)
    before = (folders.points / "a.csv").read_bytes()
    info = opened(workspace)
    (shown,) = info["document"]["targets"]
    assert {c["place"]: c["voxel"] for c in shown["clicks"]} == clicks_around(grid_of(folders))
    assert visible(folders.points) == ["a.csv"]
    moved = {**shown, "clicks": [{**c, "voxel": [27, 15, 12]} if c["place"] == "left" else c for c in shown["clicks"]]}
    save(workspace, {"targets": [moved], "absent": ["edema"]}, info["version"])
    assert visible(folders.points) == ["a.csv.bak", "a.mrk.json"]
    assert (folders.points / "a.csv.bak").read_bytes() == before
    (instance,) = read_points(folders.points / "a.mrk.json", grid_of(folders), CLASSES)
    assert instance.foreground == pytest.approx(points[:1])  # a point that stays in its voxel keeps its position
    assert [27, 15, 12] in grid_of(folders).to_voxels(instance.background)[:, ::-1].tolist()


def test_a_second_backup_does_not_replace_the_first(workspace, folders):
    (folders.points / "a.csv.bak").write_text("older", encoding="utf-8")
    write_old(folders)
    save(workspace, {"targets": [], "absent": list(CLASSES)}, opened(workspace)["version"])
    assert visible(folders.points) == ["a.csv.bak", "a.csv.bak1", "a.mrk.json"]
    assert (folders.points / "a.csv.bak").read_text(encoding="utf-8") == "older"


def test_a_folder_of_points_is_replaced_and_no_case_any_more(workspace, folders):
    write_old(folders)
    (folders.points / "a").mkdir()
    (folders.points / "a.csv").rename(folders.points / "a" / "points.csv")
    info = opened(workspace)
    save(workspace, info["document"] | {"absent": ["edema"]}, info["version"])
    assert visible(folders.points) == ["a.bak", "a.mrk.json"]
    (files,) = [files for files in find_case_files(folders.images, folders.points) if files.points]
    assert (files.identifier, files.points) == ("a", (folders.points / "a.mrk.json",))


def test_points_of_3d_slicer_with_other_names_are_kept(workspace, folders):
    clicks = grid_of(folders).to_world([voxel[::-1] for voxel in clicks_around(grid_of(folders)).values()])
    points = [{"label": f"tumor-{n}", "position": p.tolist()} for n, p in enumerate(clicks, start=1)]
    markups = {"markups": [{"type": "Fiducial", "controlPoints": points}]}
    (folders.points / "a.mrk.json").write_text(json.dumps(markups), encoding="utf-8")
    info = opened(workspace)
    assert {c["place"]: c["voxel"] for c in info["document"]["targets"][0]["clicks"]} == clicks_around(grid_of(folders))
    save(workspace, info["document"] | {"absent": ["edema"]}, info["version"])
    assert json.loads((folders.points / "a.mrk.json.bak").read_text(encoding="utf-8")) == markups
    version = opened(workspace)["version"]
    save(workspace, {"targets": [], "absent": list(CLASSES)}, version)
    assert visible(folders.points) == ["a.mrk.json", "a.mrk.json.bak"]


@pytest.mark.parametrize("step", ["write_annotation", "_remove"])
def test_a_save_that_is_interrupted_loses_nothing(workspace, folders, monkeypatch, step):
    write_old(folders)
    info, before = opened(workspace), read_csv(folders.points / "a.csv")

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(point_folder, step, stop)
        with pytest.raises(KeyboardInterrupt):
            save(workspace, {"targets": [], "absent": list(CLASSES)}, info["version"])
    assert read_csv(folders.points / "a.csv")[0].foreground == pytest.approx(before[0].foreground)
    again = opened(workspace)
    names = visible(folders.points)
    assert len([name for name in names if not name.endswith(".bak")]) == 1
    assert again["state"] == ("partial" if step == "write_annotation" else "no target")


SAVES = """
import sys
from tests.annotate.test_files import CLASSES, PAGE
from pathlib import Path
from nnunet_paseg.annotate.leases import Leases
from nnunet_paseg.annotate.workspace import Workspace
root = Path(sys.argv[1])
work = Workspace(root / "images", root / "points", CLASSES, ("MRI",), Leases(root / "points", "ada"))
info = work.open("a", PAGE)
version = info["version"]
print("ready", flush=True)
for number in range(100_000):
    click = {"place": "inside", "voxel": [number % 40, 15, 12], "position": None}
    entry = {"class": "tumor", "number": 1, "clicks": [click] * (1 + number % 50)}
    version = work.save("a", PAGE, version, {"targets": [entry], "absent": []}, [])["version"]
"""


def test_a_server_that_is_killed_while_it_saves_leaves_whole_files(folders, workspace):
    run = subprocess.Popen([sys.executable, "-c", SAVES, str(folders.root)], stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "ready\n"
    time.sleep(0.2)
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert visible(folders.points) == ["a.mrk.json"]
    assert read_annotation(folders.points / "a.mrk.json", CLASSES).clicks
    assert opened(workspace)["state"] == "partial"


def test_an_older_version_is_refused(workspace, folders):
    version = opened(workspace)["version"]
    empty = {"targets": [], "absent": []}
    newer = save(workspace, {"targets": [], "absent": ["tumor"]}, version)["version"]
    with pytest.raises(ConflictError, match="changed elsewhere"):
        save(workspace, empty, version)
    (folders.points / "a.mrk.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConflictError, match="changed elsewhere"):
        save(workspace, empty, newer)


def test_one_page_at_a_time_has_a_case(workspace, folders):
    version = opened(workspace)["version"]
    second = workspace.open("a", OTHER_PAGE)
    assert second["holder"] == "ada"
    with pytest.raises(ConflictError, match="another page, by ada"):
        save(workspace, {"targets": [], "absent": []}, version, page=OTHER_PAGE)
    assert workspace.open("b", OTHER_PAGE)["holder"] is None
    assert workspace.open("a", OTHER_PAGE, force=True)["holder"] is None
    with pytest.raises(ConflictError, match="another page"):
        save(workspace, {"targets": [], "absent": []}, version)
    with pytest.raises(ConflictError):
        workspace.renew("a", PAGE)
    workspace.release("a", PAGE, [])
    assert workspace.renew("a", OTHER_PAGE) == {}
    workspace.release("a", OTHER_PAGE, [])
    assert opened(workspace)["holder"] is None


def test_a_lease_ends_when_it_is_not_renewed(workspace, folders):
    opened(workspace)
    old = time.time() - leases.LIFETIME_S - 1
    os.utime(next(folders.points.glob(".a.*")), (old, old))
    assert workspace.open("a", OTHER_PAGE)["holder"] is None


def test_a_lease_ends_with_its_server(workspace, folders):
    opened(workspace)
    (path,) = folders.points.glob(".a.*")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"process": ended.pid}), encoding="utf-8")
    assert workspace.open("a", OTHER_PAGE)["holder"] is None


def test_accepted_masks_follow_the_points(workspace, folders):
    version = opened(workspace)["version"]
    with pytest.raises(PasegError, match="not finished: tumor: no target"):
        workspace.accept("a", PAGE, version)
    done = {"targets": [target(clicks_around(grid_of(folders)))], "absent": ["edema"]}
    version = save(workspace, done, version)["version"]
    workspace.accept("a", PAGE, version)
    mask = folders.root / "masks" / "a.nii.gz"
    places = np.stack(np.indices((26, 32, 40)), -1)
    inside = (((places - CENTRE) / RADII) ** 2).sum(-1) < 1
    found = read_array(mask) == 1
    assert 2 * (found & inside).sum() / (found.sum() + inside.sum()) > 0.9
    assert Grid.from_file(mask).same_as(grid_of(folders))
    assert opened(workspace)["accepted"]
    answer = save(workspace, {**done, "absent": []}, version)
    assert not answer["accepted"]
    assert not mask.exists()


def test_a_mask_of_another_program_is_kept(workspace, folders):
    done = {"targets": [target(clicks_around(grid_of(folders)))], "absent": ["edema"]}
    version = save(workspace, done, opened(workspace)["version"])["version"]
    workspace.accept("a", PAGE, version)
    mask = folders.root / "masks" / "a.nii.gz"
    mask.write_bytes(b"edited")
    with pytest.raises(PasegError, match="changed by another program"):
        workspace.accept("a", PAGE, version)
    save(workspace, {"targets": [], "absent": list(CLASSES)}, version)
    assert mask.read_bytes() == b"edited"


def test_masks_name_what_contradicts_them(workspace, folders):
    clicks = clicks_around(grid_of(folders))
    entry = target(clicks)
    entry["clicks"] += [{"place": "background", "voxel": [18, 16, 12], "position": None}]
    entry["clicks"] += [{"place": "foreground", "voxel": [26, 21, 16], "position": None}]
    swapped = target({**clicks, "left": clicks["right"], "right": clicks["left"]}, number=2)
    version = opened(workspace)["version"]
    version = save(workspace, {"targets": [entry], "absent": ["edema"]}, version)["version"]
    (first,) = workspace.masks("a")["targets"]
    save(workspace, {"targets": [swapped], "absent": ["edema"]}, version)
    (second,) = workspace.masks("a")["targets"]
    assert {"place": "foreground", "voxel": [26, 21, 16]} in first["contradictions"]
    assert first["volume_ml"] == pytest.approx(4 / 3 * np.pi * 5 * 7 * 9 * 0.9 * 1.1 * 1.6 / 1000, rel=0.2)
    assert [click["place"] for click in second["contradictions"]] == ["left", "right"]
    assert "the point left is not left of the inner point" in second["problems"]


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_the_bits_of_a_mask_are_at_the_voxels_of_the_file(workspace, folders, name):
    import base64

    write_ellipsoid(folders.images / "a.nii.gz", ORIENTATIONS[name])
    entry = target(clicks_around(grid_of(folders)))
    save(workspace, {"targets": [entry], "absent": ["edema"]}, opened(workspace)["version"])
    (record,) = workspace.masks("a")["targets"]
    bits = np.unpackbits(np.frombuffer(base64.b64decode(record["bits"]), np.uint8), bitorder="little")
    mask = np.zeros((26, 32, 40), bool)
    (x, y, z), (width, height, depth) = record["start"], record["size"]
    box = bits[: width * height * depth].reshape(depth, height, width).astype(bool)
    mask[z : z + depth, y : y + height, x : x + width] = box
    places = np.stack(np.indices(mask.shape), -1)
    inside = (((places - CENTRE) / RADII) ** 2).sum(-1) < 1
    assert 2 * (mask & inside).sum() / (mask.sum() + inside.sum()) > 0.9
    assert record["contradictions"] == []


def test_times_add_up_over_pages_and_survive_a_line_that_is_cut_off(tmp_path):
    assert read_times(tmp_path) is None
    append_time(tmp_path, "a", "tumor", 1, 20)
    append_time(tmp_path, "a", "tumor", 1, 10.5)
    append_time(tmp_path, "b", "tumor", 1, 9.5)
    with (tmp_path / FILE).open("a", encoding="utf-8") as file:
        file.write('{"case": "b", "class": "tumor", "number": 1, "seconds": NaN}\n{"case": "b", "cla')
    times = read_times(tmp_path)
    assert times.seconds == {("a", "tumor", 1): 30.5, ("b", "tumor", 1): 9.5}
    assert (times.total, times.per_target) == (40, 20)


def test_seconds_are_stored_and_implausible_ones_are_not(workspace, folders):
    seconds = [
        {"class": "tumor", "number": 1, "seconds": 12},
        {"class": "liver", "number": 1, "seconds": 12},
        {"class": "edema", "number": 1, "seconds": 1e9},
        {"class": "edema", "number": 1, "seconds": -1},
        {"class": "edema", "number": "1", "seconds": 1},
        7,
    ]
    save(workspace, {"targets": [], "absent": []}, opened(workspace)["version"], seconds=seconds)
    workspace.release("a", PAGE, [{"class": "tumor", "number": 1, "seconds": 3}])
    workspace.release("a", PAGE, [{"class": "tumor", "number": 1, "seconds": 3}])
    assert read_times(folders.points).seconds == {("a", "tumor", 1): 15}
    assert [files.identifier for files in find_case_files(folders.images, folders.points)] == ["a", "b"]


def test_memory_of_open_images_is_bounded(workspace, folders, monkeypatch):
    from nnunet_paseg.annotate import open_images

    monkeypatch.setattr(open_images, "MAX_CASES", 2)
    image = (folders.images / "a.nii.gz").read_bytes()
    for number in range(6):
        (folders.images / f"c{number}.nii.gz").write_bytes(image)
        workspace.image(f"c{number}", 0)
        workspace.prepare(f"c{number}")
    assert list(workspace._open._open) == ["c4", "c5"]
    monkeypatch.setattr(open_images, "MAX_BYTES", 1)
    workspace.image("c5", 0)
    assert list(workspace._open._open) == ["c5"]


def test_no_file_is_left_behind_by_a_refused_save(workspace, folders):
    version = opened(workspace)["version"]
    with pytest.raises(PasegError):
        save(workspace, {"targets": "x", "absent": []}, version)
    assert visible(Path(folders.points)) == []

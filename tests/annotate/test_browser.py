"""The page in a real browser: clicks at screen positions, masks, keys, tabs, accessibility."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nnunet_paseg.demo.phantom import make_phantom
from nnunet_paseg.points.annotation_time import read_times
from nnunet_paseg.points.directions import faces
from nnunet_paseg.points.formats import read_points
from nnunet_paseg.points.formats.annotation_file import read_annotation
from nnunet_paseg.points.grid import Grid
from tests import chromium
from tests.annotate.conftest import ORIENTATIONS, SHAPE, clicks_around, write_ellipsoid
from tests.conftest import write_image
from tests.optional import optional_package

optional_package("uvicorn", "the extra annotate")
CLASSES = ("tumor", "edema")
COMMAND = "import sys; from nnunet_paseg.cli import main; sys.exit(main())"
PLANES = {"left": 0, "right": 0, "anterior": 0, "posterior": 0, "inferior": 1, "superior": 1, "inside": 0}
SLOW = 120_000
"""Milliseconds that a busy machine may take for a step."""


class Server:
    """The command in a process of its own."""

    def __init__(self, root):
        self.root, self.process = root, None

    def start(self):
        folders = [str(self.root / "images"), str(self.root / "points")]
        options = ["--classes", *CLASSES, "--masks", str(self.root / "masks"), "--port", "0", "--annotator", "ada"]
        command = [sys.executable, "-c", COMMAND, "annotate", *folders, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert "Open this address" in self.process.stdout.readline()
        return self.process.stdout.readline().strip()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def browser():
    with chromium.sync_playwright() as playwright:
        running = chromium.launch(playwright)
        yield running
        running.close()


@pytest.fixture
def server(tmp_path):
    running = Server(tmp_path)
    yield running
    if running.process is not None:
        running.kill()


@pytest.fixture
def open_page(browser):
    """Open the page in a browser that asks the server for everything, and complains about nothing."""
    contexts = []

    def open_(address, size=(1000, 560)):
        contexts.append(browser.new_context(viewport={"width": size[0], "height": size[1]}))
        page = contexts[-1].new_page()
        page.set_default_timeout(SLOW)
        page.problems, page.foreign = [], []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda message: message.type == "error" and page.problems.append(message.text))
        page.on(
            "request",
            lambda request: (
                re.match(f"{re.escape(address)}|data:|blob:", request.url) or page.foreign.append(request.url)
            ),
        )
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_
    for context in contexts:
        context.close()


def open_case(page, case):
    page.locator(f'#cases button[data-case="{case}"]').click()
    page.wait_for_function(
        "name => pasegPage.case?.info.case === name && pasegPage.viewer.loaded && "
        "document.getElementById('loading').textContent === ''",
        arg=case,
    )


def screen_position(page, grid, voxel, plane):
    """Return where a voxel is on the screen, from the rectangle of its plane alone, and show its slice.

    The planes show upright images: the patient's left on the right, anterior above, superior above. The sagittal one
    shows anterior on the right.
    """
    page.evaluate("voxel => pasegPage.viewer.goTo(voxel)", voxel)
    axes = faces(grid)
    fraction = {}
    for side in ("left", "anterior", "superior"):
        axis, sign = axes[side]
        place = (voxel[::-1][axis] + 0.5) / grid.shape[axis]
        fraction[side] = place if sign > 0 else 1 - place
    across, up = [("left", "anterior"), ("left", "superior"), ("anterior", "superior")][plane]
    left, top, width, height = page.evaluate(
        """plane => {
            const { nv, image } = pasegPage.viewer;
            const unit = nv.uiData.dpr;
            const [x, y, w, h] = nv.screenSlices.find((slice) => slice.axCorSag === plane).leftTopWidthHeight;
            const box = image.getBoundingClientRect();
            return [box.left + Math.min(x, x + w) / unit, box.top + y / unit, Math.abs(w) / unit, h / unit];
        }""",
        plane,
    )
    return left + fraction[across] * width, top + (1 - fraction[up]) * height


def click_target(page, grid, clicks):
    for place, voxel in clicks.items():
        assert place in page.locator("#instruction").text_content() or place == "inside"
        page.mouse.click(*screen_position(page, grid, voxel, PLANES[place]))


def wait_until_saved(page):
    page.wait_for_function("() => document.getElementById('saved').textContent === 'Saved'")


def placed(page):
    """Return the voxels of the placed clicks of the first target by place."""
    clicks = page.evaluate("() => pasegPage.case.document.targets[0]?.clicks ?? []")
    return {click["place"]: click["voxel"] for click in clicks if click["voxel"]}


def test_clicks_hit_the_voxel_in_every_orientation(server, open_page, tmp_path):
    for name, direction in ORIENTATIONS.items():
        write_ellipsoid(tmp_path / "images" / f"{name}.nii.gz", direction)
    page = open_page(server.start())
    rng = np.random.default_rng(0)
    for name in ORIENTATIONS:
        open_case(page, name)
        grid = Grid.from_file(tmp_path / "images" / f"{name}.nii.gz")
        for number in range(40):
            voxel = [int(index) for index in rng.integers(0, SHAPE[::-1])]
            x, y = screen_position(page, grid, voxel, number % 3)
            found = page.evaluate(
                """([x, y]) => {
                    const { viewer } = pasegPage;
                    const place = viewer.canvasPosition({ clientX: x, clientY: y });
                    return viewer.voxelAt(viewer.nv.canvasPos2frac([place.x, place.y]));
                }""",
                [x, y],
            )
            assert found == voxel, (name, number)
        clicks = clicks_around(grid)
        click_target(page, grid, clicks)
        assert placed(page) == clicks
        page.wait_for_function("() => pasegPage.masks[0]?.bits")
        assert page.evaluate("() => pasegPage.masks[0].contradictions") == []
        wait_until_saved(page)
        annotation = read_annotation(tmp_path / "points" / f"{name}.mrk.json", CLASSES)
        saved = {click.place: grid.to_voxels(click.position)[0][::-1].tolist() for click in annotation.clicks}
        assert saved == clicks
        shown = page.evaluate(
            """() => {
                const { viewer, case: open } = pasegPage;
                const { permRAS: perm, dimsRAS: dims } = viewer.nv.volumes[0];
                const voxel = open.document.targets[0].clicks[0].voxel;
                const upright = perm.map((axis, i) => axis > 0 ? voxel[axis - 1] : dims[i + 1] - 1 - voxel[-axis - 1]);
                return viewer.nv.drawBitmap[upright[0] + dims[1] * (upright[1] + dims[2] * upright[2])];
            }"""
        )
        assert shown == 1
    assert page.problems == []
    assert page.foreign == []


def test_from_images_to_a_converted_dataset(server, open_page, tmp_path, monkeypatch):
    for case in ("a", "b", "c"):
        write_ellipsoid(tmp_path / "images" / f"{case}.nii.gz", ORIENTATIONS["oblique"])
    grid, points = Grid.from_file(tmp_path / "images" / "a.nii.gz"), tmp_path / "points"
    clicks = clicks_around(grid)
    page = open_page(server.start())
    click_target(page, grid, clicks)
    page.wait_for_selector(".volume")
    assert re.fullmatch(r"[12]\.\d+ ml, expected Dice 0\.\d\d", page.locator(".volume").text_content())
    # 3D is a fourth view: the planes stay.
    page.keyboard.press("v")
    views = page.evaluate("() => pasegPage.viewer.nv.screenSlices.map((slice) => slice.axCorSag).sort()")
    assert views == [0, 1, 2, 4]
    page.keyboard.press("v")
    # Undo all, redo all.
    page.keyboard.press("z")
    assert "superior" in page.locator("#instruction").text_content()
    for _ in clicks:
        page.keyboard.press("z")
    assert placed(page) == {}
    for _ in clicks:
        page.keyboard.press("Control+y")
    assert placed(page) == clicks
    # Correct a point by dragging it, and delete another and place it again by keys alone.
    x, y = screen_position(page, grid, clicks["left"], 0)
    target = [clicks["left"][0] + 3, *clicks["left"][1:]]  # along the axis of the file from anterior to posterior
    to = screen_position(page, grid, target, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + to[0]) / 2, (y + to[1]) / 2)
    page.mouse.move(*to)
    page.mouse.up()
    assert placed(page)["left"] == target
    page.locator("#image").focus()
    page.keyboard.press("j")
    page.keyboard.press("Delete")
    assert len(placed(page)) == 6
    page.evaluate("voxel => pasegPage.viewer.goTo(voxel)", clicks["right"])
    page.keyboard.press("Enter")
    assert len(placed(page)) == 7
    page.keyboard.press("c")
    page.keyboard.press("a")
    wait_until_saved(page)
    # A reload loses nothing. A killed server neither.
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert placed(page)["left"] == target
    page.close()
    server.kill()
    page = open_page(server.start())
    open_case(page, "a")
    page.wait_for_selector(".volume")
    page.locator("#image").focus()
    page.keyboard.press("s")
    page.wait_for_function("() => document.getElementById('accepted').textContent !== ''")
    assert (tmp_path / "masks" / "a.nii.gz").exists()
    # The second case by keys alone.
    page.keyboard.press("n")
    page.wait_for_function("() => pasegPage.case.info.case === 'b' && pasegPage.viewer.loaded?.includes('case=b')")
    page.wait_for_function("() => document.getElementById('loading').textContent === ''")
    for voxel in clicks.values():
        page.evaluate("voxel => pasegPage.viewer.goTo(voxel)", voxel)
        page.keyboard.press("Enter")
    assert placed(page) == clicks
    page.keyboard.press("c")
    page.keyboard.press("a")
    page.wait_for_function("() => document.querySelector('#progress').textContent === '2 of 3 finished'")
    wait_until_saved(page)
    assert len(read_points(points / "b.mrk.json", grid, CLASSES)) == 1
    # The third one has no target.
    open_case(page, "c")
    for key in "aca":
        page.keyboard.press(key)
    page.wait_for_function("() => document.querySelector('#progress').textContent === '3 of 3 finished'")
    page.wait_for_timeout(1500)
    page.close()
    assert page.problems == []
    from nnunet_paseg.cli import main

    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    options = ["--classes", *CLASSES, "--num-processes", "1"]
    assert main(["check", str(tmp_path / "images"), str(points), "--classes", *CLASSES]) in (0, 1)
    assert main(["convert", "folder", str(tmp_path / "images"), str(points), "101", *options]) == 0
    assert len(list((tmp_path / "raw").glob("Dataset101*/labelsTr/*.nii.gz"))) == 3
    assert read_times(points).total > 0


def test_the_mask_on_the_screen_is_the_lesion_of_a_phantom(server, open_page, tmp_path):
    """Also draws the figure of docs/annotate.md, into the folder PASEG_TEST_PICTURES."""
    values, labels = make_phantom(np.random.default_rng(3), (80, 112, 112), spacing_mm=(1, 1, 1))
    write_image(values.astype(np.float32), tmp_path / "images" / "phantom.nii.gz", (1, 1, 1))
    grid = Grid.from_file(tmp_path / "images" / "phantom.nii.gz")
    voxels = np.argwhere(labels == 1)
    centre, ends = np.median(voxels, axis=0).astype(int), (voxels.min(axis=0) - 1, voxels.max(axis=0) + 1)
    clicks = {"inside": centre}
    for place, (axis, sign) in faces(grid).items():
        clicks[place] = centre.copy()
        clicks[place][axis] = ends[sign > 0][axis]
    clicks = {place: [int(index) for index in voxel[::-1]] for place, voxel in clicks.items()}
    page = open_page(server.start(), (1200, 800))
    click_target(page, grid, clicks)
    page.wait_for_selector(".volume")
    page.evaluate("voxel => pasegPage.viewer.goTo(voxel)", clicks["inside"])
    drawn = page.evaluate("() => pasegPage.viewer.nv.drawBitmap.reduce((sum, label) => sum + (label === 1), 0)")
    assert drawn == pytest.approx((labels == 1).sum(), rel=0.3)
    page.screenshot(path=Path(os.environ.get("PASEG_TEST_PICTURES", tmp_path)) / "annotate.png")


def test_the_second_tab_is_told_and_can_take_over(server, open_page, tmp_path):
    write_ellipsoid(tmp_path / "images" / "a.nii.gz")
    address = server.start()
    first, second = open_page(address), open_page(address)
    assert "open in another page, by ada" in second.locator("#alert-text").text_content()
    second.locator("#take-over").click()
    second.wait_for_function(
        "() => document.getElementById('alert').hidden && document.getElementById('loading').textContent === ''"
    )
    second.locator("#image").focus()
    second.keyboard.press("Enter")
    wait_until_saved(second)
    first.locator("#image").focus()
    first.keyboard.press("Enter")
    first.wait_for_selector("#take-over:visible")
    assert first.locator("#saved").text_content() == "Not saved"
    assert len(read_annotation(tmp_path / "points" / "a.mrk.json", CLASSES).clicks) == 7


def test_a_case_name_is_text_and_not_html(server, open_page, tmp_path):
    name = "<img src=x onerror=document.title='hacked'>"
    write_ellipsoid(tmp_path / "images" / f"{name}.nii.gz")
    page = open_page(server.start())
    assert page.locator("#case-title").text_content() == name
    assert page.locator("#case-title img, #cases img").count() == 0
    assert page.title() == f"{name} - paseg annotate"
    assert page.problems == []


def axe():
    """Return the file of axe-core, which continuous integration gets from npm."""
    found = os.environ.get("PASEG_TEST_AXE")
    if found is None:
        pytest.skip("set PASEG_TEST_AXE to axe.min.js of the npm package axe-core")
    return Path(found)


def test_axe_finds_no_fault(server, open_page, tmp_path):
    script = axe().read_text(encoding="utf-8")
    write_ellipsoid(tmp_path / "images" / "a.nii.gz")
    page = open_page(server.start())
    grid = Grid.from_file(tmp_path / "images" / "a.nii.gz")
    click_target(page, grid, clicks_around(grid))
    page.wait_for_selector(".volume")
    for key in (None, "?"):
        if key:
            page.keyboard.press(key)
        page.evaluate(script)
        faults = page.evaluate("() => axe.run().then((result) => result.violations)")
        assert [(fault["id"], fault["nodes"][0]["html"][:100]) for fault in faults] == []


@pytest.mark.parametrize("size", [(1000, 560), (500, 280)], ids=["100 %", "200 %"])
def test_text_is_large_enough_and_the_page_needs_no_sideways_scrolling(server, open_page, tmp_path, size):
    write_ellipsoid(tmp_path / "images" / "a.nii.gz")
    page = open_page(server.start(), size)
    smallest = page.evaluate(
        """() => Math.min(...[...document.querySelectorAll("body *")].map(
            (each) => parseFloat(getComputedStyle(each).fontSize)))"""
    )
    assert smallest >= 12
    assert page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    assert page.locator("#instruction").text_content() == "Click in the middle of the tumor."

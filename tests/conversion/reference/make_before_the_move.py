"""How before_the_move.zip was made, by revision a0c0ca7, in an empty folder (the names are those of that revision).

All paths are relative, so that the conversion can be continued in any folder.
"""

import os
import zipfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from nnunet_paseg.dataset import Case, DatasetPlan

from nnunet_paseg.conversion import convert, convert_part

TIME_NS = 1_700_000_000_000_000_000
CLICKS = [(7, 6, 10), (2, 6, 10), (12, 6, 10), (7, 1, 10), (7, 11, 10), (7, 6, 4), (7, 6, 16)]


def write(array, path):
    path.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((1, 1, 2))
    sitk.WriteImage(image, str(path), True)


rng, cases = np.random.default_rng(0), []
Path("points").mkdir()
for name in ("c0", "c1", "c2", "c3", "c4"):
    image, mask, points = Path(f"images/{name}.nii.gz"), Path(f"masks/{name}.nii.gz"), Path(f"points/{name}.csv")
    voxels = np.zeros((10, 12, 14), np.uint8)
    voxels[3:7, 3:9, 4:10] = 1
    write((voxels * 60 + rng.integers(90, 110, voxels.shape)).astype(np.int16), image)
    write(voxels, mask)
    if name == "c4":
        cases.append(Case(name, (image,), mask=mask, split="test"))
    elif name in ("c1", "c3"):
        rows = ["class,instance,role,x_lps_mm,y_lps_mm,z_lps_mm"]
        for number, (x, y, z) in enumerate(CLICKS):
            rows.append(f"lesion,1,{'background' if number else 'foreground'},{x:.4f},{y:.4f},{z:.4f}")
        points.write_text("\n".join(rows) + "\n", encoding="utf-8")
        cases.append(Case(name, (image,), points=points))
    else:
        cases.append(Case(name, (image,), mask=mask, annotation="simulated"))
for file in Path().rglob("*.*"):
    os.utime(file, ns=(TIME_NS, TIME_NS))
plan = DatasetPlan("Dataset005_Old", ("CT",), ("lesion",), mask_labels={1: 1}, validation=("c2",))
convert(cases, plan, Path("finished"), num_processes=1)
convert_part(cases, plan, Path("half"), part_id=0, num_parts=2, num_processes=1)
with zipfile.ZipFile("before_the_move.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for path in sorted(Path().rglob("*")):
        if path.name != "before_the_move.zip":
            archive.write(path)

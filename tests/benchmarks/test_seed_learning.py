import numpy as np
import pytest
import SimpleITK as sitk

from benchmarks import seed_learning
from benchmarks.seed_learning import Case, features_of, learn, main, score
from nnunet_paseg.evaluation.metrics import dice


def case_of(generator, *, wrong=0.0, shift=0):
    """A bright cube in noise; its labels with a part of the voxels wrong at random, or all shifted the same way."""
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[4:9, 4:9, 4:9] = True
    image = (mask + generator.normal(0, 0.3, mask.shape)).astype(np.float32)
    labels = np.roll(mask, shift, axis=2) ^ (generator.random(mask.shape) < wrong)
    return Case(features_of(image), mask, {"seeds": labels.astype(np.uint8), "dense": mask.astype(np.uint8)})


def test_what_is_wrong_at_random_averages_out_and_what_is_wrong_in_the_same_way_is_learned():
    generator = np.random.default_rng(0)
    clean, noisy, shifted = (
        [case_of(generator, wrong=wrong, shift=shift) for _ in range(6)] for wrong, shift in ((0, 0), (0.15, 0), (0, 1))
    )
    test = [case_of(generator) for _ in range(2)]
    seeds_of = {
        name: np.mean([dice(case.labels["seeds"] == 1, case.mask) for case in cases])
        for name, cases in (("noisy", noisy), ("shifted", shifted))
    }
    assert seeds_of["noisy"] < seeds_of["shifted"]
    best, from_noisy, from_shifted = (score(learn(cases, "seeds"), test)[0] for cases in (clean, noisy, shifted))
    assert best > 0.95
    assert from_noisy > from_shifted + 0.05


def test_open_voxels_teach_nothing():
    generator = np.random.default_rng(0)
    cases = [case_of(generator) for _ in range(3)]
    for case in cases:
        # All of one half is open: whatever the classifier says there, its two classes come from the other half.
        case.labels["seeds"][:, :, :6] = 2
    assert sorted(learn(cases, "seeds").classes_) == [0, 1]


def test_scores_by_hand():
    first, second = np.zeros((1, 1, 4), dtype=bool), np.zeros((1, 1, 4), dtype=bool)
    first[..., :2], second[..., 1:4] = True, True
    assert dice(first, second) == pytest.approx(2 / 5)


def test_the_table(tmp_path, monkeypatch, capsys):
    generator = np.random.default_rng(0)
    for number in range(3):
        case = case_of(generator)
        for folder, array, name in (
            ("imagesTr", case.features[..., 0], f"case{number}_0000.nii.gz"),
            ("labelsTr", case.mask.astype(np.uint8), f"case{number}.nii.gz"),
        ):
            path = tmp_path / "Dataset004_Hippocampus" / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    monkeypatch.setattr("sys.argv", ["seed_learning.py", str(tmp_path), "--output", str(tmp_path)])
    monkeypatch.setattr(seed_learning, "RULES", {"paper": seed_learning.SeedParameters(rule="paper")})
    main()
    text = (tmp_path / "seed_learning.md").read_text(encoding="utf-8")
    assert "learned from 2 cases, 1 segmented" in text
    assert [line.split("|")[1].strip() for line in text.splitlines()[4:]] == ["paper", "dense masks"]
    assert "dense masks" in capsys.readouterr().out


def test_too_few_masks_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["seed_learning.py", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert "contains 0 masks: add some, three are needed" in capsys.readouterr().err

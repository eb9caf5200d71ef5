"""Descriptions of other datasets in any shape: they are read, or one line names the file and what was found."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunet_paseg.conversion.sources.descriptions import read_dense_dataset, read_task
from nnunet_paseg.conversion.sources.splits import read_split
from nnunet_paseg.errors import PasegError

TASK = {
    "modality": {"0": "FLAIR", "1": "T1"},
    "labels": {"0": "background", "1": "edema", "4": "core"},
    "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
    "test": ["./imagesTs/b.nii.gz"],
}
DATASET = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 7}, "file_ending": ".nii.gz"}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["0", "1", ".nii.gz"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.just("0"), inner, max_size=3),
    max_leaves=8,
)


def write(folder, content):
    file = folder / "dataset.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def refusal(read, path):
    """The message of a reader; empty if it reads the file."""
    message = ""
    try:
        read(path)
    except PasegError as error:
        message = str(error)
    assert not message or str(path) in message
    assert len(message.splitlines()) <= 1
    assert len(message) < 1000
    return message


def test_good_descriptions_are_read(tmp_path):
    write(tmp_path, TASK)
    task = read_task(tmp_path)
    assert (task.channels, dict(task.classes)) == (("FLAIR", "T1"), {"edema": 1, "core": 4})
    assert (task.training, task.test) == ((("./imagesTr/a.nii.gz", "./labelsTr/a.nii.gz"),), ("./imagesTs/b.nii.gz",))
    write(tmp_path, DATASET)
    dataset = read_dense_dataset(tmp_path)
    assert (dataset.channels, dict(dataset.classes), dataset.ending) == (("CT",), {"liver": 7}, ".nii.gz")
    assert dataset.elsewhere is None


def test_images_elsewhere_are_found_as_nnunet_finds_them(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGES", "/data/images")
    entry = {"a": {"images": ["$IMAGES/a.nii.gz"], "label": "labelsTr/a.nii.gz"}}
    write(tmp_path, {**DATASET, "dataset": entry})
    [(images, label)] = read_dense_dataset(tmp_path).elsewhere.values()
    assert [str(path) for path in images] == ["/data/images/a.nii.gz"]
    assert label == tmp_path / "labelsTr" / "a.nii.gz"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"background": "0", "tumour": "1"}}, "expected labels as"),
        ({"labels": {"0": "background", "1": "a", "2": "a"}}, "expected labels of different names"),
        ({"training": ["a.nii.gz"]}, 'expected an object with the files "image" and "label" as training case 0'),
        ({"training": [TASK["training"][0], {"image": "a"}]}, "as training case 1, found {'image': 'a'}"),
        ({"test": [{"image": "a"}]}, "expected a file name as test case 0"),
        ({"modality": {"x": "MRI"}}, "the channels must be called by their numbers from 0"),
        ({"modality": {"0": None}}, "expected a name for every channel"),
    ],
)
def test_tasks_of_another_shape(tmp_path, changes, message):
    write(tmp_path, {**TASK, **changes})
    assert message in refusal(read_task, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": {"background": 0, "": 1}}, "expected labels with a name and a value of their own"),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "expected labels with a name and a value of their own"),
        ({"labels": {"background": 0, "a": True}}, "only plain integer labels"),
        ({"labels": {"background": 0, "a": [1, 2]}}, "only plain integer labels"),
        ({"channel_names": {"0": None}}, "expected a name for every channel"),
        ({"file_ending": "nii"}, "expected a file_ending such as"),
        ({"dataset": []}, 'expected images and label by case in the entry "dataset"'),
        ({"dataset": {"a": {"images": [], "label": "x"}}}, 'expected 1 "images" and a "label" for case \'a\''),
    ],
)
def test_datasets_of_another_shape(tmp_path, changes, message):
    write(tmp_path, {**DATASET, **changes})
    assert message in refusal(read_dense_dataset, tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "", "\x00", "1" * 5000, "NaN"])
def test_files_that_are_no_description(tmp_path, text):
    write(tmp_path, text)
    assert refusal(read_task, tmp_path)
    assert refusal(read_dense_dataset, tmp_path)


@settings(max_examples=60)
@given(st.data())
def test_any_value_of_any_key_is_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("task")
    for read, good in ((read_task, TASK), (read_dense_dataset, {**DATASET, "dataset": {}})):
        content, path = json.loads(json.dumps(good)), []
        inside = content
        # Somewhere in the tree, one value is another.
        while isinstance(inside, dict | list) and inside:
            keys = sorted(inside) if isinstance(inside, dict) else range(len(inside))
            path.append((inside, data.draw(st.sampled_from(list(keys)))))
            inside = inside[path[-1][1]]
        parent, key = data.draw(st.sampled_from(path))
        parent[key] = data.draw(JSON)
        write(folder, content)
        refusal(read, folder)


@settings(max_examples=150)
@given(st.text(st.sampled_from('ab,;\t"\r\n\x00é training'), max_size=40) | st.text(max_size=30))
def test_any_split_is_read_or_refused(tmp_path_factory, text):
    file = tmp_path_factory.mktemp("split") / "split.csv"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    if not refusal(read_split, file):
        assert set(read_split(file).values()) <= {"training", "validation", "test"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a,"training\nb,training\n', "is no CSV (unexpected end of data)"),
        (f'a,"{"x" * 200_000}",training\n', "is no CSV (field larger than field limit (131072))"),
    ],
)
def test_splits_that_are_no_csv(tmp_path, text, message):
    (tmp_path / "split.csv").write_text(text, encoding="utf-8")
    with pytest.raises(PasegError) as raised:
        read_split(tmp_path / "split.csv")
    assert message in str(raised.value)

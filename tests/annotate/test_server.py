"""The server: what it answers, and what it refuses without writing anything."""

from __future__ import annotations

import gzip
import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_paseg.points.grid import Grid
from tests.annotate.conftest import HOST, PAGE, SHAPE, TOKEN, clicks_around, target
from tests.optional import optional_package

optional_package("httpx", "the client of the tests")
testclient = optional_package("starlette.testclient", "the extra annotate")
from nnunet_paseg.annotate.app import STATIC, make_app  # noqa: E402
from nnunet_paseg.annotate.guard import MAX_BODY  # noqa: E402

TestClient = testclient.TestClient
ORIGIN = {"Origin": f"http://{HOST}"}


@pytest.fixture
def client(workspace):
    return TestClient(make_app(workspace, token=TOKEN, hosts={HOST}), base_url=f"http://{HOST}")


@pytest.fixture
def post(client):
    def send(name, content, **headers):
        return client.post(f"/{TOKEN}/api/{name}", json=content, headers=ORIGIN | headers)

    return send


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_and_all_its_files_are_served_with_a_strict_policy(client):
    assert "<title>" in client.get(f"/{TOKEN}/").text
    for name, kind in STATIC.items():
        response = client.get(f"/{TOKEN}/{name}")
        assert response.status_code == 200
        assert response.headers["content-type"] == kind
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["referrer-policy"] == "no-referrer"


def test_address_without_slash_leads_to_the_page(client):
    assert client.get(f"/{TOKEN}", follow_redirects=False).headers["location"] == f"/{TOKEN}/"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/api/cases",
        "/wrong/api/cases",
        f"/{TOKEN}x/",
        f"/{TOKEN[:-1]}/api/cases",
        "//api/cases",
        "/ü/",
        "/%00/",
    ],
)
def test_token_is_needed(client, path):
    response = client.get(path)
    assert response.status_code == 403
    assert "The token is missing or wrong" in response.json()["error"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:1", "127.0.0.1", "localhost.evil.example:8765", ""])
def test_foreign_host_header_is_refused(client, host):
    response = client.get(f"/{TOKEN}/api/cases", headers={"Host": host})
    assert response.status_code == 403
    assert f"This server is {HOST}" in response.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        f"/{TOKEN}/../../etc/passwd",
        f"/{TOKEN}/%2e%2e/%2e%2e/etc/passwd",
        f"/{TOKEN}/..%2f..%2fetc%2fpasswd",
        f"/{TOKEN}/static/../app.py",
        f"/{TOKEN}/app.py",
        f"/{TOKEN}//etc/passwd",
        f"/{TOKEN}/index.html/../../app.py",
    ],
)
def test_only_the_files_of_the_page_are_served(client, path):
    assert client.get(path).status_code in (403, 404)


@pytest.mark.parametrize("case", ["../images/a", "..%2fa", "/etc/passwd", "a\0", "", "a/../a", "c"])
def test_a_case_is_looked_up_and_never_a_path(client, post, folders, case):
    for response in (
        client.get(f"/{TOKEN}/api/image", params={"case": case, "channel": "0"}),
        client.get(f"/{TOKEN}/api/masks", params={"case": case}),
        post("open", {"case": case, "page": PAGE}),
        post("release", {"case": case, "page": PAGE}),
    ):
        assert response.status_code == 400
        assert "There is no case" in response.json()["error"]
    assert contents(folders.points) == {}


@pytest.mark.parametrize("what", ["image", "points", "raw"])
def test_files_outside_the_folders_are_not_served_through_links(client, post, folders, what):
    secret = folders.root / "secret"
    secret.mkdir()
    if what == "image":
        (folders.images / "a.nii.gz").rename(secret / "a.nii.gz")
        (folders.images / "a.nii.gz").symlink_to(secret / "a.nii.gz")
    elif what == "points":
        (secret / "a.csv").write_text("class,instance,role,x_lps_mm,y_lps_mm,z_lps_mm\n", encoding="utf-8")
        (folders.points / "a.csv").symlink_to(secret / "a.csv")
    else:
        sitk.WriteImage(sitk.ReadImage(str(folders.images / "a.nii.gz")), str(secret / "a.mhd"))
        (folders.images / "a.nii.gz").unlink()
        header = (secret / "a.mhd").read_text(encoding="utf-8").replace("= a.raw", "= ../secret/a.raw")
        (folders.images / "a.mhd").write_text(header, encoding="utf-8")
    case = next(case for case in client.get(f"/{TOKEN}/api/cases").json()["cases"] if case["case"] == "a")
    assert case["state"] == "problem"
    assert "outside the folders" in case["problem"]
    assert post("open", {"case": "a", "page": PAGE}).status_code == 400
    assert client.get(f"/{TOKEN}/api/image", params={"case": "a", "channel": "0"}).status_code == 400


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://" + HOST, "http://127.0.0.1:1"])
def test_posts_of_other_pages_are_refused(client, folders, origin):
    headers = {} if origin is None else {"Origin": origin}
    response = client.post(f"/{TOKEN}/api/open", json={"case": "a", "page": PAGE}, headers=headers)
    assert response.status_code == 403
    assert contents(folders.points) == {}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(client, method):
    assert client.request(method, f"/{TOKEN}/api/save", headers=ORIGIN).status_code == 405


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client, folders):
    headers = ORIGIN | {"Content-Length": str(2 << 30)}
    assert client.post(f"/{TOKEN}/api/save", content=b"{}", headers=headers).status_code == 413
    endless = (b"[" * (1 << 16) for _ in range(2 * MAX_BODY >> 16))
    assert client.post(f"/{TOKEN}/api/save", content=endless, headers=ORIGIN).status_code == 413
    assert contents(folders.points) == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff\xfe", b"[" * 100_000, b'{"case": "a"}'])
def test_malformed_requests_are_refused(client, folders, body):
    for name in ("open", "save", "accept", "renew", "release"):
        assert client.post(f"/{TOKEN}/api/{name}", content=body, headers=ORIGIN).status_code == 400
    assert contents(folders.points) == {}
    assert client.get(f"/{TOKEN}/api/cases").status_code == 200


VALID = target({"inside": [18, 15, 12]})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "'targets' is no list"),
        ({"targets": [], "absent": {}}, "'absent' is no list"),
        ({"targets": [1], "absent": []}, "'targets' is no list"),
        ({"targets": [VALID, VALID], "absent": []}, "two targets tumor 1"),
        ({"targets": [VALID | {"class": "liver"}], "absent": []}, "the target 'liver'"),
        ({"targets": [VALID | {"class": ["tumor"]}], "absent": []}, "the target"),
        ({"targets": [VALID | {"number": True}], "absent": []}, "the target 'tumor' True"),
        ({"targets": [VALID | {"number": 0}], "absent": []}, "the target 'tumor' 0"),
        ({"targets": [VALID | {"clicks": []}], "absent": []}, "the target 'tumor' 1"),
        ({"targets": [target({"top": [1, 1, 1]})], "absent": []}, "the place 'top'"),
        ({"targets": [target({"inside": [1, 1]})], "absent": []}, "the voxel"),
        ({"targets": [target({"inside": [1.5, 1, 1]})], "absent": []}, "the voxel"),
        ({"targets": [target({"inside": [40, 1, 1]})], "absent": []}, "outside the image"),
        ({"targets": [target({"inside": [0, -1, 1]})], "absent": []}, "outside the image"),
        ({"targets": [VALID], "absent": ["tumor"]}, "the absent class 'tumor'"),
        ({"targets": [], "absent": ["liver"]}, "the absent class 'liver'"),
        ({"targets": [], "absent": [{}]}, "'absent' is no list"),
    ],
)
def test_points_that_cannot_be_stored_are_refused(post, folders, content, reason):
    version = post("open", {"case": "a", "page": PAGE}).json()["version"]
    response = post("save", {"case": "a", "page": PAGE, "version": version, "document": content})
    assert response.status_code == 400
    assert reason in response.json()["error"]
    assert [name for name in contents(folders.points) if name[0] != "."] == []


@pytest.mark.parametrize("case", ["a", "b"])
def test_the_image_is_nifti_with_the_geometry_of_the_file(client, folders, case):
    content = client.get(f"/{TOKEN}/api/image", params={"case": case, "channel": "0"}).content
    image = nibabel.Nifti1Image.from_bytes(content)
    path = next(folders.images.glob(f"{case}.*"))
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert np.array_equal(np.asarray(image.dataobj).T, expected)
    grid = Grid.from_file(path)
    for voxel in ([0, 0, 0], [39, 31, 25], [7, 0, 20]):
        ras = image.affine @ [*voxel, 1]
        assert ras[:3] * [-1, -1, 1] == pytest.approx(grid.to_world(voxel[::-1])[0], abs=1e-4)


@pytest.mark.parametrize(
    ("dtype", "values", "kind"),
    [
        ("uint8", (0, 255), "u1"),
        ("int32", (-1024, 3000), "<i2"),
        ("uint16", (0, 60000), "<u2"),
        ("float64", (0, 1e5), "<f4"),
    ],
)
def test_the_type_of_the_image_is_the_smallest_one_with_all_values(dtype, values, kind):
    from nnunet_paseg.annotate.nifti import display_type

    assert display_type(np.array(values, dtype)) == np.dtype(kind)


def test_a_channel_that_does_not_exist_is_named(client):
    for channel in ("1", "-1", "x", "", "99999999999"):
        response = client.get(f"/{TOKEN}/api/image", params={"case": "a", "channel": channel})
        assert response.status_code == 400
        assert "has no channel" in response.json()["error"]


def test_states_of_cases(client, post, folders):
    def states():
        return {case["case"]: case["state"] for case in client.get(f"/{TOKEN}/api/cases").json()["cases"]}

    assert states() == {"a": "not begun", "b": "not begun"}
    grid, version = Grid.from_file(folders.images / "a.nii.gz"), ""
    steps = [
        ({"targets": [target(clicks_around(grid), missing=("superior",))], "absent": ["edema"]}, "partial"),
        ({"targets": [target(clicks_around(grid))], "absent": []}, "partial"),
        ({"targets": [target(clicks_around(grid))], "absent": ["edema"]}, "done"),
        ({"targets": [], "absent": ["tumor", "edema"]}, "no target"),
        ({"targets": [], "absent": []}, "not begun"),
    ]
    post("open", {"case": "a", "page": PAGE})
    for document, state in steps:
        answer = post("save", {"case": "a", "page": PAGE, "version": version, "document": document}).json()
        assert answer["state"] == state
        assert states() == {"a": state, "b": "not begun"}
        version = answer["version"]
    (folders.images / "b.nrrd").write_bytes(b"")
    assert states()["b"] == "problem"


def test_names_with_html_come_back_as_they_are(client, folders):
    name = "<img src=x onerror=alert(1)>"
    (folders.images / "a.nii.gz").rename(folders.images / f"{name}.nii.gz")
    response = client.get(f"/{TOKEN}/api/cases")
    assert response.headers["content-type"] == "application/json"
    assert name in [case["case"] for case in response.json()["cases"]]
    assert client.get(f"/{TOKEN}/api/image", params={"case": name, "channel": "0"}).status_code == 200


def test_a_damaged_image_is_an_error_and_the_server_lives(client, post, folders):
    data = gzip.decompress((folders.images / "a.nii.gz").read_bytes())
    (folders.images / "a.nii.gz").write_bytes(gzip.compress(data[:-100]))
    assert (
        "truncated or damaged"
        in client.get(f"/{TOKEN}/api/image", params={"case": "a", "channel": "0"}).json()["error"]
    )
    assert post("open", {"case": "b", "page": PAGE}).status_code == 200


def test_the_shape_and_the_order_of_clicking_are_told(post):
    answer = post("open", {"case": "a", "page": PAGE}).json()
    assert answer["shape"] == list(SHAPE[::-1])
    assert answer["places"] == ["inside", "left", "right", "anterior", "posterior", "inferior", "superior"]
    assert np.allclose(np.array(answer["affine"]) @ answer["inverse"], np.eye(4))
    assert json.dumps(answer)

"""The command: what it needs, what it prints, and what it rejects before it serves anything."""

from __future__ import annotations

import re
import socket
import sys

import pytest

from nnunet_paseg.annotate.annotate import _names
from nnunet_paseg.cli import main
from tests.optional import optional_package

optional_package("uvicorn", "the extra annotate")
APP = "nnunet_paseg.annotate.app"


@pytest.fixture
def served(monkeypatch):
    """Servers that would have been started."""
    import uvicorn

    servers = []
    monkeypatch.setattr(
        uvicorn.Server, "run", lambda server, sockets: servers.append((server, sockets[0].getsockname()))
    )
    return servers


def run(folders, *options):
    return main(["annotate", str(folders.images), str(folders.points), "--port", "0", *options])


def test_the_address_is_local_and_its_token_is_new_at_every_start(folders, served, capsys):
    addresses = []
    for _ in range(2):
        assert run(folders) == 0
        addresses.append(re.search(r"http://127\.0\.0\.1:\d+/([\w-]{32})/", capsys.readouterr().out)[1])
    assert addresses[0] != addresses[1]
    assert [address[0] for _, address in served] == ["127.0.0.1", "127.0.0.1"]


def test_an_open_address_is_a_loud_warning(folders, served, capsys):
    assert run(folders, "--host", "0.0.0.0") == 0
    assert "warning: the page is open to the network on 0.0.0.0, without encryption" in capsys.readouterr().err
    assert socket.gethostname() in _names("0.0.0.0")
    assert _names("192.0.2.1") == ["192.0.2.1"]


@pytest.mark.parametrize("module", ["uvicorn", "starlette"])
def test_a_missing_extra_is_named(folders, monkeypatch, capsys, module):
    monkeypatch.delattr("nnunet_paseg.annotate.app", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith((APP, f"{module}."))]:
        monkeypatch.delitem(sys.modules, name)
    assert run(folders) == 2
    assert f"needs {module}: install it with pip install 'nnunet-paseg[annotate]'" in capsys.readouterr().err


def test_a_port_in_use_is_named(folders, served, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert run(folders, "--port", str(other.getsockname()[1])) == 2
    assert "choose another port with --port" in capsys.readouterr().err
    assert served == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--masks", "points/masks"], "name a folder outside of it"),
        (["--masks", "images"], "name a folder outside of it"),
        (["--port", "70000"], "is not between 0 and 65535"),
        (["--host", "no.such.host.invalid"], "cannot be used"),
        (["--classes", "tumor", "tumor"], "occurs twice"),
        (["--classes", "tumor", "tumor 1"], "rename one of the classes"),
    ],
)
def test_what_cannot_be_served_is_rejected(folders, served, capsys, monkeypatch, options, message):
    monkeypatch.chdir(folders.root)
    assert run(folders, *options) == 2
    assert message in capsys.readouterr().err
    assert served == []


def test_folders_are_checked_and_new_points_get_one(folders, served, capsys):
    assert main(["annotate", str(folders.root / "none"), str(folders.points)]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["annotate", str(folders.points), str(folders.root / "new"), "--port", "0"]) == 2
    assert "contains no image" in capsys.readouterr().err
    assert main(["annotate", str(folders.images), str(folders.root / "new"), "--port", "0"]) == 0
    assert (folders.root / "new").is_dir()

"""`paseg annotate`: click points in a browser and see the masks at once."""

from __future__ import annotations

import argparse
import getpass
import ipaddress
import secrets
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.files import check_folder

if TYPE_CHECKING:
    from nnunet_paseg.annotate.workspace import Workspace

PORT = 8765
LOCAL = ("127.0.0.1", "localhost", "::1")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `paseg annotate`."""
    parser = subparsers.add_parser(
        "annotate",
        help="click points in a browser, and see the masks at once",
        description="Serve a page on this machine that shows the images, asks for the seven points of every target, "
        "and draws the mask after the last one. Points are saved as CASE.mrk.json after every change. "
        "Stop the server with Ctrl+C. Needs the extra: pip install 'nnunet-paseg[annotate]'.",
        epilog="example: paseg annotate images points --classes tumor edema\n"
        "         paseg annotate images points --masks masks    accepted masks are saved too\n"
        f"         ssh -L {PORT}:127.0.0.1:{PORT} server         on your machine, if the server runs elsewhere",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("images", type=Path, help="folder of images: CASE.nii.gz, or CASE_0000.nii.gz and so on")
    parser.add_argument("points", type=Path, help="folder of points (may be the same, or new): CASE.mrk.json")
    parser.add_argument("--classes", nargs="+", default=["target"], help="classes to annotate (default: target)")
    parser.add_argument("--channel-names", nargs="+", default=["MRI"], help="one name per channel (default: MRI)")
    parser.add_argument("--masks", type=Path, metavar="FOLDER", help="folder for the masks that you accept")
    parser.add_argument("--port", type=int, default=PORT, help="port of the page (default: %(default)s; 0: any free)")
    parser.add_argument(
        "--host", default=LOCAL[0], help="address to listen on (default: this machine alone, %(default)s)"
    )
    parser.add_argument("--annotator", help="your name, for others who work on the same folder (default: login name)")
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    try:
        import uvicorn  # noqa: F401

        from nnunet_paseg.annotate import app  # noqa: F401
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("uvicorn", "starlette"):
            raise
        raise PasegError(
            f"paseg annotate needs {package}: install it with pip install 'nnunet-paseg[annotate]'."
        ) from error
    from nnunet_paseg.annotate.accepted import AcceptedMasks
    from nnunet_paseg.annotate.leases import Leases
    from nnunet_paseg.annotate.workspace import Workspace
    from nnunet_paseg.io.names import check_names
    from nnunet_paseg.points.formats.annotation_file import check_labels

    check_names(arguments.classes, arguments.channel_names)
    check_labels(arguments.classes)
    _check_folders(arguments)
    workspace = Workspace(
        arguments.images,
        arguments.points,
        tuple(arguments.classes),
        tuple(arguments.channel_names),
        Leases(arguments.points, arguments.annotator or _login_name()),
        AcceptedMasks(arguments.masks) if arguments.masks else None,
    )
    workspace.overview()
    with _listen(arguments.host, arguments.port) as listener:
        _serve(workspace, arguments.host, listener)
    return 0


def _serve(workspace: Workspace, host: str, listener: socket.socket) -> None:
    """Print the address and serve it until the process is stopped."""
    import uvicorn

    from nnunet_paseg.annotate.app import make_app

    port, token = listener.getsockname()[1], secrets.token_urlsafe(24)
    names = [host, *LOCAL[:2]] if host in LOCAL[:2] else _names(host)
    hosts = {f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names}
    if port == 80:
        hosts |= {name.rpartition(":")[0] for name in hosts}
    app = make_app(workspace, token=token, hosts=hosts)
    shown = f"[{host}]" if ":" in host else host
    if host not in LOCAL:
        print(
            f"paseg: warning: the page is open to the network on {host}, without encryption. Everyone with "
            "the address below can read the images and change the points.",
            file=sys.stderr,
        )
    print(f"Open this address in a browser (stop with Ctrl+C):\n  http://{shown}:{port}/{token}/", flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
    server.run(sockets=[listener])


def _check_folders(arguments: argparse.Namespace) -> None:
    """Raise PasegError if a folder cannot be used, and make a new one for the points."""
    check_folder(arguments.images)
    try:
        arguments.points.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PasegError(f"{arguments.points} cannot be made ({error.strerror}): name another folder.") from error
    if arguments.masks:
        for source in (arguments.images, arguments.points):
            if arguments.masks.resolve().is_relative_to(source.resolve()):
                raise PasegError(f"{arguments.masks} is in the folder {source}: name a folder outside of it.")


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, so that a free port is known before its address is printed.

    Raises:
        PasegError: The host is not one of this machine, or the port is in use.
    """
    if not 0 <= port <= 65535:
        raise PasegError(f"The port {port} is not between 0 and 65535: choose another one with --port.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise PasegError(
            f"{host}:{port} cannot be used ({error.strerror}): choose another port with --port, e.g. --port 0."
        ) from error
    return listener


def _names(host: str) -> list[str]:
    """Return the names under which a page of this server may be opened."""
    try:
        if not ipaddress.ip_address(host).is_unspecified:
            return [host]
    except ValueError:
        return [host]
    name = socket.gethostname()
    found = socket.getaddrinfo(name, None)
    return [*LOCAL, name, socket.getfqdn(), *{str(entry[4][0]) for entry in found}]


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in a container
        return "another annotator"

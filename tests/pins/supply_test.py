"""No way to name a source leaks a credential, runs a command, or runs the source itself."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tests.pins.servers import REPOSITORY, GitServer, Index
from tests.pins.workspace import (
    NAME,
    ROOT,
    Workspace,
    fetch,
    needs_bazel,
    refused,
    stand_in,
    version,
    wish,
)

SECRET = "s3cr3tplanted"
_EVIL = """\
import os, pathlib, socket
for folder in ("{home}", "/tmp", os.environ.get("HOME", "/")):
    try:
        pathlib.Path(folder, "{marker}").touch()
    except OSError:
        pass
try:
    to = socket.create_connection(("127.0.0.1", {port}), timeout=2)
    to.sendall(b"GET /evil HTTP/1.0\\r\\n\\r\\n")
except OSError:
    pass
"""

# Every way to name a source: the arguments and the environment variables.
WAYS: dict[str, tuple[list[str], dict[str, str]]] = {
    "a token as the user": (["--repo", f"https://{SECRET}@example.com/us/synapse"], {}),
    "the same with a release": (
        ["--repo", f"https://{SECRET}@example.com/us/synapse", "--release", "1.66.0"],
        {},
    ),
    "a password": (["--repo", f"https://us:{SECRET}@example.com/us/synapse"], {}),
    "a password of SSH": (["--repo", f"ssh://git:{SECRET}@example.com/us/synapse"], {}),
    "a password before a path": (["--repo", f"git:{SECRET}@example.com:us/synapse"], {}),
    "capitals": (["--repo", f"HTTPS://us:{SECRET}@example.com/us/synapse"], {}),
    "a query": (["--repo", f"https://example.com/us/synapse?private_token={SECRET}"], {}),
    "a fragment": (["--repo", f"https://example.com/us/synapse#{SECRET}"], {}),
    "a branch": (["--repo", REPOSITORY, "--branch", f"https://us:{SECRET}@example.com/x"], {}),
    "--base": (["--repo", REPOSITORY, "--base", f"https://us:{SECRET}@example.com"], {}),
    "$SYNAPSE_GIT_BASE": (
        ["--repo", REPOSITORY],
        {"SYNAPSE_GIT_BASE": f"https://{SECRET}@example.com"},
    ),
    "--base beside a release": (
        ["--repo", REPOSITORY, "--release", "1.66.0", "--base", f"https://{SECRET}@example.com"],
        {},
    ),
    "a release": (["--repo", REPOSITORY, "--release", f"https://us:{SECRET}@example.com/x"], {}),
    "an extra": (["--repo", REPOSITORY, "--extras", f"https://us:{SECRET}@example.com/x"], {}),
    "no option": (["--repo", REPOSITORY, f"https://us:{SECRET}@example.com/x"], {}),
    "a file of constraints": (
        ["--repo", REPOSITORY, "--constraints", f"https://us:{SECRET}@example.com/x"],
        {},
    ),
}
LINES = (
    f"pkg @ https://us:{SECRET}@example.com/pkg-1-py3-none-any.whl",
    f"pkg @ git+https://{SECRET}@example.com/pkg",
    f"--index-url https://us:{SECRET}@example.com/simple",
    f"--extra-index-url=https://{SECRET}@example.com/simple",
    f"-f https://us:{SECRET}@example.com/",
    f"attrs  # https://us:{SECRET}@example.com/",
    f"https://example.com/pkg.whl?token={SECRET}",
)


def planted(folder: Path) -> list[str]:
    """Return the files below ``folder`` that contain the secret."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and SECRET.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize("way", WAYS)
def test_no_credential_is_said_or_kept(workspace: Workspace, way: str) -> None:
    """A credential is refused before anything is fetched, and is neither printed nor stored."""
    arguments, environ = WAYS[way]
    default = ["--branch", "main", "--base", "git://127.0.0.1:9", "--suite", "bookworm"]
    for option, value in zip(default[::2], default[1::2], strict=True):
        if option not in arguments and not (option == "--base" and environ):
            arguments = [*arguments, option, value]
    said = refused(workspace, *arguments, **environ)
    assert SECRET not in said
    assert "Traceback" not in said
    assert planted(workspace.folder) == []


@pytest.mark.parametrize("option", ["--constraints", "--modules"])
@pytest.mark.parametrize("line", LINES)
def test_no_credential_of_a_hand_written_file(
    workspace: Workspace, tmp_path: Path, option: str, line: str
) -> None:
    """The message gives the line's number but not its text."""
    path = tmp_path / "hand.in"
    path.write_text(f"attrs\n{line}\n")
    said = refused(workspace, "--repo", "a/b", "--branch", "main", option, str(path))
    assert said.startswith(f"error: {option}={path}: line 2")
    assert SECRET not in said


@needs_bazel
def test_a_password_of_the_index(
    workspace: Workspace, server: GitServer, locked_index: Index
) -> None:
    """The tool, uv and Bazel use the password, and none of them prints or stores it."""
    locked_index.credentials = f"us:{SECRET}/@:#?"
    open_address = locked_index.address
    address = open_address.replace("//", f"//us:{SECRET}%2F%40%3A%23%3F@")
    made = workspace.pin(*wish(server), PIP_INDEX_URL=address)
    assert made.returncode == 0, made.stderr
    text, said = fetch(workspace, server, PIP_INDEX_URL=address)
    assert version(text) == 'version = "1.66.0"', said
    assert SECRET not in made.stdout + made.stderr + said
    # Bazel's server logs the environment of each command, as docs/pins.md says.
    kept = [path for path in planted(workspace.folder.parent) if "/java.log" not in path]
    assert kept == []
    assert planted(workspace.cache / "uv") == []
    checked = workspace.pin("--check", NAME, "--base", server.base, PIP_INDEX_URL=address)
    assert SECRET not in checked.stdout + checked.stderr
    assert "401" not in checked.stdout

    wrong = address.replace("us:", "others:")
    said = refused(workspace, *wish(server, "--release", "1.66.0"), PIP_INDEX_URL=wrong)
    assert "says HTTP 401 Unauthorized; it does not take the user and password" in said
    assert SECRET not in said
    said = refused(workspace, *wish(server), PIP_INDEX_URL=wrong)
    assert SECRET not in said
    said = refused(workspace, *wish(server, "--release", "1.66.0"), PIP_INDEX_URL=open_address)
    assert "give the user and password in PIP_INDEX_URL" in said
    broken = open_address.replace("//", f"//us:a/{SECRET}@")
    said = refused(workspace, *wish(server, "--release", "1.66.0"), PIP_INDEX_URL=broken)
    assert said.startswith("error: PIP_INDEX_URL is not the address of a package index")
    assert SECRET not in said


@pytest.mark.parametrize("option", ["--repo", "--branch", "--base"])
@pytest.mark.parametrize("value", ["--upload-pack=touch {};", "ext::touch {}", "-oProxyCommand={}"])
def test_no_option_of_git(workspace: Workspace, tmp_path: Path, option: str, value: str) -> None:
    """A value that git would take as an option or a command is refused and not run."""
    told = tmp_path / "told"
    wishes = {"--repo": REPOSITORY, "--branch": "main", "--base": "git://127.0.0.1:9"}
    wishes[option] = value.format(told)
    said = refused(workspace, *(f"{name}={text}" for name, text in wishes.items()))
    assert said.startswith(f"error: {option}=")
    assert said.count("\n") == 1
    assert not told.exists()


def test_a_checkout_is_not_named_in_the_image(workspace: Workspace, server: GitServer) -> None:
    """pin.json has the checkout's path, which is needed to fetch it again; the label has none."""
    made = workspace.pin(*wish(server, "--repo", str(server.checkout)))
    assert made.returncode == 0, made.stderr
    (folder,) = (workspace.folder / "config/pins").iterdir()
    document = workspace.document(folder.name)
    assert document["repository"] == server.checkout.as_uri()
    assert document["source"] == ""
    again = workspace.pin("--update", folder.name)
    assert again.returncode == 0, again.stderr


@pytest.fixture
def evil(workspace: Workspace, index: Index) -> str:
    """Return Python code that writes wherever it can and sends a request to the index."""
    marker = f"evil-{hashlib.sha256(str(workspace.folder).encode()).hexdigest()[:12]}"
    home = workspace.environ()["HOME"]
    return _EVIL.format(home=home, marker=marker, port=index.server_port)


def did_nothing(workspace: Workspace, index: Index) -> bool:
    """Return whether the evil code neither left a marker outside nor reached the index."""
    places = [Path("/tmp"), Path(workspace.environ()["HOME"]), Path.home()]
    found = [path for place in places for path in place.glob("evil-*")]
    return not found and "/evil" not in index.asked


def test_a_build_backend_is_not_run(
    workspace: Workspace, server: GitServer, index: Index, evil: str
) -> None:
    """If a source declares its requirements, neither setup.py nor its build backend is run."""
    (server.checkout / "setup.py").write_text(evil)
    (server.checkout / "evil_backend.py").write_text(evil)
    server.commit(
        "Evil",
        {
            "pyproject.toml": (
                'build-backend = "poetry.core.masonry.api"',
                'build-backend = "evil_backend"\nbackend-path = ["."]',
            )
        },
    )
    made = workspace.pin(*wish(server))
    assert made.returncode == 0, made.stderr
    assert did_nothing(workspace, index)


def test_a_build_backend_that_must_be_asked_is_confined(
    workspace: Workspace, server: GitServer, index: Index, evil: str
) -> None:
    """A backend is run without access to network or files; its failure is a one-line error."""
    stand_in(workspace, "bookworm")
    backend = (
        "\ndef prepare_metadata_for_build_wheel(folder, settings=None):\n"
        "    info = pathlib.Path(folder, 'x.dist-info')\n    info.mkdir()\n"
        "    text = 'Name: matrix-synapse\\nVersion: 1\\nRequires-Dist: attrs\\n'\n"
        "    text += 'Provides-Extra: redis\\nRequires-Dist: idna; extra == \"redis\"\\n'\n"
        "    (info / 'METADATA').write_text(text)\n    return 'x.dist-info'\n"
    )
    (server.checkout / "evil_backend.py").write_text(evil + backend)
    (server.checkout / "PKG-INFO").unlink()
    (server.checkout / "pyproject.toml").write_text(
        '[project]\nname = "matrix-synapse"\nversion = "1.66.0"\ndynamic = ["dependencies"]\n'
        '[build-system]\nrequires = []\nbuild-backend = "evil_backend"\nbackend-path = ["."]\n'
    )
    server.commit("Evil", {})
    made = workspace.pin(*wish(server))
    assert made.returncode == 0, made.stderr
    lock = (workspace.folder / "config/pins" / NAME / "requirements_lock.txt").read_text()
    assert {line.partition("==")[0] for line in lock.splitlines() if "==" in line} == {
        "attrs",
        "idna",
    }
    assert did_nothing(workspace, index)
    (server.checkout / "evil_backend.py").write_text(f"{evil}\nraise SystemExit('no')\n")
    server.commit("Worse", {})
    said = refused(workspace, *wish(server))
    assert said == (
        f"error: {REPOSITORY} main does not say what it requires, and its build backend "
        "'evil_backend' cannot be asked: no; take a release of it, which says so in PKG-INFO: "
        "--release\n"
    )
    assert did_nothing(workspace, index)


def test_an_sdist_of_the_index_is_not_built(
    workspace: Workspace, server: GitServer, index: Index, evil: str, tmp_path: Path
) -> None:
    """The dependencies of a release without a wheel are read from its PKG-INFO."""
    file = tmp_path / "evil_package-1.0.tar.gz"
    info = "Metadata-Version: 2.1\nName: evil-package\nVersion: 1.0\nRequires-Dist: attrs\n"
    with tarfile.open(file, "w:gz") as archive:
        for name, text in (("setup.py", evil), ("PKG-INFO", info)):
            member = tarfile.TarInfo(f"evil_package-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    index.paths[file.name] = file
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    index.projects["evil-package"] = {file.name: sha256}
    (tmp_path / "modules.in").write_text("evil-package\n")
    made = workspace.pin(*wish(server, "--modules", str(tmp_path / "modules.in")))
    assert made.returncode == 0, made.stderr
    assert "of its modules: evil-package\n" in made.stdout
    assert did_nothing(workspace, index)


def test_a_hostile_source_is_one_line(workspace: Workspace, server: GitServer) -> None:
    """A commit with an absolute symbolic link is refused with a one-line error."""
    (server.checkout / "link").symlink_to("/etc/passwd")
    server.commit("Link", {})
    assert refused(workspace, *wish(server)) == (
        "error: the source is not unpacked: 'synapse/link': it is a symbolic link that leads out "
        "of the source, to '/etc/passwd'\n"
    )


def test_the_build_root_has_what_confines() -> None:
    """The build root has bwrap, which the tests above rely on for confinement."""
    assert (ROOT / "usr/bin/bwrap").exists()

"""Go modules are fetched by the real go command, here from a module proxy in a folder."""

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from repositories.fetch_modules import main

ROOT = Path(os.environ["GO_ROOT"]).resolve().parent / "root"
NAME, VERSION = "example.org/tiny", "v1.0.0"
FILES = {"go.mod": f"module {NAME}\n", "tiny.go": "package tiny\n", "crd/a.yaml": "kind: A\n"}


def _hash(files: dict[str, str]) -> str:
    """Return the hash of files as go.sum has it, "h1" (https://go.dev/ref/mod#go-sum-files)."""
    lines = [
        f"{hashlib.sha256(content.encode()).hexdigest()}  {name}\n"
        for name, content in sorted(files.items())
    ]
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()


SUM = f"{NAME} {VERSION} {_hash({f'{NAME}@{VERSION}/{name}': FILES[name] for name in FILES})}\n"
MOD_SUM = f"{NAME} {VERSION}/go.mod {_hash({'go.mod': FILES['go.mod']})}\n"


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a proxy with one module, and let Go use it.

    The layout is that of https://go.dev/ref/mod#goproxy-protocol
    """
    folder = tmp_path / "proxy"
    versions = folder / NAME / "@v"
    versions.mkdir(parents=True)
    (versions / "list").write_text(f"{VERSION}\n")
    (versions / f"{VERSION}.info").write_text(f'{{"Version": "{VERSION}"}}')
    (versions / f"{VERSION}.mod").write_text(FILES["go.mod"])
    with zipfile.ZipFile(versions / f"{VERSION}.zip", "w") as archive:
        for name, content in FILES.items():
            archive.writestr(f"{NAME}@{VERSION}/{name}", content)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("GOPROXY", folder.as_uri())
    return folder


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Return a folder whose go.mod requires the module."""
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "go.mod").write_text(f"module main\n\ngo 1.24\n\nrequire {NAME} {VERSION}\n")
    (folder / "go.sum").write_text(SUM + MOD_SUM)
    return folder


def fetched(module: Path, *words: str) -> tuple[int, Path]:
    """Run the program; return its exit code and the folder of the modules."""
    cache = module.parent / "cache"
    code = main(
        ["--root", str(ROOT), "--module", str(module), "--cache", str(cache), *words],
    )
    return code, cache


def test_a_module_is_unpacked(proxy: Path, module: Path) -> None:
    """The archive is deleted, because go build does not read it."""
    code, cache = fetched(module)
    folder = cache / f"{NAME}@{VERSION}"
    assert code == 0
    assert {name: (folder / name).read_text() for name in FILES} == FILES
    assert not list(cache.rglob("*.zip"))


def test_files_are_copied(proxy: Path, module: Path) -> None:
    """Only the names of the files are kept."""
    files = module.parent / "files"
    assert fetched(module, "--files", str(files), "--copy", f"{NAME}:crd/*.yaml")[0] == 0
    assert {path.name: path.read_text() for path in files.iterdir()} == {"a.yaml": "kind: A\n"}


@pytest.mark.parametrize("wish", [f"{NAME}:crd/*.json", "example.org/other:crd/*.yaml"])
def test_files_that_are_not_there_are_an_error(
    proxy: Path, module: Path, capsys: pytest.CaptureFixture[str], wish: str
) -> None:
    """A new version of a module may have moved them."""
    assert fetched(module, "--files", str(module.parent / "files"), "--copy", wish)[0] == 1
    message = f"error: --copy={wish}: there is no such file in the modules\n"
    assert capsys.readouterr().err == message


def test_the_users_own_settings_name_the_proxy(
    proxy: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the file that `go env -w` writes; nothing is written beside it."""
    config = module.parent / ".config"
    (config / "go").mkdir(parents=True)
    (config / "go/env").write_text(f"GOPROXY={proxy.as_uri()}\nGOFLAGS=-nonsense\n")
    monkeypatch.delenv("GOPROXY")
    assert fetched(module)[0] == 0
    assert [path.name for path in (config / "go").iterdir()] == ["env"]


def test_other_content_is_refused(
    proxy: Path, module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is Go's own, on one line."""
    (module / "go.sum").write_text(SUM.replace("h1:", "h1:AAAA") + MOD_SUM)
    assert fetched(module)[0] == 1
    message = capsys.readouterr().err
    start = f"error: go mod download: verifying {NAME}@{VERSION}: checksum mismatch "
    assert message.startswith(start)
    assert message.count("\n") == 1


def test_a_module_without_a_hash_is_refused(
    proxy: Path, module: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go itself would fetch it, and not mind."""
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    (module / "go.sum").write_text(MOD_SUM)
    assert fetched(module)[0] == 1
    assert capsys.readouterr().err == f"error: go.sum has no hash of {NAME} {VERSION}\n"


def test_a_module_that_is_gone_is_named(
    proxy: Path, module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No other server is asked."""
    (proxy / NAME / f"@v/{VERSION}.zip").unlink()
    assert fetched(module)[0] == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: go mod download: {NAME}: ")
    assert message.count("\n") == 1


def test_a_password_of_the_proxy_is_not_printed(
    proxy: Path, module: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Go repeats the address in its messages."""
    monkeypatch.setenv("GOPROXY", "https://user:s3cret@127.0.0.1:9/modules")
    assert fetched(module)[0] == 1
    message = capsys.readouterr().err
    assert "127.0.0.1:9" in message
    assert "s3cret" not in message

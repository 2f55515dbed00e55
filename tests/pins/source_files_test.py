"""What a source may contain: nothing of a hostile one is written, and one line says why."""

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repositories import git_client, source_files
from repositories.addresses import SourceError
from repositories.source_files import apply_patches, pack, unpack

Member = tuple[str, bytes, str]


def archive(*members: Member, end: Callable[[tarfile.TarInfo], None] = lambda _: None) -> bytes:
    """Return a tar of (name, type, link target) members; ``end`` edits each member's header."""
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            data = b"content" if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            end(info)
            tar.addfile(info, io.BytesIO(data))
    return result.getvalue()


FILE, LINK, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE
GOOD: Member = ("synapse/good", FILE, "")
HOSTILE: dict[str, list[Member]] = {
    "an absolute link": [("synapse/x", LINK, "/etc/passwd")],
    "a link that climbs": [("synapse/x", LINK, "../../etc/passwd")],
    "a link to what is around": [("synapse/x", LINK, "..")],
    "a link that climbs by another": [
        ("synapse/a/b", LINK, "."),
        ("synapse/a/x", LINK, "b/../../../x"),
    ],
    "a link without a target": [("synapse/x", LINK, "")],
    "a file below a link": [("synapse/a", LINK, "b"), ("synapse/a/x", FILE, "")],
    "a file in place of a link": [("synapse/a", LINK, "good"), ("synapse/a", FILE, "")],
    "a link in place of a folder": [("synapse/a", FOLDER, ""), ("synapse/a", LINK, "good")],
    "a file below a file": [("synapse/good/x", FILE, "")],
    "a link in place of a used folder": [("synapse/a/x", FILE, ""), ("synapse/a", LINK, "good")],
    "a hard link": [("synapse/x", tarfile.LNKTYPE, "synapse/good")],
    "a hard link outside": [("synapse/x", tarfile.LNKTYPE, "/etc/passwd")],
    "a device": [("synapse/x", tarfile.CHRTYPE, "")],
    "a block device": [("synapse/x", tarfile.BLKTYPE, "")],
    "a FIFO": [("synapse/x", tarfile.FIFOTYPE, "")],
    "an absolute name": [("/synapse/x", FILE, "")],
    "a name that climbs": [("synapse/../../x", FILE, "")],
    "a name that climbs first": [("../x", FILE, "")],
    "a newline": [("synapse/a\nb", FILE, "")],
    "an escape": [("synapse/a\x1b[2J", FILE, "")],
    "a newline in a target": [("synapse/a", LINK, "b\nc")],
    "not UTF-8": [("synapse/\udcff", FILE, "")],
    "a long name": [("synapse/" + "x" * 300, FILE, "")],
    "a deep name": [("synapse" + "/x" * 3000, FILE, "")],
    "a repository inside": [("synapse/.git/config", FILE, "")],
    "a repository inside, in capitals": [("synapse/a/.GIT", FILE, "")],
    "another top": [("other/x", FILE, "")],
    "a top that is a file": [("x", FILE, "")],
}


def tree_of(folder: Path) -> list[str]:
    """Return every path below ``folder``, relative to it and sorted."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_source_is_one_line(name: str, first: bool, tmp_path: Path) -> None:
    """Nothing is written, not even the members that precede the hostile one in the archive."""
    members = [GOOD, *HOSTILE[name]] if first else [*HOSTILE[name], GOOD]
    with pytest.raises(SourceError) as refused:
        unpack(io.BytesIO(archive(*members)), tmp_path / "in")
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    assert str(refused.value).startswith("the source ")
    assert tree_of(tmp_path) == []


def test_what_a_source_may_hold(tmp_path: Path) -> None:
    """Inner links, a leading dot and a repeated file are allowed, and packing is reproducible."""
    data = archive(
        ("./synapse", FOLDER, ""),
        ("./synapse/a/b", FILE, ""),
        ("./synapse/a/b", FILE, ""),
        ("./synapse/link", LINK, "a/b"),
        ("./synapse/a/up", LINK, "../link"),
        ("./synapse/folder", LINK, "a"),
        end=lambda info: setattr(info, "mode", 0o7777),
    )
    top = unpack(io.BytesIO(gzip.compress(data)), tmp_path / "in")
    assert top == tmp_path / "in/synapse"
    assert (top / "a/up").read_bytes() == b"content"
    assert os.readlink(top / "folder") == "a"
    assert (top / "a/b").stat().st_mode & 0o7777 == 0o755
    again = unpack(io.BytesIO(pack(top)), tmp_path / "again")
    assert pack(again) == pack(top)


def test_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archives with too many bytes or files, or with a too large size in a header, are refused."""
    monkeypatch.setattr(source_files, "MOST_BYTES", 2**20)
    with pytest.raises(SourceError, match="the source is larger than 1 MiB"):
        unpack(io.BytesIO(gzip.compress(b"\0" * 2**21)), tmp_path / "in")
    info = tarfile.TarInfo("synapse/x")
    info.size = 2**33
    with pytest.raises(SourceError, match="the source has more than 100000 files or 1 MiB"):
        unpack(io.BytesIO(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024), tmp_path / "in")
    monkeypatch.setattr(source_files, "MOST_FILES", 20)
    many: list[Member] = [(f"synapse/{number}", FILE, "") for number in range(30)]
    with pytest.raises(SourceError, match="the source has more than 20 files"):
        unpack(io.BytesIO(archive(*many)), tmp_path / "in")
    assert tree_of(tmp_path) == []


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_one_line(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A damaged or truncated archive is unpacked inside the folder or refused with one line."""
    folder = tmp_path_factory.mktemp("damaged")
    good = archive(GOOD, ("synapse/a/b", FILE, ""), ("synapse/link", LINK, "a/b"))
    whole = bytearray(gzip.compress(good, 1) if data.draw(st.booleans()) else good)
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    said = ""
    try:
        unpack(io.BytesIO(cut), folder / "in")
    except SourceError as error:
        said = str(error)
    assert "\n" not in said
    assert set(os.listdir(folder)) <= {"in"}
    for path in (folder / "in").rglob("*"):
        assert path.resolve().is_relative_to((folder / "in").resolve())


PATCHES = {
    "an absolute link": "new file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc\n"
    "\\ No newline at end of file\n",
    "a link that climbs": "new file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+../..\n"
    "\\ No newline at end of file\n",
}
OUTSIDE = (
    "diff --git a/../x b/../x\nnew file mode 100644\n--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n"
)


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_makes_no_link_outside(name: str, tmp_path: Path) -> None:
    """A patch that adds a link out of the source is refused by name."""
    top = unpack(io.BytesIO(archive(GOOD)), tmp_path / "in")
    (tmp_path / "1.patch").write_text(f"diff --git a/x b/x\n{PATCHES[name]}")
    with pytest.raises(SourceError, match=r"^1.patch does not apply: .*leads out of the source"):
        apply_patches(top, [tmp_path / "1.patch"])


def test_a_patch_writes_nothing_outside(tmp_path: Path) -> None:
    """A patch cannot write beside the source, and its name cannot act as an option of git."""
    top = unpack(io.BytesIO(archive(GOOD)), tmp_path / "in")
    (tmp_path / "1.patch").write_text(OUTSIDE)
    with pytest.raises(SourceError, match=r"^1.patch does not apply: error: invalid path"):
        apply_patches(top, [tmp_path / "1.patch"])
    assert not (tmp_path / "in/x").exists()
    (tmp_path / "--directory=..patch").write_text(OUTSIDE)
    with pytest.raises(SourceError, match="the name of a patch may contain only letters"):
        apply_patches(top, [tmp_path / "--directory=..patch"])


def test_a_source_that_looks_like_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its git configuration nor the user's runs a program when a patch is applied."""
    told = tmp_path / "told"
    config = f"[core]\n\tbare = false\n\tworktree = .\n\tfsmonitor = touch {told}\n"
    config += f'[filter "x"]\n\tclean = touch {told}; cat\n\tsmudge = touch {told}; cat\n'
    top = unpack(io.BytesIO(archive(GOOD, ("synapse/objects", FOLDER, ""))), tmp_path / "in")
    for name, text in {
        "HEAD": "ref: refs/heads/main\n",
        "config": config,
        "refs/x": "",
        ".gitattributes": "* filter=x\n",
    }.items():
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(text)
    (tmp_path / ".gitconfig").write_text(config)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "1.patch").write_text(
        "diff --git a/good b/good\n--- a/good\n+++ b/good\n@@ -1 +1 @@\n-content\n"
        "\\ No newline at end of file\n+new\n"
    )
    apply_patches(top, [tmp_path / "1.patch"])
    assert (top / "good").read_text() == "new\n"
    assert not told.exists()


def test_an_archive_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git is stopped when its output exceeds the limit."""
    monkeypatch.setattr(git_client, "MOST_BYTES", 4096)
    git_client.git("init", "--quiet", "--bare", "--template=", repository=tmp_path)
    (tmp_path / "large").write_bytes(b"\0" * 100_000)
    blob = git_client.git("hash-object", "-w", "--", str(tmp_path / "large"), repository=tmp_path)
    with pytest.raises(SourceError, match="the source is larger than"):
        git_client.git("cat-file", "blob", blob.decode().strip(), repository=tmp_path)

"""A homeserver.yaml that cannot be read: each kind by its text."""

from pathlib import Path

import pytest

from worker.errors import ConfigError
from worker.files import read_homeserver

# Ten lines that stand for ten thousand million values.
LAUGHS = b"a0: &a0 [x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 11)
)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty; it must be a mapping of settings"),
        (b"- a\n", "is a list; it must be a mapping of settings"),
        (b"text", "is a str; it must be a mapping of settings"),
        (b"a: 1\na: 2\n", "is not YAML: line 2: a stands there twice"),
        (b"a: \xff\n", "is not UTF-8: byte 3 is wrong"),
        (b"a:\n\t- b\n", "is not YAML: line 2: "),
        (b"a: [1\n", "is not YAML: line "),
        (b"a: !!python/object/apply:os.system [id]\n", "is not YAML: line 1: "),
        (b"a: \x00\n", "is not YAML: "),
        (b"[" * 5000, "is n"),  # YAML's own parser refuses it, in words of its own.
        (b"a: &a [*a]\n", "is nested more than 100 levels deep; flatten it"),
        (b"a: " + b"[" * 200 + b"]" * 200, "is nested more than 100 levels deep; flatten it"),
        (LAUGHS, "has more than 100000 values, aliases expanded; use fewer"),
    ],
)
def test_an_unusable_homeserver_yaml_gives_one_line(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    """Synapse itself answers with up to 58 lines of traceback, or starts on half of the file."""
    path = tmp_path / "homeserver.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_homeserver(path)
    (line,) = caught.value.problems
    assert line.startswith(f"{path} {problem}")
    assert "\n" not in line


def test_a_homeserver_yaml_that_is_too_large_is_named(tmp_path: Path) -> None:
    """Nobody has 10 MiB of settings; a log or a dump was mounted."""
    path = tmp_path / "homeserver.yaml"
    path.write_bytes(b"#" * (10 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError) as caught:
        read_homeserver(path)
    assert caught.value.problems == (
        f"{path}: the configuration has more than 10485760 bytes; give a smaller file",
    )


def test_a_missing_homeserver_yaml_is_named(tmp_path: Path) -> None:
    """The commonest first mistake: a volume that is not mounted."""
    path = tmp_path / "homeserver.yaml"
    with pytest.raises(ConfigError, match=r": the configuration is missing; mount it"):
        read_homeserver(path)


def test_a_folder_in_place_of_homeserver_yaml_is_named(tmp_path: Path) -> None:
    """Docker makes a folder when the file to mount does not exist."""
    with pytest.raises(ConfigError, match="is a folder; mount a file there"):
        read_homeserver(tmp_path)

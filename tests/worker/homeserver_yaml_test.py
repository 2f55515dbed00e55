"""Error messages for each kind of homeserver.yaml that cannot be read."""

import subprocess
import sys
from pathlib import Path

import pytest

from worker.errors import ConfigError
from worker.files import read_homeserver

# Eleven lines that expand to ten billion values.
LAUGHS = b"a0: &a0 [x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 11)
)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", " is empty; it must be a mapping of settings"),
        (b"- a\n", " is a list; it must be a mapping of settings"),
        (b"text", " is a str; it must be a mapping of settings"),
        (b"a: 1\na: 2\n", ": line 2: a is listed twice; remove one"),
        (b"a: \xff\n", ": not UTF-8: byte 3 is invalid; save it as UTF-8"),
        (b"a:\n\t- b\n", ": not YAML: line 2: "),
        (b"a: [1\n", ": not YAML: line "),
        (b"a: !!python/object/apply:os.system [id]\n", ": not YAML: line 1: "),
        (b"a: \x00\n", ": not YAML: "),
        (b"[" * 5000, ": nested more than 100 levels deep; flatten it"),
        (b"a: &a [*a]\n", ": line 1: a contains itself through an alias; write the value out"),
        (b"a: " + b"[" * 200 + b"]" * 200, ": nested more than 100 levels deep; flatten it"),
        (LAUGHS, ": more than 100000 values after expanding aliases and merge keys; use fewer"),
    ],
)
def test_an_unusable_homeserver_yaml_gives_one_line(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    """Synapse itself prints up to 58 lines of traceback, or starts with half of the file."""
    path = tmp_path / "homeserver.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        read_homeserver(path)
    (line,) = caught.value.problems
    assert line.startswith(f"{path}{problem}")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x: 2026-02-30", "x looks like a date, but is not a valid one; correct or quote it"),
        ("x: {y: 2026-13-01}", "x.y looks like a date, but is not a valid one; correct or quote"),
        ("x: 2001-01-01 00:00:00 +99:99", "x looks like a date, but is not a valid one; correct"),
        ("x: 0x_", "x looks like an integer, but is not a valid one; correct or quote it"),
        ("x: !!int foo", "x looks like an integer, but is not a valid one; correct or quote it"),
        ("x: " + "9" * 4301, "x looks like an integer, but is not a valid one; correct or quote"),
        ("x: 0x" + "f" * 4000, "x looks like an integer, but is not a valid one; correct or"),
        ("x: !!float foo", "x looks like a number, but is not a valid one; correct or quote it"),
        ("x: !!bool foo", "x looks like a boolean, but is not a valid one; correct or quote it"),
        ("x: !!binary a", "x looks like base64, but is not a valid one; correct or quote it"),
        ("x: !!timestamp foo", "x looks like a date, but is not a valid one; correct or quote"),
        ("x: <<", "x looks like a merge key, but is not a valid one; correct or quote it"),
        ('x: "\\ud800"', "x has half of a surrogate pair; write the character itself"),
        (
            "x: !foo bar",
            "x has a tag that does not fit its value; remove the tag, or quote text that begins "
            "with !",
        ),
        ("0x_: 1", "a key in the document looks like an integer, but is not a valid one"),
        ("x: {1: a, 1.0: b}", "1.0 is listed twice; remove one"),
        ("x: {'<<': a, '<<': b}", "<< is listed twice; remove one"),
        ("x: &x {y: *x}", "x.y contains itself through an alias; write the value out"),
        ("x: &x {<<: *x}", "x contains itself through an alias; write the value out"),
        ("x: !!str &x {=: *x}", "x has the tag of a single value, but is a mapping; remove the"),
        (
            "? !!str &x {=: *x}\n: y",
            "a key in the document has the tag of a single value, but is a mapping; remove the",
        ),
        ("x: &x {=: *x}", "x.= contains itself through an alias; write the value out"),
    ],
)
def test_a_value_that_yaml_cannot_make_is_named_by_line_and_setting(
    tmp_path: Path, text: str, problem: str
) -> None:
    """PyYAML fails with a traceback of whatever int() or date() raised."""
    path = tmp_path / "homeserver.yaml"
    path.write_text(f"# A comment.\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        read_homeserver(path)
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: line 2: {problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x: !!map [a]", "expected a mapping node, but found sequence"),
        ("x: !!seq {a: b}", "expected a sequence node, but found mapping"),
        ("x: !!int [1]", "expected a scalar node, but found sequence"),
        ("x: !!omap {a: b}", "expected a sequence, but found mapping"),
        ("x: {<<: 1}", "expected a mapping or list of mappings for merging, but found scalar"),
        ("x: {[a]: b}", "found unhashable key"),
        ("x: !foo [a]", "found a tag that YAML does not define; quote text that begins with !"),
        ("x: *foo", "found undefined alias; quote text that begins with *"),
        ("x: 1\n--- {}", "but found another document"),
    ],
)
def test_a_document_of_a_wrong_form_is_named_by_its_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    """The message is the parser's own, without the value that it may quote."""
    path = tmp_path / "homeserver.yaml"
    path.write_text(f"{text}\n")
    with pytest.raises(ConfigError) as caught:
        read_homeserver(path)
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: not YAML: line ")
    assert line.endswith(problem)


@pytest.mark.parametrize(
    "value",
    [
        "!hunter2",
        "!!hunter2",
        "*hunter2",
        "!hunter2 [x]",
        "!!int hunter2",
        "!!bool hunter2",
        "!!binary hünter2",
        "%hunter2",
        "@hunter2",
        "!h!hunter2 x",
        "&hunter2 *x",
        "{hunter2",
        "'hunter2",
    ],
)
def test_a_password_that_is_not_quoted_is_not_repeated(tmp_path: Path, value: str) -> None:
    """YAML reads a leading ! or * in a password as a tag or an alias, and many people read logs."""
    path = tmp_path / "homeserver.yaml"
    path.write_text(f"database: {{args: {{password: {value}}}}}\n")
    with pytest.raises(ConfigError) as caught:
        read_homeserver(path)
    assert "unter2" not in caught.value.problems[0]


def test_merge_keys_mean_what_they_mean_to_synapse(tmp_path: Path) -> None:
    """Several OIDC providers often share most of their settings."""
    path = tmp_path / "homeserver.yaml"
    path.write_text(
        """
x-base: &oidc {idp_id: none, issuer: "https://idp.example/", scopes: [openid]}
x-more: &more {client_id: synapse, discover: false}
oidc_providers:
  - {<<: *oidc, idp_id: one}
  - <<: [*more, *oidc]
    idp_id: two
"""
    )
    one, two = read_homeserver(path)["oidc_providers"]
    assert one == {"idp_id": "one", "issuer": "https://idp.example/", "scopes": ["openid"]}
    assert two == {
        "idp_id": "two",
        "issuer": "https://idp.example/",
        "scopes": ["openid"],
        "client_id": "synapse",
        "discover": False,
    }


def _merges(levels: int, width: int) -> bytes:
    """Return ``levels`` mappings, each of which merges the previous one ``width`` times."""
    text = b"a0: &a0 {x: 1}\n"
    for n in range(1, levels):
        text += b"a%d: &a%d {<<: [%s]}\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * width))
    return text


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        _merges(40, 2),
        _merges(12, 100),
        _merges(90, 10),
        _merges(2000, 2),
        b"a: &a {x: 1}\nb: {<<: [" + b"*a, " * 110_000 + b"]}\n",
        b"a: &a [" + b"x, " * 60_000 + b"]\nb: *a\n",
        b"x: [" + b"{}," * 3_000_000 + b"]\n",
        b"- " * 5_000_000,
        b"x: " + b"[" * 5_000_000,
        b"{a: " * 2_000_000,
        b"a: &a0 [x]\n" + b"".join(b"b%d: &a%d [*a%d]\n" % (n, n, n - 1) for n in range(1, 3000)),
    ],
    ids=[
        "aliases",
        "merges",
        "wide",
        "deep",
        "long",
        "list",
        "twice",
        "flat",
        "block",
        "flow",
        "mappings",
        "chain",
    ],
)
def test_a_bomb_is_refused_in_little_time_and_memory(tmp_path: Path, data: bytes) -> None:
    """Expanding first and counting afterwards would exhaust memory before the refusal."""
    path = tmp_path / "homeserver.yaml"
    path.write_bytes(data)
    script = f"""
import resource
from pathlib import Path
from worker.errors import ConfigError
from worker.files import read_homeserver
resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20))
try:
    read_homeserver(Path({str(path)!r}))
except ConfigError as error:
    print(*error.problems, resource.getrusage(resource.RUSAGE_SELF).ru_utime, sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60
    )
    line, seconds = done.stdout.splitlines()
    assert "nested more than 100 levels" in line or "more than 100000 values" in line
    assert float(seconds) < 4  # Of the child process only, including the interpreter's startup.


def test_a_homeserver_yaml_that_is_too_large_is_named(tmp_path: Path) -> None:
    """No configuration has 10 MiB; a log or a dump was mounted by mistake."""
    path = tmp_path / "homeserver.yaml"
    path.write_bytes(b"#" * (10 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError) as caught:
        read_homeserver(path)
    assert caught.value.problems == (
        f"{path}: the configuration has more than 10485760 bytes; use a smaller file",
    )


def test_a_missing_homeserver_yaml_is_named(tmp_path: Path) -> None:
    """The most common first mistake is a volume that is not mounted."""
    path = tmp_path / "homeserver.yaml"
    with pytest.raises(ConfigError, match=r": the configuration is missing; mount it"):
        read_homeserver(path)


def test_a_folder_in_place_of_homeserver_yaml_is_named(tmp_path: Path) -> None:
    """Docker creates a folder when the file to mount does not exist."""
    with pytest.raises(ConfigError, match="is a folder; mount a file there"):
        read_homeserver(tmp_path)

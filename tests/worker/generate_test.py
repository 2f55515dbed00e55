"""The first homeserver.yaml: accepted paths and names are kept intact; failures leave no files."""

import base64
import os
import re
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.errors import ConfigError
from worker.files import read_homeserver, write_new
from worker.generate import configuration, generate

NAMED = {"SYNAPSE_SERVER_NAME": "example.com", "SYNAPSE_REPORT_STATS": "no"}
_FOLDERS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
_ODD_FOLDERS = st.sampled_from(
    [
        "a #b",
        "#",
        "a: b",
        "- a",
        "{a}",
        "'",
        '"',
        "a\\b",
        "%",
        "~",
        "null",
        " a ",
        "a\nb",
        "*a",
        "yes",
        "!x",
        "&x",
        "a\tb",
        "|",
        "\u0085",
        "\u2028",
        "\ufeff",
        "0x1f",
        "2001-01-01",
        "🙂",
    ]
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(folder=st.one_of(_ODD_FOLDERS, _FOLDERS), stats=st.sampled_from(["yes", "no"]))
def test_any_folder_is_named_as_it_is_called(tmp_path: Path, folder: str, stats: str) -> None:
    """A comment character in the folder's name once truncated the path."""
    data = Path(tempfile.mkdtemp(dir=tmp_path)) / folder
    data.mkdir()
    environ = NAMED | {"SYNAPSE_REPORT_STATS": stats, "SYNAPSE_DATA_DIR": str(data)}
    written = generate(environ)
    document = read_homeserver(data / "homeserver.yaml")
    assert document == yaml.safe_load((data / "homeserver.yaml").read_text())
    assert document == {
        "server_name": "example.com",
        "report_stats": stats == "yes",
        "database": {"name": "sqlite3", "args": {"database": f"{data}/homeserver.db"}},
        "registration_shared_secret_path": f"{data}/registration_shared_secret",
        "macaroon_secret_key_path": f"{data}/macaroon_secret_key",
        "form_secret_path": f"{data}/form_secret",
        "trusted_key_servers": [{"server_name": "matrix.org"}],
        "suppress_key_server_warning": True,
    }
    assert sorted(path.name for path in data.iterdir()) == sorted(path.name for path in written)
    for path in written:
        assert path.stat().st_mode & 0o777 == 0o600


@given(
    st.from_regex(r"(?:[A-Za-z0-9.-]{1,20}|\[[0-9a-f:.]{2,10}\])(?::[0-9]{1,5})?", fullmatch=True)
)
def test_a_server_name_that_looks_like_another_type_is_text(name: str) -> None:
    """Examples are 1e5, 1:30 and no, which YAML would read as other types."""
    assert (
        yaml.safe_load(configuration(name, report_stats=True, data_dir=Path("/d")))["server_name"]
        == name
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "https://x",
            "is not a server name; use a name such as example.com, followed by a port if",
        ),
        ("a_b", "is not a server name"),
        ("example.com:", "is not a server name"),
        ("example.com:0", "is not a server name"),
        ("example.com:65536", "is not a server name"),
        ("example.com\n", "is not a server name"),
        ("bücher.example", "is not a server name"),
        ("[:::]", "is not an IPv6 address"),
        ("1.2.3.4.5", "is not an IPv4 address"),
        ("a..b", "is not a host name"),
        ("-a", "is not a host name"),
    ],
)
def test_a_server_name_that_is_none_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    """The server name of a homeserver can never be changed."""
    with pytest.raises(ConfigError) as caught:
        generate(NAMED | {"SYNAPSE_SERVER_NAME": name, "SYNAPSE_DATA_DIR": str(tmp_path)})
    (line,) = caught.value.problems
    assert line.startswith(f"SYNAPSE_SERVER_NAME={name!r} {problem}")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    """A second attempt must not find partial results of the first."""
    config = tmp_path / ("a" * 256)
    environ = NAMED | {"SYNAPSE_DATA_DIR": str(tmp_path), "SYNAPSE_CONFIG_PATH": str(config)}
    with pytest.raises(ConfigError, match="cannot be written: File name too long"):
        generate(environ)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    """Existing files are kept, including a dangling symbolic link."""
    (tmp_path / "signing.key").write_text("mine")
    (tmp_path / "homeserver.yaml").symlink_to("nowhere")
    environ = NAMED | {"SYNAPSE_DATA_DIR": str(tmp_path)}
    with pytest.raises(ConfigError, match=r"homeserver\.yaml already exists; it is not replaced"):
        generate(environ)
    assert len(list(tmp_path.iterdir())) == 2
    (tmp_path / "homeserver.yaml").unlink()
    generate(environ)
    assert (tmp_path / "signing.key").read_text() == "mine"


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """One cause is a volume that was not mounted."""
    data = tmp_path / "data"
    with pytest.raises(ConfigError) as caught:
        generate(NAMED | {"SYNAPSE_DATA_DIR": str(data)})
    assert caught.value.problems == (
        f"{data} is not writable by uid {os.geteuid()}; mount a folder that it owns",
    )


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    """The first writer wins, and no temporary file is left."""
    path = tmp_path / "a"
    assert write_new(path, "one") == path
    with pytest.raises(ConfigError, match="already exists; it is not replaced"):
        write_new(path, "two")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_the_first_files_word_for_word(tmp_path: Path) -> None:
    """The comments say what to change before adding workers; the key has Synapse's own format."""
    generate(NAMED | {"SYNAPSE_DATA_DIR": str(tmp_path)})
    texts = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert texts.pop("homeserver.yaml") == FIRST.format(data=tmp_path)
    key = re.fullmatch("ed25519 a_[0-9a-f]{4} ([A-Za-z0-9+/]{43})\n", texts.pop("signing.key"))
    assert key is not None
    assert len(base64.b64decode(f"{key[1]}=")) == 32
    assert sorted(texts) == ["form_secret", "macaroon_secret_key", "registration_shared_secret"]
    # Each is 32 random bytes, and no two are the same.
    assert all(re.fullmatch("[A-Za-z0-9_-]{43}\n", text) for text in texts.values())
    assert len(set(texts.values())) == 3


def test_the_services_of_workers_are_in_the_file(tmp_path: Path) -> None:
    """With a plan, the hosts are those in the files that `compose` and `quadlet` print."""
    generate(NAMED | {"SYNAPSE_DATA_DIR": str(tmp_path), "SYNAPSE_WORKERS": "typing"})
    document = yaml.safe_load((tmp_path / "homeserver.yaml").read_text())
    postgres = {"host": "postgres", "user": "synapse", "dbname": "synapse"}
    assert document["database"] == {"name": "psycopg2", "args": postgres}
    assert document["redis"] == {"enabled": True, "host": "redis"}
    assert document["server_name"] == "example.com"


FIRST = """\
# A first configuration for example.com; every process reads this file.
# https://element-hq.github.io/synapse/latest/usage/configuration/config_documentation.html
server_name: example.com
report_stats: false

# SQLite is enough for one process; move to PostgreSQL before you add workers:
# database: {{name: psycopg2, args: {{host: postgres, user: synapse, dbname: synapse}}}}
# redis: {{enabled: true, host: redis}}
database:
  name: sqlite3
  args:
    database: {data}/homeserver.db

# Secrets, each in a file of its own.
registration_shared_secret_path: {data}/registration_shared_secret
macaroon_secret_key_path: {data}/macaroon_secret_key
form_secret_path: {data}/form_secret

# The server to ask for the keys of servers that are down; the second option turns
# off Synapse's warning about this choice.
trusted_key_servers:
- server_name: matrix.org
suppress_key_server_warning: true
"""


def test_the_folder_is_data_when_nothing_else_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The official image has the same default; the two variables are still required."""
    monkeypatch.setattr("worker.generate.os.access", lambda *_: False)
    monkeypatch.setattr("worker.generate.os.path.lexists", lambda _: False)
    with pytest.raises(ConfigError) as caught:
        generate({"SYNAPSE_DATA_DIR": ""})
    assert caught.value.problems == (
        "SYNAPSE_SERVER_NAME is not set; set it to the part after the colon in user IDs",
        "SYNAPSE_REPORT_STATS='' is neither yes nor no; use yes to send anonymous statistics to "
        "matrix.org, or no",
        f"/data is not writable by uid {os.geteuid()}; mount a folder that it owns",
    )


def test_what_another_process_removed_does_not_hide_the_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two concurrent runs, one may remove files of the other when it cleans up."""
    written: list[Path] = []

    def write_and_fail(path: Path, text: str) -> Path:
        if written:
            written[0].unlink()
            raise ConfigError(["disk full"])
        written.append(write_new(path, text))
        return path

    monkeypatch.setattr("worker.generate.write_new", write_and_fail)
    with pytest.raises(ConfigError, match="disk full"):
        generate(NAMED | {"SYNAPSE_DATA_DIR": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []

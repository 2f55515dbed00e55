"""The verbs that print files for container engines: their output and their messages."""

import io
import os
import re
import sys
import tarfile
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.engines import ENGINES, REPLICATING
from tests.worker.fuzzing import Tally, answer, many
from worker.__main__ import main

DIGEST = "--image=quay.io/example/synapse@sha256:" + "0" * 64


def run(
    capsys: pytest.CaptureFixture[bytes], *arguments: str, environ: Mapping[str, str] = {}
) -> tuple[int, bytes, list[str]]:
    """Run a verb; return its exit code, its output, and the messages."""
    code = main(arguments, environ)
    printed = capsys.readouterr()
    return code, printed.out, printed.err.decode().splitlines()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_archive_is_printed(engine: str, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """It has the process of each worker."""
    code, output, messages = run(capsysbinary, engine, "synchrotron:2", DIGEST)
    assert (code, messages) == (0, [])
    with tarfile.open(fileobj=io.BytesIO(output)) as tar:
        files = [tar.extractfile(name) for name in tar.getnames()]
        texts = b"".join(file.read() for file in files if file)
    for name in [b"synchrotron"] if engine in REPLICATING else [b"synchrotron1", b"synchrotron2"]:
        assert name in texts


def unpacked(output: bytes) -> dict[str, str]:
    """Return the files of an archive by path."""
    with tarfile.open(fileobj=io.BytesIO(output)) as tar:
        files = {name: tar.extractfile(name) for name in tar.getnames()}
        return {name: file.read().decode() for name, file in files.items() if file}


@pytest.mark.parametrize("engine", ENGINES)
def test_one_container_can_have_all_processes(
    engine: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The proxy finds each of them at a port of its own."""
    code, output, messages = run(
        capsysbinary, engine, "synchrotron:2, typing", "--one-container", DIGEST
    )
    assert (code, messages) == (0, [])
    files = unpacked(output)
    text = "".join(files.values())
    (proxy,) = [one for name, one in files.items() if name.endswith("haproxy.cfg")]
    assert "server synchrotron2 'main:18002' " in proxy
    assert re.search('SYNAPSE_PROCESSES(: "|=)all"', text)
    assert not any("synchrotron" in name for name in files)
    assert "SYNAPSE_WORKER_NAME" not in text


@pytest.mark.parametrize("verb", [*ENGINES, "kubernetes"])
def test_without_workers_one_container_is_a_warning(
    verb: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The files are those without the option."""
    expected = run(capsysbinary, verb, "", DIGEST)
    assert expected[0] == 0
    assert run(capsysbinary, verb, "", "--one-container", DIGEST) == (
        0,
        expected[1],
        [
            "warning: --one-container: the plan has no workers, so the main process is an ordinary "
            "container"
        ],
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_an_image_without_a_digest_is_a_warning(
    engine: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A tag can be moved."""
    code, output, messages = run(capsysbinary, engine, "typing", "--image=quay.io/example/x:1")
    assert code == 0
    assert output
    assert messages == [
        "warning: --image='quay.io/example/x:1' has no digest, so a later start can run another "
        "image; use NAME@sha256:DIGEST"
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["typing", "--image=a b"],
            "--image='a b' is not an image reference; use HOST/NAME:TAG or HOST/NAME@sha256:DIGEST",
        ),
        (
            ["all=typing", "--one-container"],
            "SYNAPSE_WORKERS: all is the name of a worker, but stands for all processes "
            "in SYNAPSE_PROCESSES; give the worker another name",
        ),
        (["typing", "--host=h"], "--host='h': the plan names no hosts; remove the option"),
        (
            ["redis=typing"],
            "SYNAPSE_WORKERS: redis is the name of a worker and of the container of redis; give "
            "the worker another name",
        ),
        (
            ["typing:2"],
            "SYNAPSE_WORKERS: typing1, typing2 all have the worker type typing, which only one "
            "worker may have; remove it from the others",
        ),
    ],
)
def test_a_mistake_is_named_and_nothing_is_printed(
    engine: str, arguments: list[str], line: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The message is one line, and the exit code is that of wrong settings."""
    assert run(capsysbinary, engine, *arguments) == (2, b"", [f"error: {line}"])


def test_a_terminal_gets_no_archive(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Its bytes could change the terminal's settings."""
    controller, terminal = os.openpty()
    with os.fdopen(controller), os.fdopen(terminal, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        code, _, messages = run(capsysbinary, "compose", "typing", DIGEST)
    assert code == 2
    assert messages == [
        "error: compose: the output is a tar archive; pipe it to tar, as in: ... | tar -x"
    ]


_TEXT = st.text(max_size=30)
_OPTIONS = st.lists(
    st.builds(
        "--{}={}".format,
        st.sampled_from(["image", "host", "redis-image", "proxy-image", "x"]),
        st.one_of(_TEXT, st.sampled_from(["quay.io/a/b:1", "10.0.0.7", "localhost/a"])),
    ),
    max_size=3,
)


@many(5)
@given(
    engine=st.sampled_from(ENGINES),
    plan=st.one_of(_TEXT, st.sampled_from(["typing", "generic_worker:3, pusher@[::1]"])),
    options=_OPTIONS,
    one_container=st.booleans(),
    environ=st.dictionaries(
        st.one_of(
            st.sampled_from(
                [
                    "SYNAPSE_REPLICATION_HOST",
                    "SYNAPSE_HOSTNAME",
                    "SYNAPSE_DATA_DIR",
                    "SYNAPSE_PROCESSES",
                    "SYNAPSE_UNIX_SOCKETS",
                    "SYNAPSE_X",
                ]
            ),
            st.text(max_size=5).map("SYNAPSE_{}".format),
        ),
        st.text(st.characters(exclude_categories=()), max_size=20),
        max_size=2,
    ),
)
def test_any_arguments_end_with_a_line_or_an_archive(
    engine: str, plan: str, options: list[str], one_container: bool, environ: dict[str, str]
) -> None:
    """No input gives a traceback, or a line that is not meant in a file."""
    if one_container:
        options.append("--one-container")
    status, output, _ = answer([engine, *options, "--", plan], environ, Tally("engines"))
    if status == 0:
        for value in environ.values():
            assert value.isprintable()
        with tarfile.open(fileobj=io.BytesIO(output.encode())) as tar:
            assert len(tar.getnames()) > 1

"""Fuzz tests of plans and of the files that the environment names."""

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from testbed.site import PLANNED, WORKERS
from tests.worker.cases import plans
from tests.worker.fuzzing import SECRET, Tally, answer, many, site

_PUSHER = {"SYNAPSE_WORKER": "synapse.app.pusher", "SYNAPSE_REPLICATION_HOST": "main"}


def test_any_plan(folder: Path, tally: Tally) -> None:
    """The plan is an argument, a file, or a variable in the environment of a process."""
    mounted = site(folder) | {"SYNAPSE_FEDERATION_TLS": "off"}
    (folder / "data/homeserver.yaml").write_text(PLANNED)
    file = folder / "plan"
    printing = ("prometheus", "alerts", "dashboard")

    @many()
    @given(plan=plans(), how=st.sampled_from(["argument", "file", *printing, "environment"]))
    def check(plan: str, how: str) -> None:
        environ = mounted | {"SYNAPSE_REPLICATION_HOST": "main"}
        if how == "environment":
            environ |= {"SYNAPSE_WORKERS": plan.replace("\0", ""), "SYNAPSE_WORKER": "homeserver"}
            answer(["print-config"], environ, tally)
            return
        verb = how if how in printing else "doctor"
        if how == "file":
            file.write_text(plan, errors="surrogatepass")
            plan = str(file)
        answer([verb, plan], environ, tally)

    check()
    tally.must_have_seen(0, 2)


def _make(path: Path, kind: str, data: bytes) -> None:
    """Replace ``path`` with a file of ``kind``."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    if kind == "bytes":
        path.write_bytes(data)
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind != "missing":
        path.symlink_to({"loop": path.name, "dangling": "nowhere"}.get(kind, kind))


_KINDS = st.sampled_from(
    ["bytes"] * 8 + ["folder", "fifo", "missing", "loop", "dangling"]
    + ["/dev/zero", "/dev/null", "/dev/full", "/dev/tty", "/proc/self/mem", "/proc/kmsg"]
)  # fmt: skip
_KEYS = st.one_of(
    st.binary(max_size=100),
    st.builds(
        lambda *parts: " ".join(parts).encode("utf-8", "surrogatepass"),
        st.sampled_from(["ed25519", "rsa", "", "#"]),
        st.text(max_size=6),
        st.text("AZaz09+/=_-", max_size=90),
    ),
    st.just(f"ed25519 a_1 {'Bc' * 21}A\n".encode()),
)


def test_any_file(folder: Path, tally: Tally) -> None:
    """The mounted file may be a pipe, a device, a folder, or not the intended file."""
    mounted = site(folder) | {"SYNAPSE_REPLICATION_SECRET_FILE": str(folder / "data/secret")}
    names = st.sampled_from(["signing.key", "secret", "homeserver.yaml", "tls.crt", "tls.key"])

    @many()
    @given(name=names, kind=_KINDS, data=_KEYS, planted=st.booleans(), worker=st.booleans())
    def check(name: str, kind: str, data: bytes, planted: bool, worker: bool) -> None:
        (folder / "data/homeserver.yaml").unlink(missing_ok=True)
        (folder / "data/homeserver.yaml").write_text(WORKERS)
        (folder / "data/secret").unlink(missing_ok=True)
        (folder / "data/secret").write_text("a secret of this homeserver\n")
        _make(folder / "data" / name, kind, data + (SECRET.encode() if planted else b""))
        environ = mounted | _PUSHER
        if not worker:
            environ |= {"SYNAPSE_WORKER": "synapse.app.federation_reader"}
        try:
            answer(["start"], environ, tally, planted=planted)
        finally:
            _make(folder / "data" / name, "missing", b"")
            site(folder)

    check()
    tally.must_have_seen(0, 2)

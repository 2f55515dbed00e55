"""Hypothesis strategies for homeserver.yaml documents and environments, most nearly valid."""

from typing import Any

import yaml
from hypothesis import strategies as st

from testbed.site import PLANNED, WORKERS
from worker.worker_types import load_table

_TABLE = load_table()
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["main", "master", "10.0.0.1", "/data", "1h", "true", "synapse.app.pusher"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=10), st.integers()), inner, max_size=4),
    ),
    max_leaves=12,
)


def values() -> st.SearchStrategy[Any]:
    """Return a strategy for small values of any type that YAML can hold."""
    return _VALUES


# Options that the entrypoint reads or writes, and a few that only Synapse's parser reads.
_KEYS = st.sampled_from(
    sorted(
        {worker_type.duty for worker_type in _TABLE.types.values() if worker_type.duty}
        | {worker_type.legacy for worker_type in _TABLE.types.values() if worker_type.legacy}
        | {
            "database",
            "databases",
            "enable_media_repo",
            "instance_map",
            "listeners",
            "log_config",
            "max_upload_size",
            "media_store_path",
            "outbound_federation_restricted_to",
            "rc_message",
            "redis",
            "report_stats",
            "server_name",
            "signing_key",
            "stream_writers",
            "tls_certificate_path",
            "trusted_key_servers",
            "url_preview_enabled",
            "worker_app",
            "worker_listeners",
            "worker_name",
            "worker_replication_host",
            "worker_replication_secret",
            "worker_replication_secret_path",
        }
    )
)


def homeservers() -> st.SearchStrategy[dict[Any, Any]]:
    """Return a strategy for documents that an operator could have mounted."""
    bases = st.sampled_from([{}, yaml.safe_load(WORKERS), yaml.safe_load(PLANNED)])
    changes = st.dictionaries(_KEYS, _VALUES, max_size=4)
    strange = st.dictionaries(st.one_of(st.text(max_size=8), st.integers()), _VALUES, max_size=2)
    return st.builds(lambda base, change, odd: base | change | odd, bases, changes, strange)


# Text that a process can receive: no NUL, and nothing that UTF-8 cannot encode.
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
_NAMES = st.sampled_from([*_TABLE.apps, *_TABLE.types, "homeserver", "pusher+typing", "bogus"])
_PLANS = st.lists(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "a=", "b="]),
        _NAMES,
        st.sampled_from(["", ":2", "@host", ":x"]),
    ),
    max_size=4,
).map(", ".join)


def _mostly(*good: str) -> st.SearchStrategy[str]:
    """Return a strategy for text: nine times out of ten one of ``good``, which is valid."""
    return st.one_of(*[st.sampled_from(good)] * 9, _TEXTS)


def environs() -> st.SearchStrategy[dict[str, str]]:
    """Return a strategy for environments that an operator could have set."""
    return st.fixed_dictionaries(
        {
            "SYNAPSE_REPLICATION_HOST": _mostly("main"),
            "SYNAPSE_WORKER": _mostly(*_TABLE.apps, *_TABLE.types, "homeserver", "pusher+typing"),
        },
        optional={
            "GID": _mostly("991"),
            "SYNAPSE_BIND_ADDRESSES": _mostly("::", "127.0.0.1,::1"),
            "SYNAPSE_CPU_AFFINITY": _mostly("0x1"),
            "SYNAPSE_FEDERATION_TLS": _mostly("off", "off", "on"),
            "SYNAPSE_HOSTNAME": _mostly("host"),
            "SYNAPSE_JEMALLOC": _mostly("on", "off"),
            "SYNAPSE_LOG_FORMAT": _mostly("text", "json"),
            "SYNAPSE_LOG_LEVEL": _mostly("info", "WARN"),
            "SYNAPSE_REPLICATION_SECRET": _mostly("on", "off"),
            "SYNAPSE_WAIT_SECONDS": _mostly("0", "5"),
            "SYNAPSE_WORKERS": st.one_of(_PLANS, _TEXTS),
            "SYNAPSE_WORKER_NAME": _mostly("a", "b", "main"),
            "SYNAPSE_WORKER_NAME_FROM": _mostly("hostname"),
            "UID": _mostly("991"),
        },
    )


def yaml_values() -> st.SearchStrategy[Any]:
    """Return a strategy for any value that a homeserver.yaml option can hold."""
    return _VALUES


_HOSTILE = st.one_of(
    _TEXTS,
    st.sampled_from(
        [
            "9" * 400,
            "/" + "a" * 300,
            "/" + "a/" * 3000,
            "/proc/self/mem",
            "/dev/zero",
            "-1",
            "0",
            "0x" + "f" * 2000,
            "٣",
            "\udcff",
            "/a\udcff",
            "a,b,,c",
            "::,0.0.0.0",
            "10.0.0.5:9093",
            "[::1]",
            "https://a/",
            "\n",
            " ",
        ]
    ),
)
_VARIABLES = (
    "GID",
    "SYNAPSE_BIND_ADDRESSES",
    "SYNAPSE_CONFIG_PATH",
    "SYNAPSE_CPU_AFFINITY",
    "SYNAPSE_DATA_DIR",
    "SYNAPSE_FEDERATION_TLS",
    "SYNAPSE_HOSTNAME",
    "SYNAPSE_JEMALLOC",
    "SYNAPSE_LOG_FORMAT",
    "SYNAPSE_LOG_LEVEL",
    "SYNAPSE_MEDIA_DIR",
    "SYNAPSE_REPLICATION_HOST",
    "SYNAPSE_REPLICATION_SECRET",
    "SYNAPSE_REPLICATION_SECRET_FILE",
    "SYNAPSE_REPORT_STATS",
    "SYNAPSE_RUNTIME_DIR",
    "SYNAPSE_SERVER_NAME",
    "SYNAPSE_UNIX_SOCKETS",
    "SYNAPSE_WAIT_SECONDS",
    "SYNAPSE_WORKER",
    "SYNAPSE_WORKERS",
    "SYNAPSE_WORKER_NAME",
    "SYNAPSE_WORKER_NAME_FROM",
    "UID",
)


def wild_environs() -> st.SearchStrategy[dict[str, str]]:
    """Return a strategy for environments with a few variables set to anything a process can get."""
    wild = st.dictionaries(st.sampled_from(_VARIABLES), _HOSTILE, min_size=1, max_size=3)
    return st.builds(lambda tame, odd: tame | odd, environs(), wild)


def plans() -> st.SearchStrategy[str]:
    """Return a strategy for worker plans: most nearly valid, some long, some arbitrary text."""
    name = st.sampled_from(["", "", "a=", "b=", "main=", "1=", "=", "a b="])
    types = st.one_of(
        *[st.sampled_from([*_TABLE.types])] * 4,
        st.lists(st.sampled_from([*_TABLE.types]), min_size=2, max_size=3).map("+".join),
        _NAMES,
    )
    count = st.sampled_from(["", "", "", ":2", ":0", ":500", ":501", ":" + "9" * 400, ":x", ":"])
    hosts = ["host", "10.0.0.5", "10.0.0.5:9093", "::1", "[::1]", "fd00::7", "", "a b", "a" * 300]
    host = st.just("") | st.sampled_from(hosts).map("@{}".format)
    entry = st.builds("{}{}{}{}".format, name, types, count, host)
    separator = st.sampled_from([", ", ",", "\n", " # why\n", "\r\n", ";", "\u2028"])
    grammar = st.builds(
        lambda entries, by: by.join(entries), st.lists(entry, max_size=6), separator
    )
    long = st.builds(
        lambda text, times: text * times, st.just("pusher,") | _TEXTS, st.integers(0, 900)
    )
    return st.one_of(grammar, grammar, grammar, long, _TEXTS)

"""Hypothesis strategies for plans and for the variables that all processes get."""

import os

from hypothesis import strategies as st

from deploy.routing import Routing
from worker.errors import ConfigError
from worker.routes import plan_routing
from worker.worker_types import load_table

TABLE = load_table()

# How many times as many examples as in `//...`; the slow targets try more.
_TIMES = int(os.environ.get("TIMES_AS_MANY_EXAMPLES", "1"))

_NAMES = st.one_of(
    st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z]", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True),
)
_HOSTS = st.one_of(
    st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z](\.[a-z]{2,4}){0,2}", fullmatch=True),
    st.ip_addresses(v=4, network="10.0.0.0/8").map(str),
    st.ip_addresses(v=6, network="fd00::/8").map(lambda address: f"[{address}]"),
)


def examples(count: int) -> int:
    """Return how many examples to try: ``count``, or more in a slow target."""
    return count * _TIMES


@st.composite
def plans(draw: st.DrawFn) -> str:
    """Return a plan; most of them are valid, since each name and each lone type is used once."""
    lone = {name for name, worker_type in TABLE.types.items() if not worker_type.many}
    used: set[str] = set()
    entries = []
    for name in draw(st.lists(_NAMES, max_size=8, unique_by=str.lower)):
        drawn = draw(st.lists(st.sampled_from(sorted(TABLE.types)), min_size=1, max_size=3))
        types = [one for one in dict.fromkeys(drawn) if one not in used] or ["generic_worker"]
        used |= lone.intersection(types)
        entry = f"{name}={'+'.join(types)}"
        if draw(st.booleans()):
            entry += f"@{draw(_HOSTS)}"
        elif lone.isdisjoint(types) and draw(st.booleans()):
            entry += f":{draw(st.integers(1, 60))}"
        entries.append(entry)
    return ", ".join(entries)


ENVIRONS = st.fixed_dictionaries(
    {},
    optional={
        "SYNAPSE_FEDERATION_TLS": st.sampled_from(["on", "off"]),
        "SYNAPSE_UNIX_SOCKETS": st.just("/sockets"),
        "SYNAPSE_REPLICATION_HOST": _HOSTS,
    },
)


def accepted(plan: str, environ: dict[str, str]) -> Routing | None:
    """Return the routes of a plan, or None if it is refused."""
    try:
        return plan_routing(environ, plan)
    except ConfigError:
        return None

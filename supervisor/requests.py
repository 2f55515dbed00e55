"""Which requests a Synapse process has not answered yet, according to its metrics."""

import re

# Requests that wait for news.  Clients and proxies repeat them, and they would keep coming.
_LONG_POLLS = frozenset({"EventStreamRestServlet", "SlidingSyncRestServlet", "SyncRestServlet"})
_PROBES = frozenset({"HealthResource", "MetricsResource"})  # The second one is our own request.
# A line of Prometheus' text format, in which Synapse counts its unfinished requests by servlet.
_IN_FLIGHT = re.compile(
    r'^synapse_http_server_in_flight_requests_count\{[^}]*servlet="([^"]*)"[^}]*\} ([0-9.e+]+)$',
    re.MULTILINE,
)


def in_flight(metrics: str) -> list[str]:
    """Return the servlets with unfinished requests, without long polls and probes, sorted.

    Args:
        metrics: the metrics of a Synapse process in Prometheus' text format.
    """
    counts = ((servlet, float(count)) for servlet, count in _IN_FLIGHT.findall(metrics))
    ignored = _LONG_POLLS | _PROBES
    return sorted({servlet for servlet, count in counts if count and servlet not in ignored})

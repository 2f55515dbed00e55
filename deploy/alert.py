"""One alert about the processes of a plan.

An expression compares a process with itself or with the other processes, never its clock with that
of Prometheus. Rates are taken over five minutes or more, so that any scrape interval of up to a
minute will do.
"""

from dataclasses import dataclass

CRITICAL = "critical"
WARNING = "warning"


@dataclass(frozen=True)
class Alert:
    """One alert.

    Attributes:
        name: its name.
        expression: the condition in PromQL.
        wait: how long the condition must hold, such as ``5m``.
        severity: `CRITICAL` if users notice and somebody should act at once, or `WARNING`.
        summary: one line; a template of Prometheus.
        action: what to do.
    """

    name: str
    expression: str
    wait: str
    severity: str
    summary: str
    action: str

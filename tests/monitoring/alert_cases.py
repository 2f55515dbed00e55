"""For each alert, series with which it fires, and series with which it does not.

The values are in the notation of promtool's unit tests: `a+bxn` starts at a, and adds b n times,
once a minute; `axn` is a, and n times a again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PLAN = "synchrotron:2, typing+presence, event_persister, federation_sender, appservice, pusher"
JOBS = {
    "main": "main",
    "synchrotron1": "synchrotron",
    "typing-presence": "typing+presence",
    "event_persister": "event_persister",
    "federation_sender": "federation_sender",
    "appservice": "appservice",
    "pusher": "pusher",
}


@dataclass(frozen=True)
class Case:
    """One alert.

    Attributes:
        alert: its name.
        bad: series with which it fires within ``minutes``.
        good: series with which it never does.
        labels: the labels of the alert that fires, without those of its rule.
        summary: its summary.
        minutes: when it has fired.
        not_before: a minute at which it has not fired yet, with the same series.
    """

    alert: str
    bad: Mapping[str, str]
    good: Mapping[str, str]
    labels: Mapping[str, str]
    summary: str
    minutes: int
    not_before: int = field(default=1)


def series(metric: str, instance: str, labels: str = "") -> str:
    """Return the name of a series of a process, as Prometheus stores it."""
    more = f", {labels}" if labels else ""
    return f'{metric}{{instance="{instance}", job="{JOBS[instance]}"{more}}}'


def of(instance: str, **labels: str) -> dict[str, str]:
    """Return the labels of an alert about a process."""
    return {"instance": instance, "job": JOBS[instance]} | labels


def between(
    metric: str, instance: str, low: float, high: float, labels: str = ""
) -> dict[str, str]:
    """Return a histogram, all of whose values are between two bounds."""
    more = f"{labels}, " if labels else ""
    return {
        series(f"{metric}_bucket", instance, f'{more}le="{low}"'): "0x60",
        series(f"{metric}_bucket", instance, f'{more}le="{high}"'): "0+60x60",
        series(f"{metric}_bucket", instance, f'{more}le="+Inf"'): "0+60x60",
    }

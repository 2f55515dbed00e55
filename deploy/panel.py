"""One panel of the dashboard of a plan, and parts of its queries."""

from dataclasses import dataclass

CHOSEN = 'job=~"$job", instance=~"$instance"'  # The processes that the reader has chosen.
_WINDOW = "[$__rate_interval]"


@dataclass(frozen=True)
class Query:
    """One query of a panel.

    Attributes:
        expression: the query, in PromQL with the variables of Grafana.
        legend: the name of each of its series, a template of Grafana.
    """

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: its title.
        unit: the unit of the values, a name of Grafana.
        queries: its queries.
        description: what it shows, if the title does not say it.
        visualization: the name of Grafana for the way in which it shows the values.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    description: str = ""
    visualization: str = "timeseries"


def rate(metric: str, labels: str = CHOSEN) -> str:
    """Return the rate of each series of a counter with some labels."""
    return f"rate({metric}{{{labels}}}{_WINDOW})"


def quantile_of(quantile: str, metric: str, labels: str = CHOSEN, by: str = "") -> str:
    """Return a quantile of a histogram; ``by`` are labels to keep, each with a comma after it."""
    return f"histogram_quantile({quantile}, sum by ({by}le) ({rate(metric, labels)}))"


def each(title: str, unit: str, expression: str, description: str = "") -> Panel:
    """Return a panel with a series for each process."""
    return Panel(title, unit, (Query(expression, "{{instance}}"),), description)

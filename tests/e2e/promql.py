"""Selectors in PromQL expressions, and queries to a running Prometheus."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy.metrics import METRICS


@dataclass(frozen=True)
class Selector:
    """A metric with its label matchers, without those of the process.

    Attributes:
        metric: its name.
        matchers: its matchers, such as ``code=~"5.."``.
        of: the matchers of the process, such as ``job="main"``.
    """

    metric: str
    matchers: tuple[str, ...]
    of: tuple[str, ...]

    def text(self, *, any_value: bool = False) -> str:
        """Return it in PromQL; with ``any_value``, its labels may have any value."""
        matchers = self.matchers
        if any_value:
            matchers = tuple(re.sub(r"(\w+).*", r'\1!=""', matcher) for matcher in matchers)
        return f"{self.metric}{{{', '.join((*self.of, *matchers))}}}"


def selectors(expression: str) -> Iterator[Selector]:
    """Yield the selectors of an expression."""
    for match in re.finditer(r"([a-z_:]+)(?:\{([^}]*)\})?", expression):
        if match[1] in METRICS:
            matchers = re.findall(r'(?:^|, ?)(\w+[=!~]+"[^"]*")', match[2] or "")
            of = [one for one in matchers if re.match("job|instance", one)]
            others = [one for one in matchers if one not in of]
            yield Selector(match[1], tuple(others), tuple(of))


class Prometheus:
    """The HTTP API of a running Prometheus (https://prometheus.io/docs/prometheus/latest/querying/api/)."""

    def __init__(self, address: str) -> None:
        """Use the Prometheus at ``address``, port 9090."""
        self._url = f"http://{address}:9090/api/v1/"

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of the answer to a request.

        Raises:
            AssertionError: if Prometheus answers with an error.
        """
        url = f"{self._url}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression now."""
        series: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return series

    def declared(self) -> set[str]:
        """Return the series of the metrics that some target declares, even if none exists yet.

        A target declares a type for each metric; the names of the series follow from it
        (https://prometheus.io/docs/instrumenting/exposition_formats/).
        """
        suffixes = {
            "counter": ("", "_total"),
            "histogram": ("_bucket", "_count", "_sum"),
            "summary": ("", "_count", "_sum"),
        }
        return {
            name + suffix
            for name, types in self.ask("metadata").items()
            for suffix in suffixes.get(types[0]["type"], ("",))
        }

    def up(self) -> dict[str, str]:
        """Return the health of each target by the label ``instance``."""
        targets = self.ask("targets")["activeTargets"]
        return {target["labels"]["instance"]: target["health"] for target in targets}

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules of all groups."""
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[tuple[str, str]]:
        """Return the alerts that fire: the name and the label ``instance``, or ""."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("instance", ""))
            for alert in self.ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }

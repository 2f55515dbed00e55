"""The services of Traefik: what a request is sent to, and what happens while it is down."""

from deploy.routing import Server


def quoted(value: str) -> str:
    """Return a YAML string; single quotes leave backslashes alone."""
    return "'" + value.replace("'", "''") + "'"


class Services:
    """Collects the services that routers need, each once.

    Attributes:
        texts: the YAML of each service by name, in the order of their first use.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def server(self, server: Server, *, checked: bool) -> str:
        """Return the name of a service for one process.

        Args:
            server: the process.
            checked: whether it is left out while it fails its health check. Traefik answers at once
                for a service without servers, so the last resort must not be checked.
        """
        name = f"checked:{server.name}" if checked else server.name
        lines = [
            "      loadBalancer:",
            f"        serversTransport: synapse{'-tls' if server.tls else ''}",
            "        servers:",
            f"          - url: {quoted(f'{server.scheme}://{server.address}')}",
        ]
        if checked:
            lines += [
                "        healthCheck:",
                "          path: /health",
                "          interval: 1s",
                "          timeout: 5s",
            ]
        self.texts[name] = "\n".join(lines)
        return name

    def order(self, order: tuple[Server, ...]) -> str:
        """Return the name of a service that tries servers in an order."""
        if len(order) == 1:
            return self.server(order[0], checked=False)
        name = ">".join(server.name for server in order)
        if name not in self.texts:
            first = self.server(order[0], checked=True)
            fallback = self.order(order[1:])
            self.texts[name] = "\n".join(
                [
                    "      failover:",
                    f"        service: {quoted(first)}",
                    f"        fallback: {quoted(fallback)}",
                ]
            )
        return name

    def any(self, name: str, orders: tuple[tuple[Server, ...], ...]) -> str:
        """Return the name of a service that distributes requests, ``name`` if it is a new one."""
        if len(orders) == 1:
            return self.order(orders[0])
        lines = ["      weighted:", "        services:"]
        for order in orders:
            lines += [f"          - name: {quoted(self.order(order))}", "            weight: 1"]
        text = "\n".join(lines)
        for other, other_text in self.texts.items():
            if other_text == text:
                return other
        self.texts[f"any:{name}"] = text
        return f"any:{name}"

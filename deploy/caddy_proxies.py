"""The snippets of a Caddyfile that pass requests to servers, and what happens if they fail."""

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.options import Options
from deploy.routing import Route, Routing, Server

TRIED = 8  # How many workers of a route are tried for one request; a route may have 500.

_BUFFER = "4MiB"  # How much of a request's body is kept so that the request can be repeated.

_FALLBACK = """\
		# Workers with TLS and the main process without it cannot be servers of one reverse_proxy.
		@synapse_unsent {{
			vars synapse_fallback main
			vars_regexp {{err.message}} "^dial |no upstreams"
		}}
		handle @synapse_unsent {{
			{main}
		}}
		@synapse_lost {{
			vars synapse_fallback main
			method GET HEAD OPTIONS
			expression "{{err.status_code}} >= 502"
		}}
		handle @synapse_lost {{
			{main}
		}}
"""

_ERRORS = """\
		handle {
			header Access-Control-Allow-Origin *
			header Content-Type application/json
			@synapse_too_large expression "{err.status_code} == 413"
			respond @synapse_too_large `{"errcode": "M_TOO_LARGE", "error": "Request too large"}`
			respond `{"errcode": "M_UNKNOWN", "error": "The homeserver cannot be reached"}`
		}
"""


def upstream(server: Server) -> str:
    """Return the address of a server as reverse_proxy expects it."""
    return f"unix/{server.socket}" if server.socket else server.address


def falls_back(routing: Routing, route: Route) -> bool:
    """Return whether the main process stands in, but cannot be in the list of the workers.

    All servers of one reverse_proxy must use TLS, or none.
    """
    return route.main and any(server.tls != routing.main.tls for server in route.servers)


@dataclass(frozen=True, order=True)
class Proxy:
    """The kind of a reverse_proxy.

    Attributes:
        tls: whether its servers use TLS.
        falls_back: whether the main process is asked if no server can be reached.
    """

    tls: bool
    falls_back: bool

    @property
    def snippet(self) -> str:
        """The name of its snippet."""
        tls, fallback = "_tls" if self.tls else "", "_fallback" if self.falls_back else ""
        return f"synapse_proxy{tls}{fallback}"

    def lines(self, options: Options) -> Iterator[str]:
        """Yield its snippet, whose arguments are the servers."""
        yield f"({self.snippet}) {{\n"
        if self.falls_back:
            yield "\t# Keeps the body, for the case that the main process must be asked.\n"
            yield "\tvars {\n\t\tsynapse_body {http.request.body}\n"
            yield "\t\tsynapse_fallback main\n\t}\n"
        yield "\treverse_proxy {args[:]} {\n\t\tlb_policy first\n"
        if self.falls_back:
            yield "\t\tlb_retries 2\n"
        elif options.hold_seconds:
            yield f"\t\tlb_try_duration {options.hold_seconds}s\n"
        else:
            yield f"\t\tlb_retries {TRIED}\n"
        yield "\t\tlb_try_interval 250ms\n\t\tfail_duration 2s\n"
        yield "\t\t# What may be sent again after a connection was lost.\n"
        if self.falls_back:
            yield "\t\tlb_retry_match {\n\t\t\tmethod GET HEAD OPTIONS\n\t\t}\n"
        else:
            yield "\t\tlb_retry_match {\n\t\t\tmethod GET HEAD OPTIONS PUT DELETE\n\t\t}\n"
            yield "\t\tlb_retry_match {\n\t\t\tmethod POST\n\t\t\tvars synapse_repeat post\n\t\t}\n"
            yield f"\t\trequest_buffers {_BUFFER}\n"
        yield "\t\theader_up Host {hostport}\n\t\theader_up -X-Real-Ip\n\t\theader_up -Forwarded\n"
        yield "\t\ttransport http {\n\t\t\tdial_timeout 5s\n\t\t\tresponse_header_timeout 10m\n"
        yield "\t\t\t# A POST on a connection that was just closed would not be repeated.\n"
        yield "\t\t\tkeepalive off\n"
        if self.tls:
            yield "\t\t\ttls\n\t\t\t# Its certificate is for the homeserver, not for the host.\n"
            yield "\t\t\ttls_insecure_skip_verify\n"
        yield "\t\t}\n\t}\n}\n\n"


def proxy(routing: Routing, route: Route) -> Proxy:
    """Return the kind of reverse_proxy that a route needs."""
    return Proxy(any(server.tls for server in route.servers), falls_back(routing, route))


def main_proxy(routing: Routing) -> Proxy:
    """Return the kind of reverse_proxy that the main process needs."""
    return Proxy(routing.main.tls, falls_back=False)


def errors(routing: Routing) -> Iterator[str]:
    """Yield the handler of errors, which also asks the main process if it stands in."""
    yield "\thandle_errors {\n"
    if any(falls_back(routing, route) for route in routing.routes):
        main = f"import {main_proxy(routing).snippet} {upstream(routing.main)}"
        yield _FALLBACK.format(main=main)
    yield _ERRORS + "\t}\n"

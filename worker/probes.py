"""Asks the processes around this one whether they answer: database, Redis, main, and itself."""

import http.client
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from worker.documents import Document, read_secret
from worker.errors import ConfigError
from worker.listeners import location
from worker.settings import Settings

_TIMEOUT = 3  # Seconds for each answer: an orchestrator's probe waits not much longer.
# An endpoint that only checks the secret: no stream has this name.  The last part names the
# request, since answers are kept for repeated ones.
_ASK_SECRET = "/_synapse/replication/get_repl_stream_updates/is_the_secret_right/{}"
_UNKNOWN_STREAM = 400


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def _get(
    connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 20)
    finally:
        connection.close()


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).splitlines()[0]


def itself(settings: Settings) -> str:
    """Return "" when this container's Synapse answers on its health port, or one line."""
    address = settings.bind_addresses[0]
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
    port = settings.ports["health"]
    what = f"{settings.worker.app} at {local} port {port}"
    try:
        connection = http.client.HTTPConnection(local, port, timeout=_TIMEOUT)
        status, _ = _get(connection, "/health", {})
    except (OSError, http.client.HTTPException) as error:
        return f"{what} does not answer: {_reason(error)}"
    return "" if status == http.client.OK else f"{what} answers /health with {status}"


def database(document: Document) -> str:
    """Return "" when every PostgreSQL database of ``document`` answers, or one line."""
    several = document.get("databases")
    configs = list(several.values()) if isinstance(several, dict) else [document.get("database")]
    for config in configs:
        if not isinstance(config, dict) or config.get("name") != "psycopg2":
            continue
        import psycopg2  # Heavy, and needed by this probe alone.

        given = config.get("args") or {}
        args = {name: value for name, value in given.items() if not name.startswith("cp_")}
        where = (
            f"PostgreSQL at {args.get('host', 'its local socket')} port {args.get('port', 5432)}"
        )
        try:
            connection = psycopg2.connect(**({"connect_timeout": _TIMEOUT} | args))
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            finally:
                connection.close()
        except (psycopg2.Error, TypeError) as error:
            return f"{where} does not answer: {_reason(error)}"
    return ""


def redis(document: Document) -> str:
    """Return "" when the Redis of ``document`` answers PING, or one line."""
    config = document.get("redis")
    if not isinstance(config, dict) or config.get("enabled") is not True:
        return ""
    host, port = config.get("host") or "localhost", config.get("port") or 6379
    path = config.get("path")
    where = f"Redis at {path or f'{host} port {port}'}"
    password = config.get("password")
    try:
        if config.get("password_path"):
            password = Path(config["password_path"]).read_text(encoding="utf-8").strip()
        with _redis_socket(config, host, port) as connection:
            said = b""
            if password:
                user = [str(config["username"])] if config.get("username") else []
                said = _say(connection, "AUTH", *user, str(password))
            if not said.startswith(b"-"):
                said = _say(connection, "PING")
    except (OSError, ValueError) as error:
        return f"{where} does not answer: {_reason(error)}"
    if said.startswith(b"+PONG"):
        return ""
    return f"{where} refuses: {said.decode('utf-8', 'replace').strip().lstrip('-')}"


def _redis_socket(config: Mapping[str, Any], host: str, port: int) -> socket.socket:
    if config.get("path"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_TIMEOUT)
        connection.connect(str(config["path"]))
        return connection
    connection = socket.create_connection((host, int(port)), _TIMEOUT)
    if not config.get("use_tls"):
        return connection
    return _redis_tls(config).wrap_socket(connection)


def _redis_tls(config: Mapping[str, Any]) -> ssl.SSLContext:
    """Return how to speak TLS with Redis: with ``ca_file`` or ``ca_path`` its chain is checked.

    Synapse checks no certificate of Redis (synapse/replication/tcp/context.py sets no verify
    mode), so one without a CA must not be refused here.  As in redis-cli, no name is checked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if config.get("ca_file") or config.get("ca_path"):
        context.load_verify_locations(config.get("ca_file"), config.get("ca_path"))
    else:
        context.verify_mode = ssl.CERT_NONE
    if config.get("certificate_file"):
        context.load_cert_chain(config["certificate_file"], config.get("private_key_file"))
    return context


def _say(connection: socket.socket, *words: str) -> bytes:
    """Send one command of the Redis protocol; return the first line of the answer."""
    parts = [word.encode() for word in words]
    message = b"*%d\r\n" % len(parts)
    message += b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    connection.sendall(message)
    answer = b""
    while not answer.endswith(b"\r\n") and len(answer) < 4096:
        part = connection.recv(4096)
        if not part:
            break
        answer += part
    return answer


def _secret(document: Document, settings: Settings) -> str:
    path = document.get("worker_replication_secret_path")
    if path:
        return read_secret(str(path), settings)
    return str(document.get("worker_replication_secret") or "")


def main_process(document: Document, settings: Settings) -> str:
    """Return "" when the main process answers replication and takes the secret, or one line."""
    if settings.worker.main:
        return ""
    instances = document.get("instance_map") or {}
    where = instances.get("main") or location(settings, "", settings.replication_host)
    name = where.get("path") or f"{where['host']} port {where['port']}"
    try:
        secret = _secret(document, settings)
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        connection: http.client.HTTPConnection
        if "path" in where:
            connection = _UnixConnection(where["path"])
        else:
            connection = http.client.HTTPConnection(where["host"], where["port"], timeout=_TIMEOUT)
        status, _ = _get(connection, _ASK_SECRET.format(secrets.token_hex(8)), headers)
    except ConfigError as error:
        return error.problems[0]
    except (OSError, http.client.HTTPException) as error:
        return f"the main process at {name} does not answer: {_reason(error)}"
    if status == _UNKNOWN_STREAM:
        return ""
    if status == http.client.INTERNAL_SERVER_ERROR:
        return (
            f"the main process at {name} refuses the replication secret; give every process the "
            "same signing.key, or the same SYNAPSE_REPLICATION_SECRET_FILE"
        )
    return f"the main process at {name} is no replication listener of Synapse: it answers {status}"


def around(document: Document, settings: Settings) -> list[str]:
    """Return a line for each of database, Redis and main that does not answer."""
    found = (database(document), redis(document), main_process(document, settings))
    return [line for line in found if line]


def wait(ask: Callable[[], list[str]], seconds: float, say: Callable[[str], None]) -> list[str]:
    """Ask until nothing is missing; return what still is after ``seconds``."""
    deadline = time.monotonic() + seconds
    said: list[str] = []
    while True:
        missing = ask()
        if not missing or time.monotonic() >= deadline:
            return missing
        for line in missing:
            if line not in said:
                say(f"waiting: {line}")
        said = missing
        time.sleep(min(0.5, max(0.0, deadline - time.monotonic())))

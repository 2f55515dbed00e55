"""Probes of the services that this process needs: the database, Redis and the main process.

A probe accepts any document that YAML can represent, and returns at most one line; ``asking``
enforces the deadline.
"""

import http.client
import re
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from worker.asking import Probe
from worker.documents import Document
from worker.errors import shown
from worker.health import UnixConnection, reason_of, status_of
from worker.listeners import location
from worker.quoted import without_values
from worker.redaction import MASK
from worker.rendering import read_replication_secret
from worker.secret_files import read_secret_file
from worker.settings import Settings

# A request that only checks the secret, since no stream has this name.  The last part identifies
# the request, because Synapse caches its responses for repeated requests.
_SECRET_QUESTION = "/_synapse/replication/get_repl_stream_updates/is_the_secret_right/{}"
_UNKNOWN_STREAM = 400
_MAX_ANSWER_BYTES = 4096
_CONNECT_SECONDS = 3  # For each host of a database that has several.


def _malformed(option: str, value: object, remedy: str) -> Probe:
    """Return a probe that fails because an option of homeserver.yaml is wrong.

    A text is not shown, since a value in the wrong place may be a secret.
    """
    descriptions = {
        str: "text",
        list: "a list",
        dict: "a mapping of another shape",
        type(None): "empty",
    }
    shown_value = descriptions.get(type(value)) or shown(str(value))
    name = f"homeserver.yaml: {option}"
    return Probe(name, lambda: f"{name} is {shown_value}; {remedy}")


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536


def database_probes(document: Document) -> Iterator[Probe]:
    """Yield a probe for each PostgreSQL database of ``document``, and for each malformed option."""
    databases = document.get("databases")
    configs = {"database": document.get("database")}
    if isinstance(databases, dict):
        configs = {f"databases.{name}": config for name, config in databases.items()}
    elif databases:
        yield _malformed("databases", databases, "make it a mapping from name to database")
    for option, config in configs.items():
        if not isinstance(config, dict):
            if config is not None:
                yield _malformed(option, config, "make it a mapping with name and args")
        elif config.get("name") == "psycopg2":
            yield _postgres_probe(f"{option}.args", config.get("args") or {})


def _postgres_probe(option: str, raw_args: Any) -> Probe:
    """Return the probe of one database with the libpq parameters ``raw_args``."""
    if not isinstance(raw_args, dict) or not all(isinstance(name, str) for name in raw_args):
        return _malformed(
            option, raw_args, "make it a mapping from libpq's parameters to their values"
        )
    args = {name: value for name, value in raw_args.items() if not name.startswith("cp_")}
    host = args.get("host") or args.get("hostaddr")
    name = f"PostgreSQL at {host or 'its local socket'} port {args.get('port') or 5432}"
    if not host and (args.get("dsn") or args.get("service")):
        name = f"PostgreSQL of {option}"
    if "," in str(host):
        # Without a timeout, a host that drops packets keeps libpq from trying the next one.
        args = {"connect_timeout": _CONNECT_SECONDS} | args

    def ask() -> str:
        import psycopg2  # Slow to import, and needed only by this probe.

        try:
            connection = psycopg2.connect(**args)
            try:
                # A pooler accepts connections while its database is down, and lets the query wait.
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            finally:
                connection.close()
        except psycopg2.Error as error:
            return f"{name} does not answer: {reason_of(error)}"
        return ""

    return Probe(name, ask)


def redis_probes(document: Document) -> Iterator[Probe]:
    """Yield the probe of the Redis server of ``document``, if Redis is enabled."""
    config = document.get("redis")
    if not isinstance(config, dict):
        if config:
            yield _malformed("redis", config, "make it a mapping with enabled and host")
        return
    if not config.get("enabled"):
        return
    host, port = config.get("host", "localhost"), config.get("port", 6379)
    path = config.get("path")
    if path is not None:
        if not isinstance(path, str):
            yield _malformed("redis.path", path, "make it the path of a socket")
            return
    elif not isinstance(host, str):
        yield _malformed("redis.host", host, "make it text: a host name, or an address in quotes")
        return
    elif not _is_port(port):
        yield _malformed("redis.port", port, "make it a number from 1 to 65535, without quotes")
        return
    name = f"Redis at {path if path is not None else f'{host} port {port}'}"
    yield Probe(name, lambda: _ask_redis(name, config, host, port))


def _ask_redis(name: str, config: Mapping[str, Any], host: str, port: int) -> str:
    password = config.get("password")
    if config.get("password_path"):
        path = Path(str(config["password_path"]))
        password = read_secret_file(
            "homeserver.yaml: redis.password_path", path, "the Redis password"
        )
    try:
        with _redis_socket(config, host, port) as connection:
            commands = [["PING"]]
            if password:
                user = [str(config["username"])] if config.get("username") else []
                commands.insert(0, ["AUTH", *user, str(password)])
            for command in commands:
                answer = _send_command(connection, *command)
                if answer.startswith(b"-"):
                    break
    except OSError as error:
        return f"{name} does not answer: {reason_of(error)}"
    if answer.startswith(b"+PONG"):
        return ""
    if not answer:
        return f"{name} does not answer: the connection was closed"
    # Old versions of Redis quote the arguments of an unknown command.
    reply = without_values(answer.decode("utf-8", "replace").strip(), [password or ""], MASK)
    if reply.startswith("-"):
        return f"{name} answers with an error: {reply[1:]}"
    return f"{name} is not a Redis server: it answers PING with {reply[:80]!r}"


def _redis_socket(config: Mapping[str, Any], host: str, port: int) -> socket.socket:
    if config.get("path") is not None:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(config["path"])
        return connection
    connection = socket.create_connection((host, port))
    if not config.get("use_tls"):
        return connection
    return _redis_tls(config).wrap_socket(connection)


def _redis_tls(config: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the TLS context for Redis, which verifies the chain with ``ca_file`` or ``ca_path``.

    Synapse does not verify the certificate of Redis (synapse/replication/tcp/context.py sets no
    verify mode), so it must be accepted without a CA here.  As in redis-cli, no name is checked.
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


def _send_command(connection: socket.socket, *words: str) -> bytes:
    """Send one command in the Redis protocol; return the first line of the response."""
    arguments = [word.encode() for word in words]
    message = b"*%d\r\n" % len(arguments)
    message += b"".join(b"$%d\r\n%s\r\n" % (len(argument), argument) for argument in arguments)
    connection.sendall(message)
    with connection.makefile("rb") as reader:
        return reader.readline(_MAX_ANSWER_BYTES)


def _replication_secret(document: Document, settings: Settings) -> str:
    path = document.get("worker_replication_secret_path")
    if path:
        return read_replication_secret(str(path), settings)
    return str(document.get("worker_replication_secret") or "")


def main_process_probes(document: Document, settings: Settings) -> Iterator[Probe]:
    """Yield a worker's probe of the main process, which also checks the replication secret."""
    if settings.process.is_main:
        return
    instance_map = document.get("instance_map")
    configured = instance_map.get("main") if isinstance(instance_map, dict) else None
    configured = configured or location(settings, "", settings.replication_host)
    entry = configured if isinstance(configured, dict) else {}
    path, host, port = entry.get("path") or "", entry.get("host"), entry.get("port")
    if not isinstance(path, str) or not (path or (isinstance(host, str) and _is_port(port))):
        yield _malformed(
            "instance_map.main", configured, "make it a mapping with host and port, or path"
        )
        return
    name = f"the main process at {path or f'{host} port {port}'}"

    def ask() -> str:
        secret = _replication_secret(document, settings)
        # Synapse accepts only these (synapse/replication/http/_base.py); HTTP forbids line breaks.
        if not re.fullmatch(r"[!-~]*", secret):
            return (
                f"{name} cannot be checked: the replication secret has white space or characters "
                "other than printable ASCII; use another one"
            )
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        try:
            status = status_of(
                UnixConnection(path) if path else http.client.HTTPConnection(str(host), port),
                _SECRET_QUESTION.format(secrets.token_hex(8)),
                headers,
            )
        except (OSError, http.client.HTTPException) as error:
            return f"{name} does not answer: {reason_of(error)}"
        if status == http.client.INTERNAL_SERVER_ERROR:
            return (
                f"{name} refuses the replication secret; give every process the same signing.key, "
                "or the same SYNAPSE_REPLICATION_SECRET_FILE"
            )
        if status != _UNKNOWN_STREAM:
            return (
                f"{name} is not a replication listener of Synapse: it answers with status {status}"
            )
        return ""

    yield Probe(name, ask)


def service_probes(document: Document, settings: Settings) -> list[Probe]:
    """Return the probes of all services that this process needs."""
    return [
        *database_probes(document),
        *redis_probes(document),
        *main_process_probes(document, settings),
    ]


def secret_mask(document: Document) -> Callable[[str], str]:
    """Return a function that masks the secrets of ``document``; libpq's messages may quote them."""
    from worker.redaction import without_secrets

    return lambda line: without_secrets(line, document)

"""The quadlets, as text: references, order, quotes, and those of users."""

from collections.abc import Mapping
from typing import Any

from tests.deploy.engine_plans import files

NAMES = ["main", "synchrotron1", "synchrotron2", "typing", "media_repository", "both"]
UNITS = "containers/systemd/synapse/"


def units(**options: Any) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Return the units by name: the settings of each section, in their order."""
    found: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for path, text in files("quadlet", **options).items():
        if path.endswith(".cfg"):
            continue
        sections = found.setdefault(path.removeprefix(UNITS), {})
        for line in text.splitlines():
            if line.startswith("["):
                settings = sections.setdefault(line.strip("[]"), [])
            elif line and not line.startswith("#"):
                key, equals, value = line.partition("=")
                assert equals, line
                settings.append((key, value))
    return found


def values(unit: Mapping[str, list[tuple[str, str]]], section: str, name: str) -> list[str]:
    """Return the values of a setting."""
    return [value for key, value in unit.get(section, []) if key == name]


def test_quadlet_refers_to_what_it_defines() -> None:
    """Networks, volumes and services that are named exist."""
    found = units()
    services = {name.removesuffix(".container") + ".service" for name in found}
    for name, unit in found.items():
        if not name.endswith(".container"):
            continue
        assert all(one in found for one in values(unit, "Container", "Network")), name
        for volume in values(unit, "Container", "Volume"):
            source = volume.split(":")[0]
            assert source.startswith("%E/synapse/") or source in found, name
        named = [
            word
            for key in ("After", "Wants", "PartOf")
            for value in values(unit, "Unit", key)
            for word in value.split()
        ]
        assert set(named) - {"synapse.target"} <= services, name
        assert values(unit, "Install", "WantedBy") == ["synapse.target"], name


def test_quadlet_stops_workers_with_main() -> None:
    """`systemctl restart synapse-main` restarts them too, after it."""
    found = units()
    for name in NAMES[1:]:
        unit = found[f"synapse-{name}.container"]
        assert values(unit, "Unit", "PartOf") == ["synapse.target synapse-main.service"]
        assert values(unit, "Unit", "After") == ["synapse-main.service"]
        assert values(unit, "Container", "Notify") == ["healthy"]


def test_quadlet_quotes_values() -> None:
    """systemd replaces percent signs, and takes quotes and backslashes as its own."""
    environ = {"SYNAPSE_HOSTNAME": 'a%b"c\\d'}
    unit = units(environ=environ)["synapse-main.container"]
    assert '"SYNAPSE_HOSTNAME=a%%b\\"c\\\\d"' in values(unit, "Container", "Environment")


def test_the_proxy_says_when_it_listens() -> None:
    """`systemctl start synapse.target` should not return before clients can connect."""
    unit = units()["synapse-proxy.container"]
    assert values(unit, "Container", "Notify") == ["true"]
    assert values(unit, "Container", "Exec") == [
        "haproxy -Ws -f /usr/local/etc/haproxy/haproxy.cfg"
    ]


def test_rootless_quadlets_are_for_a_users_own_systemd() -> None:
    """They publish no port below 1024, and map the user to that of the image."""
    found = units(rootless=True)
    assert "systemd/user/synapse.target" in found
    assert values(found["synapse-main.container"], "Container", "UserNS") == [
        "keep-id:uid=991,gid=991"
    ]
    for unit in found.values():
        for port in values(unit, "Container", "PublishPort"):
            assert int(port.split(":")[0]) > 1023

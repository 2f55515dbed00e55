"""The command line: verbs, their arguments, help, and messages for wrong use."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.fuzzing import many
from worker.__main__ import main
from worker.command_line import VERBS, parse_command_line
from worker.errors import ConfigError

ALL = (
    "start, check, print-config, healthcheck, wait, restart, rolling-restart, drain, doctor, "
    "prometheus, alerts, dashboard, routes, compose, quadlet, kubernetes, generate"
)
EXCESS = "unrecognized arguments"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["stat"], f"'stat' is not a verb; use one of {ALL}"),
        (["bogus", "x"], f"'bogus' is not a verb; use one of {ALL}"),
        (["-x"], f"'-x' is not a verb; use one of {ALL}"),
        ([""], f"'' is not a verb; use one of {ALL}"),
        (["start", "now"], f"start: {EXCESS}: now; usage: start"),
        (["check", "x"], f"check: {EXCESS}: x; usage: check"),
        (["print-config", "a", "b"], f"print-config: {EXCESS}: b; usage: print-config [NAME]"),
        (["check", "a\nb"], f"check: {EXCESS}: a\\nb; usage: check"),
        (["generate", "--force"], f"generate: {EXCESS}: --force; usage: generate"),
        (["wait", "1", "2"], f"wait: {EXCESS}: 2; usage: wait [SECONDS]"),
        (
            ["doctor"],
            "doctor: the following arguments are required: PLAN; usage: doctor PLAN",
        ),
        (["doctor", "a", "b"], f"doctor: {EXCESS}: b; usage: doctor PLAN"),
        (
            ["prometheus"],
            "prometheus: the following arguments are required: PLAN; usage: prometheus [--compose] "
            "PLAN",
        ),
        (["alerts"], "alerts: the following arguments are required: PLAN; usage: alerts PLAN"),
        (["dashboard", "a", "b"], f"dashboard: {EXCESS}: b; usage: dashboard PLAN"),
        (
            ["healthcheck", "x", "y"],
            f"healthcheck: {EXCESS}: y; usage: healthcheck [--ready] [NAME]",
        ),
        (
            ["healthcheck", "--rea"],
            f"healthcheck: {EXCESS}: --rea; usage: healthcheck [--ready] [NAME]",
        ),
        (["restart"], "restart: the following arguments are required: NAME; usage: restart NAME"),
        (
            ["restart", "sync1"],
            "restart: this container runs only one process; restart the container, or set "
            "SYNAPSE_PROCESSES",
        ),
        (
            ["rolling-restart"],
            "rolling-restart: this container runs only one process; restart the container, or set "
            "SYNAPSE_PROCESSES",
        ),
        (
            ["healthcheck", "sync1"],
            "healthcheck: 'sync1' names one process of several, but this container runs only one; "
            "leave it out, or set SYNAPSE_PROCESSES",
        ),
        (
            ["print-config", "a\nb"],
            "print-config: 'a\\nb' names one process of several, but this container runs only one; "
            "leave it out, or set SYNAPSE_PROCESSES",
        ),
    ],
)
def test_a_wrong_use_is_answered_with_the_right_one(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is one line, like all others; a typing error must not start a server."""
    assert main(arguments, {}) == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {"verb": "start"}),
        (["start"], {"verb": "start"}),
        (["--check"], {"verb": "check"}),
        (["healthcheck"], {"verb": "healthcheck", "ready": False, "name": None}),
        (
            ["healthcheck", "--ready", "a"],
            {"verb": "healthcheck", "ready": True, "name": "a"},
        ),
        (["restart", "a"], {"verb": "restart", "name": "a"}),
        (["wait"], {"verb": "wait", "seconds": None}),
        (["wait", "5"], {"verb": "wait", "seconds": "5"}),
        (["doctor", ""], {"verb": "doctor", "plan": ""}),
        (
            ["prometheus", "pusher:2, typing"],
            {"verb": "prometheus", "plan": "pusher:2, typing", "compose": False},
        ),
    ],
)
def test_each_verb_gets_its_arguments(arguments: list[str], options: dict[str, object]) -> None:
    """The parsed options contain only the verb and its arguments."""
    assert vars(parse_command_line(arguments) or ()) == options


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_names_every_verb(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help goes to standard output, with exit code 0."""
    assert main([word], {}) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("usage: synapse-worker [-h] VERB ...\n")
    assert (
        "\n\nRuns processes of a Synapse homeserver, configured by SYNAPSE_* variables.\n\n" in out
    )
    assert "\nverbs:\n" in out
    assert "Exit codes: 0 success, 1 unhealthy, 2 configuration error, 74 the output " in out
    for name in VERBS:
        assert f"\n    {name}" in out


@pytest.mark.parametrize(
    ("verb", "usage", "words"),
    [
        ("start", "[-h]", "start Synapse (the default)"),
        (
            "check",
            "[-h]",
            "check the configuration as start does, and with Synapse's own parser",
        ),
        (
            "print-config",
            "[-h] [NAME]",
            "print the configuration that Synapse would get, with secrets masked",
        ),
        ("healthcheck", "[-h] [--ready] [NAME]", "query the health port of this container"),
        (
            "healthcheck",
            "[-h] [--ready] [NAME]",
            "also query the database, Redis and the main process",
        ),
        ("wait", "[-h] [SECONDS]", "the default is SYNAPSE_WAIT_SECONDS, or 60 without it"),
        ("doctor", "[-h] PLAN", "a plan as in SYNAPSE_WORKERS, or the path of a file that "),
        ("prometheus", "[-h] [--compose] PLAN", "that contains one, such as ./plan.txt"),
        ("alerts", "[-h] PLAN", "print Prometheus alerting rules for the processes of a plan"),
        ("dashboard", "[-h] PLAN", "print a Grafana dashboard for the processes of a plan"),
        ("generate", "[-h]", "write a first homeserver.yaml, keys and secrets to the data folder"),
    ],
)
def test_each_verb_has_its_own_help(
    verb: str, usage: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help of a verb needs no settings."""
    assert main([verb, "--help"], {}) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"usage: {verb} {usage}\n")
    assert words in " ".join(out.split())


@many()
@given(
    st.lists(
        st.one_of(
            st.sampled_from([*VERBS, "--ready", "--", "-", "-x", "--ready=1", "@x", "%s", "60"]),
            st.text(max_size=8),
        ),
        max_size=4,
    )
)
def test_any_words_are_understood_or_refused_in_one_line(arguments: list[str]) -> None:
    """Arguments from an engine, a shell or a person are parsed or refused with a remedy."""
    problems: Sequence[str] = ("fine; use it",)
    options = None
    try:
        options = parse_command_line(arguments)
    except ConfigError as error:
        problems = error.problems
    assert options is None or options.verb in VERBS
    assert len(problems) == 1
    assert problems[0].isprintable()
    assert "; us" in problems[0]

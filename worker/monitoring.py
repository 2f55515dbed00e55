"""The monitoring of a plan: the alert rules and the dashboard that deploy/ makes for it."""

from collections.abc import Callable, Iterable

from deploy.alerts import rule_file
from deploy.dashboard import dashboard_file
from deploy.monitored import Monitored
from worker.doctor import MAIN, planned, read_plan
from worker.plan import PlannedWorker
from worker.worker_types import ProcessType, Table, load_table


def _jobs(workers: Iterable[PlannedWorker], has: Callable[[ProcessType], bool]) -> tuple[str, ...]:
    """Return the jobs of the workers whose process type has a property, each once."""
    return tuple(dict.fromkeys(worker.process.joined for worker in workers if has(worker.process)))


def monitored(workers: Iterable[PlannedWorker], table: Table) -> Monitored:
    """Return what runs in the homeserver of a plan; main does what no worker does."""
    workers = tuple(workers)

    def unique(process: ProcessType) -> bool:
        return bool(table.streams(process)) or any(one.duty for one in process.types)

    def with_duty(duty: str) -> tuple[str, ...]:
        return _jobs(workers, lambda process: any(one.duty == duty for one in process.types)) or (
            MAIN,
        )

    return Monitored(
        names=(MAIN, *(worker.name for worker in workers)),
        unique=_jobs(workers, unique),
        replaceable=_jobs(workers, lambda process: not unique(process)),
        persisters=_jobs(workers, lambda process: "events" in table.streams(process)) or (MAIN,),
        senders=with_duty("federation_sender_instances"),
        notifiers=with_duty("notify_appservices_from_worker"),
        pushers=with_duty("pusher_instances"),
        media=_jobs(workers, lambda process: process.writes_media) or (MAIN,),
        minor=table.minor,
    )


def _planned(argument: str) -> Monitored:
    return monitored(planned(read_plan(argument)) or (), load_table())


def alerts(argument: str) -> str:
    """Return the rule file for a plan, or for the file that ``argument`` names, as YAML.

    Raises:
        ConfigError: if the plan is invalid, or the file cannot be read.
    """
    return rule_file(_planned(argument))


def dashboard(argument: str) -> str:
    """Return the dashboard for a plan, as JSON; it takes and raises the same as `alerts`."""
    return dashboard_file(_planned(argument))

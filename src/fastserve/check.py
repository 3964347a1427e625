"""`--check`: tries what a start needs, without serving anybody and without disturbing a running server."""

import os
from pathlib import Path

from fastserve.app import application, hooks
from fastserve.config.config import Config
from fastserve.errors import StartError
from fastserve.host import affinity, privileges, service, source_watch
from fastserve.observe import logs
from fastserve.observe.admin_access import read_tokens
from fastserve.sockets import listeners
from fastserve.worker.asgi import WorkerContext, new_loop_factory
from fastserve.worker.wsgi import ThreadedWorker


def check(config: Config) -> None:
    """Tries a start up to the imported application, as the user who would serve it.

    For a process that ends afterwards: it takes on directory, environment, logging and user as a server would.
    Raises StartError with the first reason why the server would not start.
    """
    service.enter(config)
    logs.configure(config)
    logs.AccessLog(config).close()
    if config.pid is not None:
        _check_pid_file(Path(config.pid))
    affinity.cpu_of(0, config.cpu_affinity)
    user = privileges.resolve(config.user, config.group)
    listeners.check(config)
    if config.admin is not None:
        listeners.check(Config(config.app, bind=[config.admin], uds_mode=config.uds_mode, uds_owner=config.uds_owner))
    if config.admin_token_file is not None:
        read_tokens(config.admin_token_file, privileges.uid_of(config.user))
    if config.reload:
        source_watch.check(config)
    if user is not None:
        user.set_environment()
    service.set_environment(config)
    hooks.load(config.hooks, config.app_dir)
    if user is not None and not config.preload:
        user.drop()
    _check_application(config)


def _check_pid_file(path: Path) -> None:
    """Raises StartError if the file could not be written. It may exist already, as a running server's."""
    if not path.parent.is_dir():
        raise StartError(f"cannot write the PID file {path}: there is no directory {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StartError(f"cannot write the PID file {path}: permission denied")


def _check_application(config: Config) -> None:
    app = application.load(config)
    if app.interface == "wsgi":
        ThreadedWorker(config, app.call, WorkerContext(listeners.Listeners([])))
    else:
        new_loop_factory(config.loop)

"""Start a server and keep it until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from onesense.errors import InvalidInput, NotFound

from .app import create_app
from .settings import Settings

_KEEP_ALIVE_S = 75  # longer than the pools of common clients, so that they close an idle connection, not we
_BACKLOG = 2_048


@dataclass(frozen=True, slots=True)
class Tls:
    """Files of a certificate."""

    certificate: Path
    key: Path
    password: str | None = None


def serve(
    settings: Settings,
    *,
    tls: Tls | None = None,
    log_level: str = "warning",
    access_log: bool = False,
    on_start: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve a model until SIGINT or SIGTERM, see `serve_app`.

    Raises:
        NotFound: a model or a file of the certificate does not exist.
        InvalidInput: the address cannot be listened on.
    """
    serve_app(create_app(settings), settings, tls=tls, log_level=log_level, access_log=access_log, on_start=on_start)


def serve_app(
    app: ASGIApp,
    settings: Settings,
    *,
    tls: Tls | None = None,
    log_level: str = "warning",
    access_log: bool = False,
    on_start: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve an application until SIGINT or SIGTERM; requests in flight are finished first.

    Args:
        app: what answers.
        settings: where to listen, and how long requests in flight get; port 0 takes any that is free.
        tls: certificate; plain HTTP without.
        log_level: of uvicorn's own log, on stderr.
        access_log: a line a request, on stdout.
        on_start: called with the address once it answers.

    Raises:
        NotFound: a file of the certificate does not exist.
        InvalidInput: the address cannot be listened on.
    """
    config = uvicorn.Config(
        app,
        log_level=log_level,
        access_log=access_log,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(settings.limits.shutdown_s),
        backlog=_BACKLOG,
        ssl_certfile=_existing(tls.certificate) if tls else None,
        ssl_keyfile=_existing(tls.key) if tls else None,
        ssl_keyfile_password=tls.password if tls else None,
    )
    listening = _listen(settings.host, settings.port)
    port = listening.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"{'https' if tls else 'http'}://{host}:{port}"
    _Server(config, lambda: on_start(url)).run(sockets=[listening])


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._on_start()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), port))
    except (OSError, OverflowError) as cause:
        listening.close()
        raise InvalidInput(
            f"`{host}:{port}` cannot be listened on ({cause}): choose another --host or --port"
        ) from None
    listening.set_inheritable(True)
    return listening


def _existing(path: Path) -> str:
    if not path.is_file():
        raise NotFound(f"`{path}` does not exist: give the files of the certificate")
    return str(path)

"""`onesense mcp`: the verbs for agents, over the Model Context Protocol."""

from __future__ import annotations

import dataclasses
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onesense.errors import InvalidInput, NotFound

from .serve import given_keys, given_tls
from .verb import DEFAULT_COLLECTION

if TYPE_CHECKING:
    from onesense.rag.library import Library
    from onesense.server.run import Tls
    from onesense.server.settings import Settings

Names = list[str] | None
SHUTDOWN_S = 3.0  # for requests in flight; streams that clients hold open never end by themselves
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_OF_HTTP = ("host", "key_file", "api_key", "allow_anonymous", "allow_host", "tls_cert", "tls_key")


def command(
    context: typer.Context,
    collections: Annotated[
        list[Path] | None,
        typer.Option("--collection", help=f"What can be searched; {DEFAULT_COLLECTION} by default. Repeatable."),
    ] = None,
    http: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port of streamable HTTP; stdio without.")] = None,
    host: Annotated[str, typer.Option(help="With --http: address to listen on.")] = "127.0.0.1",
    key_file: Annotated[Path | None, typer.Option(help="With --http: TOML file of keys.")] = None,
    api_key: Annotated[
        Names, typer.Option(metavar="NAME=SECRET", envvar="ONESENSE_API_KEYS", help="With --http: a key.")
    ] = None,
    allow_anonymous: Annotated[
        bool, typer.Option("--allow-anonymous", help="With --http: serve the network without any key.")
    ] = False,
    allow_host: Annotated[Names, typer.Option(help="With --http: host name that requests may address.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="With --http: certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="With --http: private key of the certificate, PEM.")] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only/--allow-add", help="Whether agents may add files below a --root.")
    ] = True,
    root: Annotated[
        list[Path] | None, typer.Option("--root", help="Only files in this folder are opened or added. Repeatable.")
    ] = None,
) -> None:
    """Let agents search, open and look at collections, over stdin and stdout or over HTTP."""
    from onesense.mcp.server import serve_stdio
    from onesense.rag.library import Library

    roots = root or []
    if missing := [path for path in roots if not path.expanduser().is_dir()]:
        raise NotFound(f"`{missing[0]}` is no folder: --root names one")
    if not read_only and not roots:
        raise InvalidInput("--allow-add needs a --root: the folder that agents may add files from")
    if http is None:
        _refuse_options_of_http(context)
        with Library.open(_chosen(collections), roots=roots, is_read_only=read_only) as library:
            serve_stdio(library)
        return
    settings = _settings(http, host, key_file, api_key or [], allow_host or [], allow_anonymous=allow_anonymous)
    tls = given_tls(tls_cert, tls_key)
    with Library.open(_chosen(collections), roots=roots, is_read_only=read_only) as library:
        _serve_http(library, settings, tls)


def _chosen(collections: list[Path] | None) -> list[Path]:
    return collections or [Path(DEFAULT_COLLECTION)]


def _refuse_options_of_http(context: typer.Context) -> None:
    """Over stdin and stdout there is nobody to keep out, so an option that promises it is a mistake."""
    sources = {name: context.get_parameter_source(name) for name in _OF_HTTP}
    if given := [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]:
        raise InvalidInput(f"--{given[0].replace('_', '-')} is about HTTP: give --http PORT with it")


def _settings(  # one argument an option
    port: int, host: str, key_file: Path | None, api_keys: list[str], allow_hosts: list[str], *, allow_anonymous: bool
) -> Settings:
    """Who may come in, and by which name; the same rules as `onesense serve` has.

    Raises:
        InvalidInput: the network can reach it, and there is no key.
    """
    from onesense.server.settings import ServerLimits, Settings

    own = (*_THIS_MACHINE, socket.gethostname(), host)
    names = dict.fromkeys(allow_hosts or [name for name in own if name not in ("0.0.0.0", "::")])
    return Settings(
        host=host,
        port=port,
        keys=given_keys(key_file, api_keys),
        allow_anonymous=allow_anonymous,
        allowed_hosts=tuple(names),
        limits=dataclasses.replace(ServerLimits(), shutdown_s=SHUTDOWN_S),
    )


def _serve_http(library: Library, settings: Settings, tls: Tls | None) -> None:
    from onesense.mcp.server import http_app
    from onesense.server.gate import Gate
    from onesense.server.run import serve_app

    app = Gate(http_app(library, settings.allowed_hosts), settings, lambda *_: None)
    serve_app(app, settings, tls=tls, on_start=_announce)


def _announce(url: str) -> None:
    print(f"onesense mcp answers at {url}/mcp", file=sys.stderr, flush=True)

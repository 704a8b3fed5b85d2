"""`onesense serve`: answer Google's, OpenAI's and Cohere's clients with a model of this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onesense.errors import InvalidInput, NotFound

from .verb import DEFAULT_MODEL, Json

if TYPE_CHECKING:
    from onesense.server.access import ApiKey
    from onesense.server.run import Tls
    from onesense.server.settings import ServerLimits, Settings

Names = list[str] | None
Option = typer.Option
_LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


def command(
    model: Annotated[Names, Option("--model", "-m", help="Model to serve; Gemini's names mean the first.")] = None,
    alias: Annotated[Names, Option(metavar="NAME=MODEL", help="One more name for a model.")] = None,
    host: Annotated[str, Option(help="Address to listen on; 0.0.0.0 is the network.")] = "127.0.0.1",
    port: Annotated[int, Option(help="Port to listen on; 0 takes any.", min=0, max=65_535)] = 8080,
    key_file: Annotated[Path | None, Option(help="TOML file of keys.")] = None,
    api_key: Annotated[Names, Option(metavar="NAME=SECRET", envvar="ONESENSE_API_KEYS", help="A key.")] = None,
    allow_anonymous: Annotated[bool, Option("--allow-anonymous", help="Serve the network without any key.")] = False,
    allow_host: Annotated[Names, Option(help="Host name that requests may address.")] = None,
    cors_origin: Annotated[Names, Option(help="Web page that may call, e.g. https://my.app.")] = None,
    fetch_urls: Annotated[bool, Option("--fetch-urls", help="Let fileUri name https:// addresses.")] = False,
    fetch_host: Annotated[Names, Option(help="Fetch from this host only.")] = None,
    honour_task_type: Annotated[
        bool, Option("--honour-task-type", help="Obey taskType and title under Gemini's names, too.")
    ] = False,
    openai_tokens: Annotated[Path | None, Option(help="OpenAI's cl100k_base.tiktoken, to read token arrays.")] = None,
    limit: Annotated[Names, Option(metavar="NAME=VALUE", help="Change a limit, e.g. max_batch_items=500.")] = None,
    decoders: Annotated[int | None, Option(min=0, help="Processes that read media; 0: the server itself.")] = None,
    cache_items: Annotated[int, Option(min=0, help="Vectors kept in memory; 0 keeps none.")] = 4_096,
    cache: Annotated[Path | None, Option(help="File of vectors that outlive the server.")] = None,
    data_dir: Annotated[Path | None, Option(help="Folder of uploads and batches.")] = None,
    collection: Annotated[list[Path] | None, Option(help="Collection to show in the Studio.")] = None,
    media_root: Annotated[list[Path] | None, Option(help="Folder that may be indexed over HTTP.")] = None,
    llm: Annotated[str | None, Option(envvar="ONESENSE_LLM", help="Language model that answers /api/ask.")] = None,
    public_url: Annotated[str | None, Option(help="Address that clients see, behind a proxy.")] = None,
    tls_cert: Annotated[Path | None, Option(help="Certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, Option(help="Private key of the certificate, PEM.")] = None,
    log_level: Annotated[str, Option(help="critical, error, warning, info or debug.")] = "warning",
    access_log: Annotated[bool, Option("--access-log", help="Write a line a request.")] = False,
    as_json: Json = False,
) -> None:
    """Answer Google's, OpenAI's and Cohere's clients over HTTP with a model of this machine, until Ctrl-C."""
    from onesense.server.openai_tokens import TokenTable
    from onesense.server.run import serve
    from onesense.server.settings import Settings, UrlFetching

    if log_level not in _LOG_LEVELS:
        raise InvalidInput(f"--log-level is one of {', '.join(_LOG_LEVELS)}, not {log_level!r}")
    settings = Settings(
        models=tuple(dict.fromkeys(model or [DEFAULT_MODEL])),
        aliases=_pairs("--alias", alias or []),
        host=host,
        port=port,
        data_dir=data_dir,
        keys=given_keys(key_file, api_key or []),
        allow_anonymous=allow_anonymous,
        allowed_hosts=tuple(allow_host or ()),
        honours_tasks=honour_task_type,
        openai_tokens=TokenTable.read(openai_tokens) if openai_tokens else None,
        cors_origins=tuple(cors_origin or ()),
        urls=UrlFetching(is_on=fetch_urls or bool(fetch_host), hosts=frozenset(fetch_host or ())),
        limits=_limits(limit or []),
        decoders=decoders,
        cache_items=cache_items,
        cache_path=cache,
        collections=_existing(collection or []),
        media_roots=_existing(media_root or []),
        llm=llm,
        public_url=public_url,
    )

    def announce(url: str) -> None:
        _announce(url, settings, as_json=as_json)

    serve(settings, tls=given_tls(tls_cert, tls_key), log_level=log_level, access_log=access_log, on_start=announce)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` texts as a dict.

    Raises:
        InvalidInput: one is of another form.
    """
    found = {}
    for text in given:
        name, _, value = text.partition("=")
        if not (name.strip() and value.strip()):
            raise InvalidInput(f"{option} {text!r} is not NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def _limits(given: Sequence[str]) -> ServerLimits:
    """The limits, with those changed that were named.

    Raises:
        InvalidInput: there is no such limit, or its value is no whole number above 0.
    """
    from onesense.server.settings import ServerLimits

    known = [field.name for field in fields(ServerLimits)]
    changed = {}
    for name, value in _pairs("--limit", given).items():
        if name not in known:
            raise InvalidInput(f"there is no limit `{name}`: there are {', '.join(known)}")
        if not (value.isascii() and value.isdigit() and int(value) > 0):
            raise InvalidInput(f"--limit {name}={value}: a whole number above 0 was expected")
        changed[name] = int(value)
    return replace(ServerLimits(), **changed)


def _existing(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The paths, absolute.

    Raises:
        NotFound: one leads nowhere.
    """
    if missing := [path for path in paths if not path.expanduser().exists()]:
        raise NotFound(f"`{missing[0]}` does not exist: make a collection with `onesense index FOLDER --to PATH`")
    return tuple(path.expanduser().absolute() for path in paths)


def given_keys(path: Path | None, pairs: Sequence[str]) -> tuple[ApiKey, ...]:
    """The keys of a file and of `NAME=SECRET` texts together.

    Raises:
        NotFound: there is no such file.
        InvalidInput: one of them is no key.
    """
    from onesense.server.keyfile import parse_keys, read_keys

    return (read_keys(path) if path else ()) + parse_keys(pairs)


def given_tls(certificate: Path | None, key: Path | None) -> Tls | None:
    """The files of a certificate; None for plain HTTP.

    Raises:
        InvalidInput: one of the two is missing.
    """
    from onesense.server.run import Tls

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise InvalidInput("--tls-cert and --tls-key belong together: give both")
    return Tls(certificate, key)


def _announce(url: str, settings: Settings, *, as_json: bool) -> None:
    """Say where it answers; the models may still be loading."""
    if as_json:
        print(json.dumps({"url": url, "names": settings.names}), flush=True)
        return
    print(f"onesense serves {', '.join(settings.models)} at {url}", file=sys.stderr)
    print(f"  Studio: {url}/", file=sys.stderr)
    print(f'  google-genai: Client(api_key="any", http_options={{"base_url": "{url}"}})', file=sys.stderr)
    print(f"  names: {', '.join(settings.names)}; API: {url}/openapi.json; stop: Ctrl-C", file=sys.stderr)

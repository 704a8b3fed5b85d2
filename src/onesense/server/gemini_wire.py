"""Google's words on the wire: the bodies of its embedding methods, read into contents, and vectors into its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from onesense.engine.client import MODALITY_WORDS
from onesense.engine.tasks import TASK_TYPES
from onesense.errors import EmptyInput, InvalidInput, OnesenseError
from onesense.types import Content, Embedding, Features, Part, Task

from .engine import Job
from .protojson import Field, Message, Support
from .sources import FileRef

IGNORED, REFUSED = Support.IGNORED, Support.REFUSED

EMPTY_PART = "EmbedContentRequest.content contains an empty Part."
NO_CONTENT = "* EmbedContentRequest.content: contents is not specified"


def _message(message: Message, about: str = "", *, is_list: bool = False) -> Field:
    return Field("message", message=message, is_list=is_list, about=about)


TASK_TYPE = Field("enum", words=tuple(TASK_TYPES), type_name="TaskType")

BLOB = Message(
    "Blob",
    {
        "mime_type": Field("string"),
        "data": Field("bytes", about="base64, either alphabet"),
        "display_name": Field("string", IGNORED),
    },
)
FILE_DATA = Message(
    "FileData",
    {
        "mime_type": Field("string"),
        "file_uri": Field("string", about="`uri` of an uploaded file; `https://` where the server allows it"),
        "display_name": Field("string", IGNORED),
    },
)
VIDEO_METADATA = Message(
    "VideoMetadata",
    {
        "start_offset": Field("duration", about="`10s`; sound too"),
        "end_offset": Field("duration"),
        "fps": Field("double", about="frames a second, above 0 and up to 24; 1 by default"),
    },
)
PART = Message(
    "Part",
    {
        "text": Field("string"),
        "inline_data": _message(BLOB),
        "file_data": _message(FILE_DATA),
        "video_metadata": _message(VIDEO_METADATA),
        "media_resolution": Field("any", IGNORED),
        "media_processing": Field("any", IGNORED),
        "thought": Field("bool", IGNORED),
        "thought_signature": Field("bytes", IGNORED),
        "part_metadata": Field("any", IGNORED),
        "function_call": Field("any", REFUSED),
        "function_response": Field("any", REFUSED),
        "executable_code": Field("any", REFUSED),
        "code_execution_result": Field("any", REFUSED),
    },
    one_of=("text", "inline_data", "file_data"),
)
CONTENT = Message("Content", {"parts": _message(PART, is_list=True), "role": Field("string", IGNORED)})
_OPTIONS = {
    "task_type": TASK_TYPE,
    "title": Field("string"),
    "output_dimensionality": Field("int32", about="1 to the width of the model; all of it by default"),
}
EMBED_CONFIG = Message(
    "EmbedContentConfig",
    _OPTIONS
    | {
        "auto_truncate": Field("bool", about="false: an input that is too long is refused instead of cut"),
        "document_ocr": Field(
            "bool", IGNORED, about="the text layer of a PDF is always used, and scans are always read"
        ),
        "audio_track_extraction": Field("bool", about="false: a video's own sound is not heard; it is by default"),
    },
)
EMBED_REQUEST = Message(
    "EmbedContentRequest",
    {
        "model": Field("string", about="`models/NAME`; the same as in the address"),
        "content": _message(CONTENT),
        "embed_content_config": _message(EMBED_CONFIG),
    }
    | _OPTIONS,
)
BATCH_REQUEST = Message("BatchEmbedContentsRequest", {"requests": _message(EMBED_REQUEST, is_list=True)})
_GENERATION = ("system_instruction", "tools", "tool_config", "generation_config", "cached_content")
_NOT_GENERATED = dict.fromkeys(_GENERATION, Field("any", REFUSED))
GENERATE_REQUEST = Message(
    "GenerateContentRequest",
    {"model": Field("string", IGNORED), "contents": _message(CONTENT, is_list=True)} | _NOT_GENERATED,
)
COUNT_REQUEST = Message(
    "CountTokensRequest",
    {
        "model": Field("string", IGNORED),
        "contents": _message(CONTENT, is_list=True),
        "generate_content_request": _message(GENERATE_REQUEST),
    }
    | _NOT_GENERATED
    | {"instances": Field("any", REFUSED)},
    one_of=("contents", "generate_content_request"),
)
_INSTANCE = Message(
    "TextInstance",
    {
        "content": Field("string"),
        "task_type": TASK_TYPE,
        "title": Field("string"),
        "mime_type": Field("string", IGNORED),
    },
)
_PARAMETERS = Message(
    "TextParameters",
    {"output_dimensionality": _OPTIONS["output_dimensionality"], "auto_truncate": Field("bool")},
)
PREDICT_REQUEST = Message(
    "PredictRequest", {"instances": _message(_INSTANCE, is_list=True), "parameters": _message(_PARAMETERS)}
)


# --- in ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """One EmbedContentRequest, its files not opened yet."""

    model: str | None
    parts: tuple[Part | FileRef, ...]
    windows: tuple[Mapping[str, Any], ...]
    """Start, end and frame rate of each part, as fields of a `Part`."""
    task: Task | None
    title: str | None
    dim: int | None
    auto_truncate: bool

    @property
    def refs(self) -> list[FileRef]:
        """The files that have to be opened."""
        return [part for part in self.parts if isinstance(part, FileRef)]

    def job(self, opened: Iterable[Part], *, honours_task: bool) -> Job:
        """What the engine is asked.

        Args:
            opened: parts of `refs`, in order; more may follow.
            honours_task: False leaves `taskType` and `title` without effect.
        """
        files = iter(opened)
        parts = [next(files) if isinstance(part, FileRef) else part for part in self.parts]
        title = self.title if honours_task else None
        content = Content(*map(_cut, parts, self.windows), title=title)
        return Job(content, self.dim, self.task if honours_task else None, self.auto_truncate)


def _cut(part: Part, window: Mapping[str, Any]) -> Part:
    return replace(part, **window) if window else part


def read_wanted(fields: Mapping[str, Any]) -> Wanted:
    """What an EmbedContentRequest asks for; `embedContentConfig` wins over the older top-level fields.

    Args:
        fields: from `protojson.read` with EMBED_REQUEST.

    Raises:
        InvalidInput: no content, an empty part, or a title beside a task that takes none.
    """
    config = {**fields, **fields.get("embed_content_config", {})}
    parts, windows = read_content(fields.get("content"))
    if config.get("audio_track_extraction") is False:
        windows = [{**window, "sound": False} for window in windows]
    task = TASK_TYPES[config.get("task_type", "TASK_TYPE_UNSPECIFIED")]
    title = config.get("title") or None
    if title and task is None:
        task = Task.SEARCH_DOCUMENT
    auto = config.get("auto_truncate", True)
    dim = config.get("output_dimensionality")
    return Wanted(fields.get("model"), tuple(parts), tuple(windows), task, title, dim, auto)


def read_content(fields: Mapping[str, Any] | None) -> tuple[list[Part | FileRef], list[Mapping[str, Any]]]:
    """Parts of a Content, and the window of each.

    Raises:
        EmptyInput: there is none, or one is empty.
        InvalidInput: a part lacks its bytes, or has a window that means nothing.
    """
    parts = (fields or {}).get("parts") or []
    if not parts:
        raise EmptyInput(NO_CONTENT)
    return [_part(part) for part in parts], [_window(part) for part in parts]


def _part(fields: Mapping[str, Any]) -> Part | FileRef:
    if "text" in fields:
        if not fields["text"]:
            raise EmptyInput(EMPTY_PART)
        return Part(fields["text"])
    if blob := fields.get("inline_data"):
        if not blob.get("data"):
            raise EmptyInput(f"{EMPTY_PART} `inlineData.data` is missing or empty.")
        return Part(blob["data"], blob.get("mime_type") or None)
    if file := fields.get("file_data"):
        if not file.get("file_uri"):
            raise EmptyInput(f"{EMPTY_PART} `fileData.fileUri` is missing or empty.")
        return FileRef(file["file_uri"], file.get("mime_type") or None)
    raise EmptyInput(EMPTY_PART)


def _window(fields: Mapping[str, Any]) -> dict[str, Any]:
    names = {"start_offset": "start_s", "end_offset": "end_s", "fps": "fps"}
    window = {names[key]: value for key, value in fields.get("video_metadata", {}).items()}
    if window and "text" in fields:
        raise InvalidInput("`videoMetadata` belongs to a video, and this part is text")
    return window


# --- out --------------------------------------------------------------------------------------------------------------


def embedding(found: Embedding) -> dict[str, Any]:
    """A ContentEmbedding; its `statistics` pass through every SDK, so truncation is told there, per vector."""
    return {"values": found.values, "statistics": statistics(found)}


def statistics(found: Embedding) -> dict[str, Any]:
    """Truncation and tokens of one vector."""
    return {
        "truncated": found.truncated,
        "tokenCount": found.n_tokens,
        "tokensDetails": details([found.usage]),
    }


def usage(found: Sequence[Embedding]) -> dict[str, Any]:
    """Tokens of a whole answer. The SDKs read `promptTokensDetails`; Google's schema says `promptTokenDetails`."""
    total = sum(e.n_tokens for e in found)
    by_modality = details(e.usage for e in found)
    return {
        "promptTokenCount": total,
        "totalTokenCount": total,
        "promptTokensDetails": by_modality,
        "promptTokenDetails": by_modality,
    }


def details(usages: Iterable[Mapping[str, int]]) -> list[dict[str, Any]]:
    """Tokens by modality, in Google's words for them."""
    total: dict[str, int] = {}
    for one in usages:
        for modality, n_tokens in one.items():
            total[modality] = total.get(modality, 0) + n_tokens
    return [{"modality": MODALITY_WORDS.get(m, m.upper()), "tokenCount": n} for m, n in total.items()]


def counted(found: Sequence[Features]) -> dict[str, Any]:
    """The answer of countTokens."""
    return {
        "totalTokens": sum(f.n_tokens for f in found),
        "promptTokensDetails": details(f.usage for f in found),
    }


def fault_of_item(error: OnesenseError, place: int, items: str = "requests") -> OnesenseError:
    """The same error, naming the entry that it belongs to."""
    named = type(error)(f"{items}[{place}]: {error}")
    if isinstance(named, InvalidInput):
        named.violations = ((f"{items}[{place}].content", str(error)),)
    return named

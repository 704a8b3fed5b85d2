"""Every error that Onesense raises on purpose: what happened, its HTTP and Gemini status, what to do about it.

The list is closed: code above this module raises these and nothing else for a fault of the input or the set-up.
A message says what came, what was expected and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class OnesenseError(Exception):
    """Base of all errors that a caller can act on."""

    code: ClassVar[str] = "internal"
    """Stable identifier, used in reports and `--json` output."""
    http_status: ClassVar[int] = 500
    """HTTP status that a server answers with."""
    gemini_status: ClassVar[str] = "INTERNAL"
    """Google RPC status word of the same error."""
    index: int | None = None
    """Position among the caller's inputs, where one of several failed."""

    def at(self, index: int) -> OnesenseError:
        """The same error, naming the input that it belongs to."""
        named = type(self)(f"contents[{index}]: {self}")
        named.index = index
        named.__cause__ = self
        return named


class InvalidInput(OnesenseError):
    """The request itself is wrong: an empty content, an unknown task, a bad option."""

    code = "invalid_input"
    http_status = 400
    gemini_status = "INVALID_ARGUMENT"
    violations: tuple[tuple[str, str], ...] = ()
    """(path of a field of a request, what is wrong with it), one a fault; a server tells them apart."""


class MalformedRequest(InvalidInput):
    """The body of a request is not JSON, or has a field that is unknown, of the wrong type, or missing."""

    code = "malformed_request"


class DimError(InvalidInput):
    """An output dimension outside 1..D."""

    code = "bad_dimension"


class ZeroVector(InvalidInput):
    """A vector without length cannot be normalised."""

    code = "zero_vector"


class DecodeError(InvalidInput):
    """The bytes are not what they claim to be, or are damaged."""

    code = "cannot_decode"


class EmptyInput(InvalidInput):
    """Nothing to embed: no parts, an empty file, a sound of no length."""

    code = "empty_input"


class EncryptedInput(InvalidInput):
    """A password is needed to read this file."""

    code = "password_protected"


class TooLarge(InvalidInput):
    """More bytes, pixels, pages or seconds than the limit that the message names."""

    code = "too_large"
    http_status = 413


class UnsupportedMedia(InvalidInput):
    """No modality reads this type of file."""

    code = "unsupported_media"
    http_status = 415


class UnsupportedModality(InvalidInput):
    """The chosen model has no sense for this modality."""

    code = "unsupported_modality"


class NotFound(OnesenseError):
    """A model, file or collection of this name does not exist."""

    code = "not_found"
    http_status = 404
    gemini_status = "NOT_FOUND"


class PermissionDenied(OnesenseError):
    """This key may not see or use what it asks for."""

    code = "permission_denied"
    http_status = 403
    gemini_status = "PERMISSION_DENIED"


class AlreadyExists(OnesenseError):
    """The name is taken."""

    code = "already_exists"
    http_status = 409
    gemini_status = "ALREADY_EXISTS"


class StorageFull(OnesenseError):
    """The disk, or the share of it that the server may use, is full."""

    code = "storage_full"
    http_status = 507
    gemini_status = "RESOURCE_EXHAUSTED"


class MissingKey(OnesenseError):
    """A server asks for a key, and the request carries none."""

    code = "missing_key"
    http_status = 401
    gemini_status = "PERMISSION_DENIED"


class BadKey(OnesenseError):
    """The key of a request is none of the server's."""

    code = "bad_key"
    http_status = 401
    gemini_status = "INVALID_ARGUMENT"


class Busy(OnesenseError):
    """More is waiting, or came in a minute, than is let in; `retry_after_s` says when to try again."""

    code = "busy"
    http_status = 429
    gemini_status = "RESOURCE_EXHAUSTED"
    retry_after_s: float = 1.0
    """Seconds after which the same request has a chance."""


class Unavailable(OnesenseError):
    """A server is starting or going down."""

    code = "unavailable"
    http_status = 503
    gemini_status = "UNAVAILABLE"


class FingerprintMismatch(OnesenseError):
    """A collection holds vectors of another model, size or task."""

    code = "fingerprint_mismatch"
    http_status = 409
    gemini_status = "FAILED_PRECONDITION"


class CorruptData(OnesenseError):
    """Stored weights or a collection fail their checksum or cannot be read."""

    code = "corrupt_data"
    gemini_status = "DATA_LOSS"


class PluginError(OnesenseError):
    """A plug-in cannot be imported, or two claim one name."""

    code = "plugin_error"


class MissingExtra(OnesenseError):
    """An optional package is needed; the message names the extra to install."""

    code = "missing_extra"
    gemini_status = "FAILED_PRECONDITION"


class BackendError(OnesenseError):
    """The model failed while it embedded a batch."""

    code = "backend_failed"

"""`https://HOST/v1#MODEL`: as `http`, over TLS."""

from __future__ import annotations

from typing import ClassVar

from . import http


class Backend(http.Backend):
    """A model behind an `https` address; see `http.Backend`."""

    scheme: ClassVar[str] = "https"

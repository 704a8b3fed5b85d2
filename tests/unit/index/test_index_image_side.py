"""Pictures reach a model at the size that its record asks for, also when they are indexed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PIL import Image as pil

from onesense import Collection
from onesense.engine.backends import tiny
from onesense.types import Content, Features, Image


class Watcher(tiny.Backend):
    """Notes how large what it is given is."""

    def __init__(self, image_side: int) -> None:
        super().__init__()
        self.info = dataclasses.replace(tiny.Backend.info, image_side=image_side)
        self.sides: list[int] = []

    def prepare(self, content: Content) -> Features:
        value = content.parts[0].value
        assert isinstance(value, Image)
        self.sides.append(min(value.pixels.shape[:2]))
        return super().prepare(content)


@pytest.mark.parametrize(("image_side", "side"), [(224, 448), (800, 1_600)])
def test_the_record_decides_how_large_pictures_are(image_side: int, side: int, tmp_path: Path) -> None:
    pil.effect_noise((1_800, 2_400), 40).save(tmp_path / "photo.png")
    watcher = Watcher(image_side)
    with Collection.open(tmp_path / "all.json", model=watcher) as collection:
        report = collection.add([str(tmp_path / "photo.png")])
    assert not report.failed
    assert watcher.sides == [side]

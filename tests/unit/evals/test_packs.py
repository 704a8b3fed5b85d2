from __future__ import annotations

import io
import json
import lzma
import tarfile

import pytest

from onesense.errors import CorruptData, InvalidInput, NotFound
from onesense.evals.packs import DATA_SETTING, MANIFEST, Packs, write_pack


def test_rows_keep_quotes_and_unicode_line_ends_inside_a_field(tmp_path):
    text = 'lang\ttext\nen\t"half a quote\nja\t一 行\x85まだ\n'
    write_pack(tmp_path, {"text/a.tsv.xz": lzma.compress(text.encode())})
    rows = list(Packs(tmp_path).rows("text/a.tsv.xz"))
    assert rows == [{"lang": "en", "text": '"half a quote'}, {"lang": "ja", "text": "一 行\x85まだ"}]


def test_a_plain_tsv_is_read_as_well(packs):
    assert next(packs.rows("teachers/imagenet_labels.tsv"))["label"] == "thing0, other"


def test_a_row_of_another_width_is_named(tmp_path):
    write_pack(tmp_path, {"text/a.tsv.xz": lzma.compress(b"a\tb\n1\t2\n3\n")})
    with pytest.raises(CorruptData, match="line 3 has 1 columns, expected 2"):
        list(Packs(tmp_path).rows("text/a.tsv.xz"))


def test_records_are_objects_and_a_broken_line_is_named(tmp_path):
    write_pack(tmp_path, {"text/a.jsonl.xz": lzma.compress(b'{"a": 1}\n{"a"\n')})
    records = Packs(tmp_path).records("text/a.jsonl.xz")
    assert next(records) == {"a": 1}
    with pytest.raises(CorruptData, match="line 2"):
        next(records)


def test_samples_run_over_all_shards_and_read_only_what_is_wanted(packs):
    every = list(packs.samples("images/caltech101"))
    assert len(every) == 60 and packs.shards("images/caltech101") == [
        "images/caltech101-000.tar",
        "images/caltech101-001.tar",
    ]
    wanted = list(packs.samples("images/caltech101", lambda key, meta: meta["label"] == "thing7"))
    assert [sample.key for sample in wanted] == ["c7_0", "c7_1", "c7_2"]
    assert wanted[0].media.endswith(b"thing7 ") and wanted[0].part.mime_type == "image/webp"


def test_samples_may_outlive_the_iteration(packs):
    kept = list(packs.samples("audio/sounds"))
    assert len({sample.media for sample in kept}) == len(kept)
    assert [key for key, _ in packs.metas("audio/sounds")] == [sample.key for sample in kept]


def test_the_json_may_come_before_the_media(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in (("a.json", b'{"label": "x"}'), ("a.ogg", b"sound")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    write_pack(tmp_path, {"audio/a-000.tar": stream.getvalue()})
    (sample,) = Packs(tmp_path).samples("audio/a")
    assert (sample.meta["label"], sample.media, sample.mime_type) == ("x", b"sound", "audio/ogg")


@pytest.mark.parametrize("content", [b"no tar at all" * 100, b""])
def test_a_broken_tar_is_corrupt(tmp_path, content):
    write_pack(tmp_path, {"audio/a-000.tar": content})
    with pytest.raises(CorruptData, match="a-000"):
        list(Packs(tmp_path).samples("audio/a"))


def test_a_sample_without_its_json_is_corrupt(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.ogg"), io.BytesIO())
    write_pack(tmp_path, {"audio/a-000.tar": stream.getvalue()})
    with pytest.raises(CorruptData, match="without media or JSON: a"):
        list(Packs(tmp_path).samples("audio/a"))


def test_changed_bytes_are_refused_before_a_row_is_read(tmp_path):
    write_pack(tmp_path, {"text/a.tsv.xz": lzma.compress(b"a\n1\n")})
    (tmp_path / "text/a.tsv.xz").write_bytes(lzma.compress(b"a\n2\n"))
    with pytest.raises(CorruptData, match="sha256"):
        next(Packs(tmp_path).rows("text/a.tsv.xz"))


def test_a_truncated_file_that_the_manifest_lists_as_such_is_corrupt(tmp_path):
    write_pack(tmp_path, {"text/a.tsv.xz": lzma.compress(b"a\n" + b"1\n" * 9999)[:60]})
    with pytest.raises(CorruptData, match="cannot be read"):
        list(Packs(tmp_path).rows("text/a.tsv.xz"))


def test_a_listed_file_that_is_gone_is_named(tmp_path):
    write_pack(tmp_path, {"text/a.tsv.xz": b"x"})
    (tmp_path / "text/a.tsv.xz").unlink()
    with pytest.raises(NotFound, match=r"text/a.tsv.xz. is listed but missing"):
        Packs(tmp_path).path("text/a.tsv.xz")


def test_an_unknown_pack_names_its_neighbours(packs):
    with pytest.raises(NotFound, match="text/ntrex_1-1600"):
        packs.path("text/ntrex.tsv.xz")
    with pytest.raises(NotFound, match="images/caltech101"):
        list(packs.samples("images/caltech"))


def test_a_folder_without_manifest_is_no_data_folder(tmp_path):
    with pytest.raises(NotFound, match=MANIFEST):
        Packs(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"sources": [{"files": [{"path": "a"}]}]})])
def test_a_broken_manifest_is_corrupt(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(CorruptData, match="not a manifest"):
        Packs(tmp_path)


def test_the_folder_may_come_from_the_setting(data, monkeypatch):
    monkeypatch.setenv(DATA_SETTING, str(data))
    assert Packs().folder == data
    monkeypatch.delenv(DATA_SETTING)
    with pytest.raises(NotFound, match=DATA_SETTING):
        Packs()


def test_a_pack_is_not_written_outside_its_folder(tmp_path):
    with pytest.raises(InvalidInput, match="leaves the folder"):
        write_pack(tmp_path / "in", {"../out.tsv.xz": b""})
    assert not (tmp_path / "out.tsv.xz").exists()

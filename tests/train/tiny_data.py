"""A data folder, cached features and an ear of a few made-up rows each, enough for every task of training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from onesense.evals import splits
from onesense.evals.packs import write_pack
from unit.evals.planted import jsonl, tsv

N = 12
N_CLASSES = 1010  # composed pictures ask for the teacher's thousand
NOUNS = ("dog", "cat", "river", "bridge", "violin", "train", "apple", "lamp", "bird", "cloud", "horse", "bell")


def sentence(i: int, word: str = "sees") -> str:
    return f"the {NOUNS[i % N]} {word} the {NOUNS[(i * 5 + 1) % N]} number {i}"


def in_ol_chiki(text: str) -> str:
    """Letter for letter in a script that the imported model has no pieces for."""
    return "".join(chr(0x1C5A + ord(c) - ord("a")) if c.isalpha() else c for c in text)


def parallel(n: int = N, **more: object) -> bytes:
    rows = [{"lang": ("de", "sw")[i % 2], "text": f"xx {sentence(i)}", "english": sentence(i)} for i in range(n)]
    return tsv(*(row | more for row in rows))


def packs() -> dict[str, bytes]:
    names = (
        "everyday_phrases",
        "tico19",
        "www_l10n",
        "id_tagging",
        "ha_commands",
        "udhr",
    )
    files = {f"text/{name}.tsv.xz": parallel() for name in names}
    unread = [{"lang": "sat", "text": in_ol_chiki(n), "english": n} for n in NOUNS]
    told = [{"lang": "sat", "text": in_ol_chiki(s), "english": s} for s in map(sentence, range(3 * N))]
    files |= {
        "text/gatitos.tsv.xz": tsv(*unread),
        "text/sib200_train_dev.tsv.xz": tsv(*({"id": i} | row for i, row in enumerate(told))),
        "text/cldr_names.tsv.xz": tsv(*unread),
    }
    train, dev = [], []
    for i in range(200):
        (dev if splits.is_dev_table(f"200/{i}") else train).append(f"200/{i}")
    tables = [
        {"id": t, "title": f"title {i}", "heading": "", "caption": "", "csv": "name,height\nAda,12\nBob,1\n"}
        for i, t in enumerate([*train[:N], *dev[:3]])
    ]
    questions = [
        {"table": t["id"], "lang": "en", "question": f"who is the tallest in {i}?"} for i, t in enumerate(tables)
    ]
    synsets = [
        {"id": f"{i:08d}-n", "pos": "n", "lemmas": [noun], "definition": [f"what a {noun} is"], "hypernyms": []}
        for i, noun in enumerate(NOUNS)
    ]
    stories = [
        {"story": f"asp-00{i // 3}{(1, 3)[i == 9]}", "page": i % 3, "lang": "de", "text": f"xx {sentence(i)}"}
        | {"english": sentence(i)}
        for i in range(N)
    ]
    ntrex = [
        {"line": n, "lang": "de", "text": f"xx {sentence(n, 'hears')}", "english": sentence(n, "hears")}
        for n in (*range(1, N), 1501)
    ]
    scores = [
        {
            "split": "train",
            "lang": ("en", "de")[i % 2],
            "sentence1": sentence(i),
            "sentence2": sentence(i + 1),
            "score": i % 5,
        }
        for i in range(4 * N)
    ]
    files |= {
        "text/stories.tsv.xz": tsv(*stories),
        "text/ntrex_1-1600.tsv.xz": tsv(*ntrex),
        "text/omw_lemmas.tsv.xz": tsv(*({"lang": "de", "lemma": f"das_{n}", "english": n} for n in NOUNS)),
        "text/oewn.jsonl.xz": jsonl(*synsets),
        "text/tldr.tsv.xz": tsv(*({"lang": "de", "description": f"zeigt {n}", "english": f"shows {n}"} for n in NOUNS)),
        "text/wtq_tables_train.jsonl.xz": jsonl(*tables),
        "text/wtq_questions_train.tsv.xz": tsv(*questions),
        "text/python_docstring_code.jsonl.xz": jsonl(*({"docstring": f"Give {n}.", "code": n} for n in NOUNS)),
        "text/openstax_glossary.jsonl.xz": jsonl(
            *({"term": f"{n} {i}", "definition": f"{n} of kind {i}"} for i in range(3) for n in NOUNS)
        ),
        "text/english_sentences.tsv.xz": tsv(*({"source": "oewn", "text": sentence(i, "likes")} for i in range(3 * N))),
        "text/stsb_ccbysa_train_dev.tsv.xz": tsv(*scores),
        "teachers/imagenet_labels.tsv": _labels(),
    }  # fmt: skip
    return files


def _labels() -> bytes:
    lines = ["imagenet\toffset\tlabel", *(f"{i}\t{i:08d}-n\t{noun}" for i, noun in enumerate(NOUNS))]
    return ("\n".join(lines) + "\n").encode()


def write_features(folder: Path) -> None:
    """Cached features and concept tables as `onesense.train.features` and `tables` leave them."""
    from onesense.train.concepts import Table
    from onesense.train.data.senses import PACKS

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for pack in PACKS:
        record = {"split": "train", "source": pack, "captions": ["a thing seen"]} | (
            {"story": "asp-0001"} if pack == "stories" else {"label": "thing"}
        )
        keys = [key for key in map(f"{pack}-{{}}".format, range(40)) if not splits.is_dev_caption(key)][:N]
        np.savez(
            folder / f"pictures_{pack}.npz", keys=keys, records=[json.dumps(record)] * N,
            pooled=rng.uniform(0, 2, (N, 1280)).astype(np.float16),
            grid=rng.uniform(0, 2, (N, 9, 1280)).astype(np.float16),
        )  # fmt: skip
    names = [name for name in map("tone {}".format, range(40)) if not splits.is_dev_sound(name)][:N]
    np.savez(
        folder / "sounds.npz", keys=names, records=[json.dumps({"label": n}) for n in names],
        embeddings=rng.uniform(0, 2, (2 * N, 1024)).astype(np.float16), offsets=np.arange(0, 2 * N + 1, 2),
    )  # fmt: skip
    for name, k, width in (("eye", N_CLASSES, 1280), ("sound", 20, 1024)):
        table = Table(
            rng.standard_normal((k, width)).astype(np.float32) * 0.05, np.zeros(k, np.float32), _unit(rng, k),
            _unit(rng, k), tuple(f"{NOUNS[i % N]} {i}" for i in range(k)), np.zeros(384, np.float32), 0.8,
        )  # fmt: skip
        table.save(folder / f"{name}_table.npz")


def _unit(rng: np.random.Generator, n: int) -> np.ndarray:
    x = rng.standard_normal((n, 384)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def write_ear(folder: Path) -> None:
    """Encoder states and an adapter as `onesense.train.speech` and `ear` leave them."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    clips = [
        {"offset": 50 * i, "n_states": 50, "text": sentence(i), "english": sentence(i), "kind": "real"}
        for i in range(20)
    ]
    (folder / "train_states.json").write_text(json.dumps({"width": 512, "clips": clips}), encoding="utf-8")
    rng.standard_normal((1000, 512)).astype(np.float16).tofile(folder / "train_states.f16")
    np.zeros(1000, np.float16).tofile(folder / "train_loudness.f16")
    shapes = {"mean": 1536, "linear_weight": (384, 1536), "linear_bias": 384, "hidden_weight": (8, 1536)}
    shapes |= {"hidden_bias": 8, "out_weight": (384, 8), "out_bias": 384}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) * 0.01 for name, shape in shapes.items()}
    np.savez(folder / "adapter.npz", scale=np.ones(1536, np.float32), **arrays)


def write_all(root: Path) -> Path:
    """Everything below one folder, laid out as recipes expect it; the data folder is `root/data`."""
    write_pack(root / "data", packs())
    write_features(root / "runs/features")
    write_ear(root / "runs/ear")
    return root

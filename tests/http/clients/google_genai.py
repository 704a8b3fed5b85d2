"""google-genai: texts, sizes, media, files, batches, models, tokens and errors; sync and async."""

import asyncio
import json
import time
from pathlib import Path

from case import answer, must_raise, task
from google import genai
from google.genai import errors, types

client = genai.Client(api_key=task.key, http_options={"base_url": task.base})
contents = [types.Content(parts=[types.Part(text=text)]) for text in task.texts]
picture = types.Part.from_bytes(data=Path(task.picture).read_bytes(), mime_type="image/png")


def values(response):
    return [e.values for e in response.embeddings]


def embed(contents, model=task.model, **config):
    return values(client.models.embed_content(model=model, contents=contents, config=config or None))


async def in_turn():
    found = await client.aio.models.embed_content(model=task.model, contents=contents)
    file = await client.aio.files.upload(file=task.picture)
    pictured = await client.aio.models.embed_content(model=task.model, contents=["a bike", file])
    await client.aio.files.delete(name=file.name)
    await client.aio.aclose()
    return values(found), values(pictured)


def done(job):
    while job.state.value in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"):
        time.sleep(0.1)
        job = client.batches.get(name=job.name)
    assert job.state.value == "JOB_STATE_SUCCEEDED", job
    return job


file = client.files.upload(file=task.picture, config={"display_name": "a picture"})
assert client.files.get(name=file.name).sha256_hash == file.sha256_hash
assert file.name in [f.name for f in client.files.list()]

cases = {
    "texts": embed(contents),
    "texts:list under a plain name": embed(task.texts, model=task.alias),
    "fused": embed(task.texts),
    "small": embed(contents, output_dimensionality=64),
    "query": embed(task.texts[0], model=task.alias, task_type="RETRIEVAL_QUERY"),
    "image": embed(picture),
    "text_image": embed(["a bike", picture]),
    "text_image:uploaded": embed(["a bike", file]),
}
cases["texts:async"], cases["text_image:async"] = asyncio.run(in_turn())

source = types.EmbeddingsBatchJobSource(inlined_requests=types.EmbedContentBatch(contents=task.texts))
job = done(client.batches.create_embeddings(model=task.model, src=source, config={"display_name": "inline"}))
cases["texts:batch"] = [r.response.embedding.values for r in job.dest.inlined_embed_content_responses]
assert job.name in [j.name for j in client.batches.list()]
client.batches.delete(name=job.name)

lines = [{"key": str(n), "request": {"content": {"parts": [{"text": t}]}}} for n, t in enumerate(task.texts)]
requests = Path(task.picture).with_name("requests.jsonl")
requests.write_text("\n".join(map(json.dumps, lines)))
upload = client.files.upload(file=requests, config={"mime_type": "jsonl"})
job = done(client.batches.create_embeddings(model=task.model, src={"file_name": upload.name}))
results = [json.loads(line) for line in client.files.download(file=job.dest.file_name).splitlines()]
cases["texts:batch from a file"] = [r["response"]["embedding"]["values"] for r in results]
client.batches.cancel(name=job.name)
client.files.delete(name=file.name)

assert client.models.get(model=task.model).name == f"models/{task.model}"
assert client.models.count_tokens(model=task.model, contents="a b").total_tokens > 0
assert must_raise(errors.ClientError, lambda: embed("x", model="gpt-4")).code == 404
assert must_raise(errors.ClientError, lambda: embed("")).status == "INVALID_ARGUMENT"
assert must_raise(errors.ClientError, lambda: client.files.get(name=file.name)).code == 403
stranger = genai.Client(api_key="wrong", http_options={"base_url": task.base})
assert "API key not valid" in str(must_raise(errors.ClientError, lambda: stranger.files.list()))
answer(["google-genai"], cases)

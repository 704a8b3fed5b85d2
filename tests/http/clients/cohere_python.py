"""cohere: texts, images, mixed inputs, every type of vector, both clients."""

import base64
import struct
from pathlib import Path

import cohere
from case import answer, must_raise, task

URI = "data:image/png;base64," + base64.b64encode(Path(task.picture).read_bytes()).decode()
client = cohere.ClientV2(api_key=task.key, base_url=task.base)
TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]


def embed(input_type="image", **options):
    found = client.embed(model=task.model, input_type=input_type, embedding_types=["float"], **options)
    return found.embeddings.float_


everything = client.embed(model=task.model, input_type="image", texts=task.texts, embedding_types=TYPES).embeddings
assert [len(v) for v in everything.binary] == [384] * 3
assert all(-128 <= n <= 127 for v in (*everything.int8, *everything.binary) for n in v)
both = [{"type": "text", "text": "a bike"}, {"type": "image_url", "image_url": {"url": URI}}]
cases = {
    "texts": embed(texts=task.texts),
    "texts:base64": [struct.unpack("<3072f", base64.b64decode(v)) for v in everything.base64],
    "small": embed(texts=task.texts, output_dimension=64),
    "query": embed("search_query", texts=task.texts[:1]),
    "documents": embed("search_document", texts=task.texts),
    "image": embed(images=[URI]),
    "text_image": embed(inputs=[{"content": both}]),
    "texts:the older client": cohere.Client(api_key=task.key, base_url=task.base)
    .embed(texts=task.texts, model=task.model, input_type="image")
    .embeddings,
}
must_raise(cohere.BadRequestError, lambda: embed(texts=[""]))
must_raise(cohere.UnauthorizedError, lambda: cohere.ClientV2(api_key="wrong", base_url=task.base).embed(
    model=task.model, input_type="image", texts=["x"]))  # fmt: skip
answer(["cohere"], cases)

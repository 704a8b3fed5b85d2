"""openai: both base URLs, both encodings (base64 is its default), media parts, errors."""

import base64
from pathlib import Path

import openai
from case import answer, must_raise, task

URI = "data:image/png;base64," + base64.b64encode(Path(task.picture).read_bytes()).decode()


def embed(path, model=task.model, **options):
    with openai.OpenAI(base_url=task.base + path, api_key=task.key) as client:
        found = client.embeddings.create(model=model, **options)
    assert found.usage.total_tokens > 0
    return [d.embedding for d in found.data]


image = {"type": "input_image", "image_url": URI}
cases = {
    "texts": embed("/v1", input=task.texts),
    "texts:at Google's path": embed("/v1beta/openai", input=task.texts),
    "texts:as floats": embed("/v1", input=task.texts, encoding_format="float"),
    "one": embed("/v1", input=task.texts[0]),
    "small": embed("/v1", input=task.texts, dimensions=64),
    "image": embed("/v1", input=[image]),
    "text_image": embed("/v1", input=[[{"type": "input_text", "text": "a bike"}, image]]),
    "query": embed("/v1", input=task.texts[0], extra_body={"task": "search query"}),
}
must_raise(openai.NotFoundError, lambda: embed("/v1", model="gpt-4", input="x"))
must_raise(openai.BadRequestError, lambda: embed("/v1", input=[[1, 2, 3]]))
answer(["openai"], cases)

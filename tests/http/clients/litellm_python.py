"""litellm, speaking three APIs: Google's, OpenAI's and Cohere's."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its price list would be fetched from GitHub

import litellm  # it reads that variable when it is imported
from case import answer, must_raise, task

litellm.telemetry = False


def embed(model, path, texts=task.texts, **options):
    found = litellm.embedding(model=model, api_base=task.base + path, api_key=task.key, input=texts, **options)
    return [d["embedding"] for d in found.data]


cases = {
    "texts:gemini": embed(f"gemini/{task.model}", "/v1beta"),
    "texts:gemini without a version": embed(f"gemini/{task.model}", ""),
    "texts:openai": embed(f"openai/{task.model}", "/v1"),
    "small:openai": embed(f"openai/{task.model}", "/v1", dimensions=64, allowed_openai_params=["dimensions"]),
    "documents:cohere": embed(f"cohere/{task.model}", "/v2/embed", input_type="search_document"),
}
must_raise(litellm.NotFoundError, lambda: embed("openai/gpt-4", "/v1"))
answer(["litellm"], cases)

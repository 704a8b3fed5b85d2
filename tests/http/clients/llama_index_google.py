"""llama-index-embeddings-google-genai: it adds a task type to every call, which counts under a plain name only."""

import asyncio

from case import answer, must_raise, task
from llama_index.embeddings.google_genai import GoogleGenAIEmbedding


def make(model, **config):
    return GoogleGenAIEmbedding(
        model_name=model, api_key=task.key, http_options={"base_url": task.base}, retries=0, **config
    )


gemini, plain = make(task.model), make(task.alias)
cases = {
    "texts": gemini.get_text_embedding_batch(task.texts),
    "one": [gemini.get_query_embedding(task.texts[0])],
    "small": make(task.model, embedding_config={"output_dimensionality": 64}).get_text_embedding_batch(task.texts),
    "documents": plain.get_text_embedding_batch(task.texts),
    "query": [plain.get_query_embedding(task.texts[0])],
    "texts:async": asyncio.run(make(task.model).aget_text_embedding_batch(task.texts)),
}
must_raise(Exception, lambda: make("gpt-4").get_text_embedding("x"))
answer(["llama-index-embeddings-google-genai", "google-genai"], cases)

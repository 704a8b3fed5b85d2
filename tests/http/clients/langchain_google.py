"""langchain-google-genai: it adds a task type to every call, which counts under a plain name only."""

from case import answer, must_raise, task
from langchain_google_genai import GoogleGenerativeAIEmbeddings


def make(model, **options):
    return GoogleGenerativeAIEmbeddings(model=model, google_api_key=task.key, base_url=task.base, **options)


gemini, plain = make(f"models/{task.model}"), make(f"models/{task.alias}")
cases = {
    "texts": gemini.embed_documents(task.texts),
    "one": [gemini.embed_query(task.texts[0])],
    "small": gemini.embed_documents(task.texts, output_dimensionality=64),
    "documents": plain.embed_documents(task.texts),
    "query": [plain.embed_query(task.texts[0])],
}
must_raise(Exception, lambda: make("models/gpt-4").embed_query("x"))
answer(["langchain-google-genai", "google-genai"], cases)

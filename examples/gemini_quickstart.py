"""The calls of Google's embedding guide (ai.google.dev/gemini-api/docs/embeddings); only the client line is another.

Usage: python examples/gemini_quickstart.py [picture]
"""

import io
import sys
from pathlib import Path

import numpy as np
from google.genai import types

import onesense

client = onesense.Client()  # was: genai.Client()
MODEL = "gemini-embedding-2"  # kept: Gemini's names stand for the client's own model

# One text, one vector.
result = client.models.embed_content(model=MODEL, contents="What is the meaning of life?")
print("one text:", len(result.embeddings[0].values), "numbers")

# Several contents, and how near they are to each other.
texts = ["What is the meaning of life?", "What is the purpose of existence?", "How do I bake a cake?"]
result = client.models.embed_content(
    model=MODEL,
    contents=[types.Content(parts=[types.Part.from_text(text=text)]) for text in texts],
    config=types.EmbedContentConfig(output_dimensionality=768),
)
rows = np.array([embedding.values for embedding in result.embeddings])
print("similarity:", np.round(rows @ rows.T, 2).tolist())

# A list of strings and parts under this name is one content and gets one vector, as in google-genai.
if len(sys.argv) > 1:
    picture = Path(sys.argv[1]).read_bytes()
else:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(stream, "PNG")
    picture = stream.getvalue()
result = client.models.embed_content(
    model=MODEL,
    contents=["A picture to remember: ", types.Part.from_bytes(data=picture, mime_type="image/png")],
    config={"output_dimensionality": 1536},
)
print("text and picture:", len(result.embeddings), "vector of", len(result.embeddings[0].values), "numbers")

# A question and a document, each with its task in front, as the guide asks for with this model.
query = client.models.embed_content(model=MODEL, contents="task: question answering | query: When is breakfast?")
document = client.models.embed_content(model=MODEL, contents="title: The inn | text: Breakfast is served from seven.")
print("question and answer:", round(float(np.dot(query.embeddings[0].values, document.embeddings[0].values)), 2))

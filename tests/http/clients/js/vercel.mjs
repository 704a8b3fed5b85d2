// Vercel's AI SDK with its Google and Cohere providers.
import { createCohere } from "@ai-sdk/cohere";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { embed, embedMany } from "ai";
import { answer, mustThrow, picture, task } from "./case.mjs";

const google = createGoogleGenerativeAI({ baseURL: `${task.base}/v1beta`, apiKey: task.key });
const cohere = createCohere({ baseURL: `${task.base}/v2`, apiKey: task.key });
const model = google.textEmbeddingModel ? google.textEmbeddingModel(task.model) : google.embeddingModel(task.model);
const plain = google.textEmbeddingModel ? google.textEmbeddingModel(task.alias) : google.embeddingModel(task.alias);
const other = cohere.textEmbeddingModel ? cohere.textEmbeddingModel(task.model) : cohere.embeddingModel(task.model);
const data = picture().toString("base64");

const many = async (model, google = {}, options = {}) =>
  (await embedMany({ model, values: task.texts, providerOptions: { google, ...options } })).embeddings;
const content = [[{ inlineData: { mimeType: "image/png", data } }]];

const cases = {
  texts: await many(model),
  one: [(await embed({ model, value: task.texts[0] })).embedding],
  small: await many(model, { outputDimensionality: 64 }),
  documents: await many(plain, { taskType: "RETRIEVAL_DOCUMENT" }),
  text_image: [(await embed({ model, value: "a bike", providerOptions: { google: { content } } })).embedding],
  "query:cohere": [(await embed({ model: other, value: task.texts[0] })).embedding],
  "documents:cohere": await many(other, {}, { cohere: { inputType: "search_document" } }),
};
await mustThrow(() => embed({ model: google.embeddingModel("gpt-4"), value: "x", maxRetries: 0 }), "not found");
answer(["ai", "@ai-sdk/google", "@ai-sdk/cohere"], cases);

// @langchain/google-genai: documents in one call, a query with `embedContent`.
import { GoogleGenerativeAIEmbeddings } from "@langchain/google-genai";
import { answer, mustThrow, task } from "./case.mjs";

const make = (model, options = {}) =>
  new GoogleGenerativeAIEmbeddings({ model, apiKey: task.key, baseUrl: task.base, maxRetries: 0, ...options });
const cases = {
  texts: await make(task.model).embedDocuments(task.texts),
  one: [await make(task.model).embedQuery(task.texts[0])],
  documents: await make(task.alias, { taskType: "RETRIEVAL_DOCUMENT" }).embedDocuments(task.texts),
};
await mustThrow(() => make("gpt-4").embedQuery("x"), "not found");
answer(["@langchain/google-genai"], cases);

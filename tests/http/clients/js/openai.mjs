// openai for JavaScript: base64 by default.
import OpenAI from "openai";
import { answer, mustThrow, task } from "./case.mjs";

const client = new OpenAI({ baseURL: `${task.base}/v1`, apiKey: task.key });
const embed = async (options) =>
  (await client.embeddings.create({ model: task.model, ...options })).data.map((d) => Array.from(d.embedding));

const cases = {
  texts: await embed({ input: task.texts }),
  "texts:as floats": await embed({ input: task.texts, encoding_format: "float" }),
  one: await embed({ input: task.texts[0] }),
  small: await embed({ input: task.texts, dimensions: 64 }),
};
await mustThrow(() => embed({ model: "gpt-4", input: "x" }), "404");
answer(["openai"], cases);

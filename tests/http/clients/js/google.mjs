// @google/genai: texts, sizes, media, files, batches, errors.
import { GoogleGenAI } from "@google/genai";
import { answer, mustThrow, picture, task } from "./case.mjs";

const client = new GoogleGenAI({ apiKey: task.key, httpOptions: { baseUrl: task.base } });
const contents = task.texts.map((text) => ({ parts: [{ text }] }));
const image = { inlineData: { mimeType: "image/png", data: picture().toString("base64") } };

async function embed(contents, config = undefined, model = task.model) {
  const found = await client.models.embedContent({ model, contents, config });
  return found.embeddings.map((e) => e.values);
}

async function done(job) {
  while (["JOB_STATE_PENDING", "JOB_STATE_RUNNING"].includes(job.state)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    job = await client.batches.get({ name: job.name });
  }
  if (job.state !== "JOB_STATE_SUCCEEDED") throw new Error(JSON.stringify(job));
  return job;
}

const file = await client.files.upload({ file: task.picture, config: { mimeType: "image/png", displayName: "a picture" } });
const again = await client.files.get({ name: file.name });
if (again.sha256Hash !== file.sha256Hash) throw new Error("another file came back");
const listed = [];
for await (const one of await client.files.list()) listed.push(one.name);
if (!listed.includes(file.name)) throw new Error("the file is not listed");

const cases = {
  texts: await embed(contents),
  fused: await embed(task.texts),
  "texts:list under a plain name": await embed(task.texts, undefined, task.alias),
  small: await embed(contents, { outputDimensionality: 64 }),
  image: await embed([image]),
  text_image: await embed([{ text: "a bike" }, image]),
  "text_image:uploaded": await embed([{ text: "a bike" }, { fileData: { fileUri: file.uri, mimeType: "image/png" } }]),
};
const job = await done(
  await client.batches.createEmbeddings({ model: task.model, src: { inlinedRequests: { contents: task.texts } } }),
);
cases["texts:batch"] = job.dest.inlinedEmbedContentResponses.map((r) => r.response.embedding.values);
await client.batches.delete({ name: job.name });
await client.files.delete({ name: file.name });

await mustThrow(() => embed("x", undefined, "gpt-4"), "NOT_FOUND");
await mustThrow(() => client.files.get({ name: file.name }), "PERMISSION_DENIED");
answer(["@google/genai"], cases);

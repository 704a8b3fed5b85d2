// cohere-ai for JavaScript.
import { CohereClientV2 } from "cohere-ai";
import { answer, mustThrow, picture, task } from "./case.mjs";

const client = new CohereClientV2({ token: task.key, environment: task.base, baseUrl: task.base });
const uri = `data:image/png;base64,${picture().toString("base64")}`;
const embed = async (options) =>
  (await client.embed({ model: task.model, inputType: "image", embeddingTypes: ["float"], ...options })).embeddings.float;
const both = [
  { type: "text", text: "a bike" },
  { type: "image_url", imageUrl: { url: uri } },
];

const cases = {
  texts: await embed({ texts: task.texts }),
  documents: await embed({ texts: task.texts, inputType: "search_document" }),
  small: await embed({ texts: task.texts, outputDimension: 64 }),
  image: await embed({ images: [uri] }),
  text_image: await embed({ inputs: [{ content: both }] }),
};
await mustThrow(() => embed({ texts: [""] }), "400");
answer(["cohere-ai"], cases);

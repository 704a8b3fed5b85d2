// "Get code": the call that was just made, for Onesense and for Google, in Python, JavaScript and curl.

import { collectionPath } from "../api.js";
import { studio } from "../app.js";
import { button, dialog, fill, h, toast } from "../dom.js";
import { t } from "../i18n.js";

const quote = (text) => JSON.stringify(text);
const indent = (text, by) => text.replace(/\n/g, `\n${" ".repeat(by)}`);
const shell = (text) => `'${text.replace(/'/g, `'\\''`)}'`;

/** JSON as Python writes it. */
function python(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([key, item]) => `${quote(key)}: ${python(item)}`).join(", ")}}`;
  return typeof value === "string" ? quote(value) : String(value);
}

const tidy = (wanted) => Object.fromEntries(Object.entries(wanted).filter(([, v]) => !(v === null || v === "" || (Array.isArray(v) && !v.length) || (typeof v === "object" && !Array.isArray(v) && !Object.keys(v).length))));

/** A search as code: our HTTP API; there is nothing like it at Google. */
export function searchCalls(collection, wanted) {
  const body = tidy(wanted);
  const path = collectionPath(collection, "/search");
  const url = location.origin + path;
  return {
    Onesense: {
      Python: `import httpx\n\nanswer = httpx.post(\n    ${quote(url)},\n    json=${python(body)},\n    timeout=60,\n)\nfor hit in answer.raise_for_status().json()["hits"]:\n    print(hit["confidence"], hit["path"], hit["locator"])\n`,
      JavaScript: `const answer = await fetch(${quote(url)}, {\n  method: "POST",\n  headers: { "content-type": "application/json" },\n  body: JSON.stringify(${indent(JSON.stringify(body, null, 2), 2)}),\n});\nconst { hits } = await answer.json();\nfor (const hit of hits) console.log(hit.confidence, hit.path, hit.locator);\n`,
      curl: `curl ${shell(url)} \\\n  -H 'content-type: application/json' \\\n  -d ${shell(JSON.stringify(body))}\n`,
    },
  };
}

/** A question as code: the last event is the answer. */
export function askCalls(wanted) {
  const body = tidy(wanted);
  const url = `${location.origin}/api/ask`;
  return {
    Onesense: {
      Python: `import json\n\nimport httpx\n\nwith httpx.stream(\n    "POST",\n    ${quote(url)},\n    json=${python(body)},\n    timeout=300,\n) as answer:\n    events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]\nprint(events[-1]["text"])\nfor passage in events[-1]["citations"]:\n    print(passage["number"], passage["link"])\n`,
      JavaScript: `const answer = await fetch(${quote(url)}, {\n  method: "POST",\n  headers: { "content-type": "application/json" },\n  body: JSON.stringify(${indent(JSON.stringify(body, null, 2), 2)}),\n});\nconst lines = (await answer.text()).split("\\n").filter((line) => line.startsWith("data: "));\nconst { text, citations } = JSON.parse(lines.at(-1).slice(6));\nconsole.log(text);\nfor (const passage of citations) console.log(passage.number, passage.link);\n`,
      curl: `curl -N ${shell(url)} \\\n  -H 'content-type: application/json' \\\n  -d ${shell(JSON.stringify(body))}\n`,
    },
  };
}

/**
 * Embedding a content as code.
 *
 * @param parts `{ text }` or `{ name, mime }` of a file beside the program.
 * @param dim size of the vector.
 */
export function embedCalls(parts, dim) {
  const ours = { python: `import onesense\n\nclient = onesense.Client()\n`, model: studio.status.model.name };
  const theirs = { python: `from google import genai\nfrom google.genai import types\n\nclient = genai.Client()  # reads GEMINI_API_KEY\n`, model: "gemini-embedding-2" };
  return {
    Onesense: { Python: pythonEmbed(ours, parts, dim, true), JavaScript: scriptEmbed(parts, dim, `{ apiKey: "any", httpOptions: { baseUrl: ${quote(location.origin)} } }`), curl: curlEmbed(parts, dim, location.origin, "any") },
    Google: { Python: pythonEmbed(theirs, parts, dim, false), JavaScript: scriptEmbed(parts, dim, "{}"), curl: curlEmbed(parts, dim, "https://generativelanguage.googleapis.com", "$GEMINI_API_KEY") },
  };
}

function pythonEmbed({ python: head, model }, parts, dim, isOurs) {
  const one = (part) => {
    if (part.text !== undefined) return quote(part.text);
    if (isOurs) return `onesense.Part.file(${quote(part.name)})`;
    return `types.Part.from_bytes(data=open(${quote(part.name)}, "rb").read(), mime_type=${quote(part.mime)})`;
  };
  const inner = parts.map((part) => (isOurs || part.text === undefined ? one(part) : `types.Part(text=${one(part)})`)).join(",\n        ");
  const content = isOurs ? `onesense.Content(\n        ${inner},\n    )` : `types.Content(parts=[\n        ${inner},\n    ])`;
  return `${head}answer = client.models.embed_content(\n    model=${quote(model)},\n    contents=${content},\n    config={"output_dimensionality": ${dim}},\n)\nprint(answer.embeddings[0].values[:8])\n`;
}

function scriptEmbed(parts, dim, options) {
  const one = (part) => (part.text !== undefined ? `{ text: ${quote(part.text)} }` : `{ inlineData: { mimeType: ${quote(part.mime)}, data: readFileSync(${quote(part.name)}, "base64") } }`);
  const reads = parts.some((part) => part.text === undefined) ? `import { readFileSync } from "node:fs";\n` : "";
  return `${reads}import { GoogleGenAI } from "@google/genai";\n\nconst client = new GoogleGenAI(${options});\nconst answer = await client.models.embedContent({\n  model: "gemini-embedding-2",\n  contents: [{ parts: [\n    ${parts.map(one).join(",\n    ")},\n  ] }],\n  config: { outputDimensionality: ${dim} },\n});\nconsole.log(answer.embeddings[0].values.slice(0, 8));\n`;
}

function curlEmbed(parts, dim, origin, secret) {
  const one = (part) => (part.text !== undefined ? { text: part.text } : { inlineData: { mimeType: part.mime, data: `@BASE64 ${part.name}@` } });
  const body = shell(JSON.stringify({ content: { parts: parts.map(one) }, outputDimensionality: dim })).replace(/@BASE64 (.*?)@/g, (_, file) => `'"$(base64 -w0 ${file.replace(/[^\w.-]/g, "\\$&")})"'`);
  return `curl "${origin}/v1beta/models/gemini-embedding-2:embedContent" \\\n  -H "x-goog-api-key: ${secret}" \\\n  -H 'content-type: application/json' \\\n  -d ${body}\n`;
}

/** Show code of several makers in several languages, to copy. */
export function codeDialog(calls) {
  const makers = Object.keys(calls);
  let [maker, language] = [makers[0], "Python"];
  const source = h("pre", { class: "code", tabindex: "0" });
  const choices = h("div", { class: "code-choices" });
  const choice = (names, current, act) =>
    h("div", { class: "segmented", role: "group" }, names.map((name) => h("button", { type: "button", "aria-pressed": String(name === current), onclick: () => (act(name), draw()) }, name)));
  const draw = () => {
    fill(choices, makers.length > 1 && choice(makers, maker, (name) => (maker = name)), choice(Object.keys(calls[maker]), language, (name) => (language = name)));
    fill(source, calls[maker][language]);
  };
  const copy = async () => {
    await navigator.clipboard.writeText(calls[maker][language]);
    toast(t("code.copied"));
  };
  draw();
  const box = dialog(t("code.get"), "code-dialog", [
    h("div", { class: "dialog-head" }, h("h2", {}, t("code.get")), button(t("close"), { icon: "close", class: "quiet", onclick: () => box.close() })),
    choices,
    source,
    button(t("code.copy"), { icon: "copy", text: t("code.copy"), class: "primary", onclick: copy }),
  ]);
}

// The way to the server: only its public HTTP API.

export class ApiError extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const KEY = "onesense.key";
export const key = () => sessionStorage.getItem(KEY) ?? "";
export const setKey = (value) => sessionStorage.setItem(KEY, value);

const headers = (more = {}) => (key() ? { "x-goog-api-key": key(), ...more } : more);

let lost = "the server cannot be reached";
export const setLostText = (text) => (lost = text);

/** Ask the server; JSON in, JSON out. Throws an ApiError with the server's own words. */
export async function call(method, path, body, signal) {
  const options = { method, headers: headers(body === undefined ? {} : { "content-type": "application/json" }), signal };
  if (body !== undefined) options.body = JSON.stringify(body);
  const answer = await fetched(path, options);
  return answer.json();
}

async function fetched(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ApiError(lost, "unreachable", 0);
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const error = told.error ?? {};
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("onesense:key"));
  throw new ApiError(error.message ?? `HTTP ${answer.status}`, error.code ?? "", answer.status);
}

const segment = encodeURIComponent;
export const collectionPath = (name, rest = "") => `/api/collections/${segment(name)}${rest}`;

/** The address of a thumbnail, clip or original, for `src`; a browser sends no header there, so the key goes along. */
export function mediaUrl(name, kind, params) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== undefined && value !== null));
  if (key()) query.set("key", key());
  return `${collectionPath(name, `/${kind}`)}?${query}`;
}

// --- server-sent events ----------------------------------------------------------------------------------------------

/** The events of an answer as `{ event, data }`, as they come; comments are passed over. */
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  try {
    for (;;) {
      const { value, done } = await read(reader);
      if (done) return;
      const blocks = (held + value).split("\n\n");
      held = blocks.pop();
      for (const block of blocks) {
        const lines = block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]);
        const { event = "message", data } = Object.fromEntries(lines);
        if (data !== undefined) yield { event, data: JSON.parse(data) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ApiError(lost, "unreachable", 0);
  }
}

export const isOver = (job) => !["waiting", "running"].includes(job.state);

/** Follow a job until it is over; `onchange` gets it whenever it has changed. Reconnects when the line breaks. */
export async function watch(id, onchange, signal) {
  for (let n = 0; n < 100 && !signal?.aborted; n++) {
    try {
      const answer = await fetched(`/api/jobs/${id}/events`, { headers: headers(), signal });
      for await (const { data: job } of events(answer)) {
        onchange(job);
        if (isOver(job)) return job;
      }
    } catch (cause) {
      if (cause.name === "AbortError" || cause.status) throw cause;
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
  throw new ApiError(lost, "unreachable", 0);
}

/** Ask a question; the events of its answer, the last of them `answer` or `error`. Throws when the line breaks before. */
export async function* ask(wanted, signal) {
  const answer = await fetched("/api/ask", { method: "POST", headers: headers({ "content-type": "application/json" }), body: JSON.stringify(wanted), signal });
  for await (const event of events(answer)) {
    yield event;
    if (event.event === "answer" || event.event === "error") return;
  }
  throw new ApiError(lost, "unreachable", 0);
}

// --- uploads: Google's resumable protocol, which our server answers; a broken line goes on where it broke -------------

const PIECE = 8 << 20;
const TRIES = 6;

/** Upload a file; the name of it on the server, `files/ID`. `onprogress` gets the share that has arrived, 0..1. */
export async function upload(file, { name = file.name ?? "clip", onprogress = () => {}, signal } = {}) {
  const declared = { "X-Goog-Upload-Header-Content-Length": String(file.size) };
  if (file.type) declared["X-Goog-Upload-Header-Content-Type"] = file.type.split(";")[0];
  const begun = await fetched("/upload/v1beta/files", {
    method: "POST",
    headers: headers({ ...declared, "X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start", "content-type": "application/json" }),
    body: JSON.stringify({ file: { displayName: name } }),
    signal,
  });
  const session = new URL(begun.headers.get("X-Goog-Upload-URL"));
  const address = session.pathname + session.search;
  let offset = 0;
  for (let tries = 0; ; ) {
    const end = Math.min(offset + PIECE, file.size);
    const command = end === file.size ? "upload, finalize" : "upload";
    try {
      const answer = await fetched(address, {
        method: "POST",
        headers: { "X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": String(offset) },
        body: file.slice(offset, end),
        signal,
      });
      offset = end;
      tries = 0;
      onprogress(offset / Math.max(file.size, 1));
      if (command !== "upload") return (await answer.json()).file.name;
    } catch (cause) {
      if (cause.name === "AbortError" || cause.status || ++tries > TRIES) throw cause;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
      offset = await received(address, offset);
    }
  }
}

async function received(address, otherwise) {
  try {
    const answer = await fetched(address, { method: "POST", headers: { "X-Goog-Upload-Command": "query" } });
    return Number(answer.headers.get("X-Goog-Upload-Size-Received") ?? otherwise);
  } catch {
    return otherwise;
  }
}

export const forget = (uri) => call("DELETE", `/v1beta/${uri}`).catch(() => {});

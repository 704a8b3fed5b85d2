// Library: what is in a collection, and what is on its way in.

import { ApiError, call, collectionPath, isOver, mediaUrl, upload, watch } from "../api.js";
import { address, refresh, reload, studio } from "../app.js";
import { announce, button, dialog, fill, h, icon, name, toast } from "../dom.js";
import { bytes, number, span, t } from "../i18n.js";
import { dropzone, refusal } from "../parts/query.js";

const PAGE = 50;
const AT_ONCE = 3;
const LOOK_MS = 3_000; // between two looks at what other tabs and programs have begun
const JUST_S = 300; // so long a job that is over is shown to who comes later

/** Ids of jobs whose cards this tab has put away. */
const dismissed = new Set();

export async function show(main) {
  const control = new AbortController();
  const create = () => createDialog();
  if (!studio.collection) {
    fill(main, h("div", { class: "empty" }, icon("library"), h("h1", {}, t("library.first")), h("p", {}, t("library.first.text")), button(t("library.new"), { icon: "plus", text: t("library.new"), class: "primary", onclick: create })));
    return () => control.abort();
  }
  const collection = studio.collection;
  const head = h("header", { class: "page-head" });
  const jobs = h("section", { class: "jobs", "aria-label": t("library.jobs"), hidden: true });
  const failures = h("section", { class: "failures", hidden: true });
  const files = h("section", { class: "files", "aria-label": t("library.files") });
  const ctx = { collection, control, jobs, failures, files, followed: new Set(), isGoing: false, changed: () => Promise.all([drawHead(), drawFailures(ctx), drawFiles(ctx)]) };

  const title = (isOwn) =>
    h("div", { class: "page-title" }, h("h1", {}, h("bdi", {}, collection)), h("div", { class: "page-tools" }, button(t("library.new"), { icon: "plus", text: t("library.new"), onclick: create }), isOwn && button(t("library.delete"), { icon: "trash", class: "quiet", onclick: () => deleteDialog(ctx) })));

  async function drawHead() {
    const about = await call("GET", collectionPath(collection), undefined, control.signal);
    const kinds = Object.entries(about.by_modality).sort((a, b) => b[1] - a[1]);
    fill(
      head,
      title(about.own),
      h("p", { class: "quiet-text" }, t("library.count", { n: about.files }), " · ", t("library.segments", { n: about.segments }), " · ", h("bdi", {}, `${about.model}, ${number(about.dim)}`)),
      h("ul", { class: "kinds" }, kinds.map(([modality, n]) => h("li", {}, icon(modality), h("strong", {}, number(n)), " ", t(`modality.${modality}.many`)))),
    );
  }

  fill(head, title(false));
  fill(main, head, addPanel(ctx), jobs, failures, files);
  const undrop = dropzone(async (transfer) => send(ctx, await dropped(transfer)));
  const looking = setInterval(() => document.hidden || ctx.isGoing || look(ctx).catch((cause) => cause.status === 404 && clearInterval(looking)), LOOK_MS);
  control.signal.addEventListener("abort", () => (undrop(), clearInterval(looking)));
  // The jobs first: they are there at once, whatever the collection is busy with.
  Promise.all([look(ctx), ctx.changed()]).catch((cause) => cause.name !== "AbortError" && toast(cause.message, "error"));
  return () => control.abort();
}

// --- adding ----------------------------------------------------------------------------------------------------------------

function addPanel(ctx) {
  const chooser = (props) => h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true", ...props, onchange: (event) => send(ctx, [...event.target.files].map((file) => [file, file.webkitRelativePath || file.name])) });
  const [files, folder] = [chooser({}), chooser({ webkitdirectory: true })];
  const byPath = studio.status.can.paths && pathForm(ctx);
  return h(
    "section",
    { class: "add", "aria-label": t("library.add") },
    h(
      "div",
      { class: "add-drop" },
      icon("upload"),
      h("p", {}, t("library.drop")),
      h("div", { class: "row" }, button(t("library.files.choose"), { icon: "attach", text: t("library.files.choose"), class: "primary", onclick: () => files.click() }), button(t("library.folder.choose"), { icon: "folder-add", text: t("library.folder.choose"), onclick: () => folder.click() })),
      h("p", { class: "quiet-text" }, t("library.limit", { size: bytes(studio.status.limits.file_bytes) })),
      files,
      folder,
    ),
    byPath,
  );
}

function pathForm(ctx) {
  const field = h("input", { type: "text", id: "path", placeholder: "/home/…/Photos", autocomplete: "off", spellcheck: "false", required: true, dir: "ltr" });
  const prune = h("input", { type: "checkbox", id: "prune" });
  const go = (kind) => submit(ctx, { kind, paths: [field.value.trim()], prune: prune.checked });
  return h(
    "form",
    { class: "add-path", onsubmit: (event) => (event.preventDefault(), go("index")) },
    h("label", { for: "path" }, t("library.path")),
    h("p", { class: "quiet-text" }, t("library.path.hint")),
    field,
    h("label", { class: "check" }, prune, t("library.prune")),
    h("div", { class: "row" }, h("button", { type: "submit", class: "button primary" }, icon("folder-add"), t("library.index")), button(t("library.plan"), { text: t("library.plan"), onclick: () => field.reportValidity() && go("plan") })),
  );
}

/** Files of a drop with their paths inside the folders that were dropped. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  const read = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push([file, entry.fullPath.replace(/^\//, "")]);
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const one of some) if (!one.name.startsWith(".")) await read(one);
    }
  };
  for (const entry of entries) await read(entry);
  return found;
}

/** Upload, a few at once, then index what has arrived; what fails is told and the rest goes on. */
async function send(ctx, files) {
  if (!files.length) return;
  const total = files.reduce((sum, [file]) => sum + file.size, 0);
  const shares = new Map();
  const control = new AbortController();
  const failed = [];
  const arrived = [];
  const card = jobCard(t("upload.title", { n: files.length }), () => control.abort());
  ctx.jobs.prepend(card.element);
  ctx.jobs.hidden = false;
  const waiting = [...files];
  const told = () => card.update({ share: [...shares.values()].reduce((a, b) => a + b, 0) / Math.max(total, 1), line: t("upload.line", { done: arrived.length, n: files.length, size: bytes(total) }), failed });
  const worker = async () => {
    while (waiting.length && !control.signal.aborted) {
      const [file, path] = waiting.shift();
      try {
        const fault = refusal(file);
        if (fault) throw new ApiError(fault, "invalid_input", 400);
        arrived.push(await upload(file, { name: path.slice(-512), signal: control.signal, onprogress: (share) => (shares.set(path, share * file.size), told()) }));
      } catch (cause) {
        if (cause.name === "AbortError") return;
        failed.push({ path, reason: cause.message });
      }
      told();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  card.end(control.signal.aborted ? "cancelled" : failed.length && !arrived.length ? "failed" : "done");
  if (arrived.length && !control.signal.aborted) await submit(ctx, { kind: "index", uploads: arrived });
}

async function submit(ctx, wanted) {
  try {
    await follow(ctx, await call("POST", collectionPath(ctx.collection, "/jobs"), wanted));
  } catch (cause) {
    if (cause.name !== "AbortError") toast(cause.message, "error");
  }
}

// --- jobs ------------------------------------------------------------------------------------------------------------------

/** Show what other tabs, or this one before it was loaded anew, have begun, and what is just over. */
async function look(ctx) {
  const { jobs, now_s } = await call("GET", collectionPath(ctx.collection, "/jobs"), undefined, ctx.control.signal);
  const recent = jobs.filter((job) => !isOver(job) || now_s - job.ended_s < JUST_S);
  for (const job of recent.reverse()) if (!dismissed.has(job.id)) follow(ctx, job);
}

async function follow(ctx, job) {
  if (ctx.followed.has(job.id)) return;
  ctx.followed.add(job.id);
  const cancel = () => call("POST", `/api/jobs/${job.id}/cancel`);
  const card = jobCard(t(`job.${job.kind}`), cancel, () => dismissed.add(job.id));
  ctx.jobs.prepend(card.element);
  ctx.jobs.hidden = false;
  card.update(told(job));
  if (isOver(job)) return card.end(job.state);
  try {
    const last = await watch(job.id, (now) => card.update(told(now)), ctx.control.signal);
    card.end(last.state);
    announce(t(`job.state.${last.state}`));
    if (last.kind !== "plan") await ctx.changed();
  } catch (cause) {
    if (cause.name === "AbortError") return;
    toast(cause.message, "error");
    if (!cause.status) ctx.followed.delete(job.id); // shown again when the server is there again
    card.element.remove();
  }
}

function told({ kind, state, progress, result, error }) {
  const { done, total, files_per_s, seconds_left, path } = progress;
  const share = state === "done" ? 1 : total ? done / total : null;
  const pace = files_per_s ? t("job.pace", { rate: number(files_per_s, 1) }) : null;
  const left = seconds_left !== null && state === "running" ? t("job.left", { time: span(seconds_left) }) : null;
  const count = total ? t("job.count", { done, total }) : t(`job.state.${state}`);
  const line = error ? error.message : state === "done" ? summary(kind, result) : [count, pace, left].filter(Boolean).join(" · ");
  return { share, line, path: state === "running" ? path : null, failed: result?.failed ?? [] };
}

function summary(kind, result) {
  if (kind === "plan") {
    const kinds = Object.entries(result.by_modality ?? {}).map(([modality, tally]) => `${number(tally.n_files)} ${t(`modality.${modality}.many`)}`);
    const facts = [t("plan.new", { n: result.n_new }), result.n_changed && t("plan.changed", { n: result.n_changed }), result.n_unchanged && t("plan.unchanged", { n: result.n_unchanged }), ...kinds];
    if (result.estimated_s !== null && result.estimated_s !== undefined) facts.push(t("plan.time", { time: span(Math.max(1, result.estimated_s)) }));
    return facts.filter(Boolean).join(" · ");
  }
  const counts = ["added", "updated", "unchanged", "moved", "removed"].map((key) => [key, result[key]?.length ?? 0]);
  const some = counts.filter(([, n]) => n).map(([key, n]) => t(`report.${key}`, { n }));
  return [...some, t("report.time", { time: span(Math.max(1, result.seconds)) })].join(" · ");
}

function jobCard(title, cancel, ondismiss = () => {}) {
  const bar = h("progress", { max: "1", "aria-label": title });
  const line = h("p", { class: "job-line" });
  const path = h("p", { class: "job-path" });
  const state = h("span", { class: "job-state" });
  const failed = h("div", { class: "job-failed" });
  const stopper = button(t("job.cancel"), { icon: "close", text: t("job.cancel"), class: "quiet", onclick: () => stop() });
  const element = h("article", { class: "job" }, h("div", { class: "job-head" }, h("h2", { class: "job-title" }, title), state, stopper), bar, line, path, failed);
  const stop = async () => {
    stopper.disabled = true;
    try {
      await cancel();
      if (!element.classList.contains("over")) fill(state, t("job.stopping")); // what is with the model now is finished first
    } catch (cause) {
      stopper.disabled = false;
      toast(cause.message, "error");
    }
  };
  return {
    element,
    update(now) {
      if (now.share === null) bar.removeAttribute("value");
      else bar.value = now.share;
      fill(line, now.line);
      fill(path, now.path ? h("bdi", {}, now.path) : null);
      if (now.failed.length) fill(failed, failureList(now.failed));
    },
    end(kind) {
      if (kind === "done") bar.value = 1;
      element.classList.add("over", kind);
      fill(path);
      fill(state, t(`job.state.${kind}`));
      stopper.replaceWith(button(t("job.dismiss"), { icon: "close", class: "quiet", onclick: () => (ondismiss(), element.remove()) }));
    },
  };
}

const failureList = (failed) => h("ul", { class: "failure-list" }, failed.slice(0, 200).map((one) => h("li", {}, h("strong", {}, h("bdi", {}, name(one.path))), " ", h("span", {}, one.reason))));

// --- what failed, what is there --------------------------------------------------------------------------------------------

async function drawFailures(ctx) {
  const { failures } = await call("GET", collectionPath(ctx.collection, "/failures"), undefined, ctx.control.signal);
  ctx.failures.hidden = !failures.length;
  if (!failures.length) return;
  fill(ctx.failures, h("div", { class: "section-head" }, h("h2", {}, t("failures.title", { n: failures.length })), button(t("failures.retry"), { icon: "retry", text: t("failures.retry"), onclick: () => submit(ctx, { kind: "retry" }) })), failureList(failures));
}

async function drawFiles(ctx) {
  const search = h("input", { type: "search", placeholder: t("library.find"), "aria-label": t("library.find"), autocomplete: "off" });
  const list = h("ul", { class: "file-list" });
  const next = button(t("results.more"), { text: t("results.more"), class: "more", onclick: () => read() });
  let offset = 0;
  async function read() {
    const query = new URLSearchParams({ offset, limit: PAGE, contains: search.value.trim() });
    const { files, total } = await call("GET", collectionPath(ctx.collection, `/files?${query}`), undefined, ctx.control.signal);
    offset += files.length;
    list.append(...files.map((file) => fileItem(ctx, file)));
    next.hidden = offset >= total;
    if (!total) fill(list, h("li", { class: "quiet-text" }, t(search.value ? "library.nothing" : "collection.empty")));
  }
  let waiting;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => ((offset = 0), fill(list), read()), 250);
  });
  fill(ctx.files, h("div", { class: "section-head" }, h("h2", {}, t("library.files")), search), list, next);
  await read();
}

function fileItem(ctx, file) {
  const modality = file.modalities[0];
  const hasPicture = ["image", "video", "pdf"].includes(modality);
  const face = hasPicture ? h("img", { alt: "", loading: "lazy", src: mediaUrl(ctx.collection, "thumbnail", { path: file.path, modality, side: 160 }) }) : icon(modality);
  if (hasPicture) face.addEventListener("error", () => face.replaceWith(icon(modality)));
  const item = h(
    "li",
    { class: "file" },
    h("span", { class: "file-face" }, face),
    h("span", { class: "file-name" }, h("bdi", {}, name(file.path)), h("span", { class: "file-path" }, h("bdi", {}, file.path))),
    h("span", { class: "file-facts" }, t("library.segments", { n: file.n_segments }), file.size !== null && ` · ${bytes(file.size)}`),
    button(t("library.forget", { name: name(file.path) }), {
      icon: "close",
      class: "quiet",
      onclick: async () => {
        try {
          await call("POST", collectionPath(ctx.collection, "/files/remove"), { paths: [file.path] });
          item.remove();
          toast(t("library.forgotten", { name: name(file.path) }));
        } catch (cause) {
          toast(cause.message, "error");
        }
      },
    }),
  );
  return item;
}

// --- collections -----------------------------------------------------------------------------------------------------------

function createDialog() {
  const field = h("input", { type: "text", id: "collection-name", required: true, maxlength: "64", autocomplete: "off" });
  const models = h("select", { id: "collection-model" }, studio.status.models.map((model) => h("option", { value: model }, model)));
  const dims = h("select", { id: "collection-dim" }, studio.status.model.dims.map((dim) => h("option", { value: dim }, number(dim))));
  const fault = h("p", { class: "fault", role: "alert" });
  const create = async (event) => {
    event.preventDefault();
    try {
      const made = await call("POST", "/api/collections", { name: field.value.trim(), model: models.value, dim: Number(dims.value) });
      await refresh();
      box.close();
      location.hash = address("library", { c: made.name });
      if (studio.collection === made.name) reload();
    } catch (cause) {
      fill(fault, cause.message);
    }
  };
  const box = dialog(t("library.new"), "form-dialog", h("form", { onsubmit: create }, h("h2", {}, t("library.new")), h("label", { for: "collection-name" }, t("library.name")), field, h("label", { for: "collection-model" }, t("library.model")), models, h("label", { for: "collection-dim" }, t("library.dim")), dims, fault, h("div", { class: "row end" }, button(t("cancel"), { text: t("cancel"), onclick: () => box.close() }), h("button", { type: "submit", class: "button primary" }, t("library.create")))));
}

function deleteDialog(ctx) {
  const { collection } = ctx;
  const remove = async () => {
    ctx.isGoing = true;
    try {
      await call("DELETE", collectionPath(collection));
      localStorage.removeItem("onesense.collection");
      await refresh();
      box.close();
      location.hash = `#/library?c=${encodeURIComponent(studio.collections[0]?.name ?? "")}`;
      reload();
    } catch (cause) {
      ctx.isGoing = false;
      toast(cause.message, "error");
    }
  };
  const box = dialog(t("library.delete"), "form-dialog", [h("h2", {}, t("library.delete.sure", { name: collection })), h("p", {}, t("library.delete.what")), h("div", { class: "row end" }, button(t("cancel"), { text: t("cancel"), onclick: () => box.close(), autofocus: true }), button(t("library.delete"), { text: t("library.delete"), class: "danger", onclick: remove }))]);
}

// Playground: anything beside anything. How near they are, how a composite lies among its parts, how sizes hold the order.

import { call, upload } from "../api.js";
import { studio } from "../app.js";
import { append, button, fill, h, icon, toast } from "../dom.js";
import { number, t } from "../i18n.js";
import { codeDialog, embedCalls } from "../parts/code.js";
import { dropzone, modalityOf } from "../parts/query.js";
import { recordSound, takePicture } from "../parts/record.js";

const MOST = 12;
const SIZES = [64, 128, 256, 512, 768, 1536, 3072];

const items = [];
let size = 3072;
let anchor = 0;

export async function show(main) {
  const dims = SIZES.filter((dim) => dim <= studio.status.model.dim);
  size = dims.includes(size) ? size : dims.at(-1);
  const tray = h("ul", { class: "tray", "aria-label": t("play.items") });
  const out = h("div", { class: "play-out", "aria-live": "polite" });
  const chooser = h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true", onchange: () => addFiles([...chooser.files]) });
  const words = h("input", { type: "text", "aria-label": t("play.text"), placeholder: t("play.text"), autocomplete: "off" });
  const form = h(
    "form",
    { class: "play-add", onsubmit: (event) => (event.preventDefault(), addText()) },
    words,
    h("button", { type: "submit", class: "button primary" }, icon("plus"), t("play.add")),
    button(t("query.file"), { icon: "attach", class: "quiet", onclick: () => chooser.click() }),
    button(t("query.mic"), { icon: "mic", class: "quiet", onclick: async () => addFiles([await recordSound()]) }),
    button(t("query.camera"), { icon: "camera", class: "quiet", onclick: async () => addFiles([await takePicture()]) }),
    chooser,
  );
  fill(main, h("header", { class: "page-head" }, h("h1", {}, t("nav.playground")), h("p", { class: "quiet-text" }, t("play.lead"))), form, tray, out);
  const undrop = dropzone((transfer) => addFiles([...transfer.files]));
  let turn = 0;
  let isGone = false;

  function addText() {
    const text = words.value.trim();
    if (!text || isFull()) return;
    words.value = "";
    add({ label: text, modality: "text", part: { text }, file: null });
  }

  async function addFiles(files) {
    for (const file of files.filter(Boolean)) {
      if (isFull()) return;
      try {
        const uri = await upload(file);
        const modality = modalityOf(file.type);
        const mime = file.type.split(";")[0] || null;
        add({ label: file.name, modality, part: { file: uri, mime_type: mime }, file: { name: file.name, mime }, picture: modality === "image" ? URL.createObjectURL(file) : null });
      } catch (cause) {
        toast(`${file.name}: ${cause.message}`, "error");
      }
    }
  }

  function isFull() {
    if (items.length < MOST) return false;
    toast(t("play.full", { n: MOST }), "error");
    return true;
  }

  function add(item) {
    items.push(item);
    draw();
  }

  function draw() {
    fill(
      tray,
      items.map((item, n) => h("li", { class: "chip" }, h("span", { class: "chip-number" }, letter(n)), item.picture ? h("img", { src: item.picture, alt: "" }) : icon(item.modality), h("bdi", { class: "chip-label" }, item.label), button(t("chip.remove", { name: item.label }), { icon: "close", class: "chip-close", onclick: () => (items.splice(n, 1), draw()) }))),
    );
    compare();
  }

  async function compare() {
    const mine = ++turn;
    anchor = Math.min(anchor, Math.max(0, items.length - 1));
    if (!items.length) return fill(out, examples());
    try {
      const contents = items.map((item) => ({ parts: [item.part] }));
      if (items.length > 1) contents.push({ parts: items.map((item) => item.part) });
      const found = await call("POST", "/api/similarity", { contents, dims });
      if (mine === turn && !isGone) results(found);
    } catch (cause) {
      if (mine === turn && !isGone) fill(out, h("div", { class: "empty" }, h("p", {}, cause.message)));
    }
  }

  function examples() {
    const tries = [t("play.try.1"), t("play.try.2"), t("play.try.3"), t("play.try.4")];
    const load = () => tries.forEach((text) => items.push({ label: text, modality: "text", part: { text }, file: null })) ?? draw();
    return h("div", { class: "empty" }, icon("playground"), h("p", {}, t("play.empty")), button(t("play.try"), { text: t("play.try"), onclick: load }));
  }

  function results(found) {
    const at = (dim) => found.sizes.find((one) => one.dim === dim).cosine;
    const matrix = h("div", { class: "panel" });
    const order = h("div", { class: "panel" });
    const composite = h("div", { class: "panel" });
    const slider = h("input", { type: "range", min: "0", max: String(dims.length - 1), step: "1", value: String(dims.indexOf(size)), id: "size", "aria-valuetext": String(size) });
    const shown = h("output", { for: "size" }, number(size));
    const redraw = () => {
      slider.setAttribute("aria-valuetext", String(size));
      fill(shown, number(size));
      fill(matrix, h("h2", {}, t("play.matrix")), table(at(size), items.length));
      if (items.length > 1) fill(composite, h("h2", {}, t("play.composite")), h("p", { class: "quiet-text" }, t("play.composite.what")), bars(at(size).at(-1).slice(0, -1)));
      if (items.length > 2) fill(order, h("h2", {}, t("play.order")), ranking(at(size), at(dims.at(-1)), redraw));
    };
    slider.addEventListener("input", () => {
      size = dims[Number(slider.value)];
      redraw();
    });
    redraw();
    fill(
      out,
      h("div", { class: "panel size-panel" }, h("label", { for: "size" }, t("play.size")), slider, shown, h("p", { class: "quiet-text" }, t("play.size.what"))),
      h("div", { class: "panels" }, matrix, items.length > 1 && composite, items.length > 2 && order, vectorPanel()),
    );
  }

  draw();
  return () => {
    isGone = true;
    undrop();
  };
}

const letter = (n) => String.fromCharCode(65 + n);

/** Cosines as a table whose cells are as strong as they are near. */
function table(cosine, n) {
  const flat = cosine.slice(0, n).flatMap((row, i) => row.slice(0, n).filter((_, j) => j !== i));
  const [low, high] = [Math.min(...flat, 1), Math.max(...flat, -1)];
  const cell = (value, i, j) => {
    const share = i === j ? 1 : (value - low) / Math.max(high - low, 1e-6);
    return h("td", { class: share > 0.55 && i !== j ? "near" : "", style: { "--share": i === j ? "0" : share.toFixed(3) } }, i === j ? "–" : number(value, 2));
  };
  return h(
    "div",
    { class: "matrix-box", tabindex: "0", role: "region", "aria-label": t("play.matrix") },
    h(
      "table",
      { class: "matrix" },
      h("thead", {}, h("tr", {}, h("td"), items.map((_, j) => h("th", { scope: "col" }, letter(j))))),
      h("tbody", {}, items.map((item, i) => h("tr", {}, h("th", { scope: "row", title: item.label }, h("span", {}, letter(i)), " ", h("bdi", {}, item.label)), items.map((_, j) => cell(cosine[i][j], i, j))))),
    ),
  );
}

function bars(values) {
  return h("ul", { class: "bars" }, values.map((value, n) => h("li", {}, h("span", { class: "bar-name" }, letter(n)), h("span", { class: "bar" }, h("span", { style: { "--share": String(Math.max(0, value)) } })), h("span", { class: "bar-value" }, number(value, 3)))));
}

/** Everything by nearness to one item, at this size and at the full one; what changed its place is marked. */
function ranking(now, full, redraw) {
  const n = items.length;
  const sorted = (matrix) => [...Array(n).keys()].filter((i) => i !== anchor).sort((a, b) => matrix[anchor][b] - matrix[anchor][a]);
  const [here, there] = [sorted(now), sorted(full)];
  const kept = here.filter((item, place) => there[place] === item).length;
  const pick = h("select", { id: "anchor", onchange: () => ((anchor = Number(pick.value)), redraw()) }, items.map((item, i) => h("option", { value: i }, `${letter(i)} ${item.label}`)));
  pick.value = String(anchor);
  return [
    h("label", { class: "row", for: "anchor" }, t("play.anchor"), pick),
    h("ol", { class: "ranking" }, here.map((item, place) => h("li", { class: there[place] === item ? "" : "moved" }, h("span", {}, letter(item), " ", h("bdi", {}, items[item].label)), h("span", {}, number(now[anchor][item], 3), there[place] !== item && h("em", {}, t("play.was", { place: there.indexOf(item) + 1 })))))),
    h("p", { class: "quiet-text" }, t("play.kept", { kept, all: here.length })),
  ];
}

function vectorPanel() {
  const source = h("pre", { class: "code vector", tabindex: "0", "aria-label": t("play.vector") });
  const pick = h("select", { id: "vector-of" }, items.map((item, i) => h("option", { value: i }, `${letter(i)} ${item.label}`)), items.length > 1 && h("option", { value: "all" }, t("play.all")));
  const chosen = () => (pick.value === "all" ? items : [items[Number(pick.value)]]);
  const read = async () => {
    const parts = chosen().map(({ part }) => (part.text !== undefined ? { text: part.text } : { fileData: { fileUri: part.file, mimeType: part.mime_type ?? undefined } }));
    try {
      const found = await call("POST", `/v1beta/models/${studio.status.model.name}:embedContent`, { content: { parts }, outputDimensionality: size });
      const values = found.embedding.values;
      const whole = JSON.stringify(values);
      fill(source, `[${values.slice(0, 48).map((v) => v.toFixed(5)).join(", ")}${values.length > 48 ? ", …" : ""}]`);
      fill(copies, button(t("play.copy"), { icon: "copy", text: t("play.copy"), onclick: async () => (await navigator.clipboard.writeText(whole), toast(t("code.copied"))) }));
    } catch (cause) {
      toast(cause.message, "error");
    }
  };
  const copies = h("span");
  const code = () => codeDialog(embedCalls(chosen().map(({ part, file }) => (part.text !== undefined ? { text: part.text } : { name: file.name, mime: file.mime ?? "application/octet-stream" })), size));
  return append(h("div", { class: "panel" }), [h("h2", {}, t("play.vector")), h("div", { class: "row wrap" }, h("label", { class: "sr-only", for: "vector-of" }, t("play.of")), pick, button(t("play.show"), { text: t("play.show"), onclick: read }), copies, button(t("code.get"), { icon: "code", text: t("code.get"), class: "quiet", onclick: code })), source]);
}

// The search bar: words, files (dropped, pasted, chosen), recordings and items of the collection, as one query of chips.

import { forget, mediaUrl, upload } from "../api.js";
import { studio } from "../app.js";
import { append, button, fill, h, icon, name, toast } from "../dom.js";
import { bytes, t } from "../i18n.js";
import { recordSound, takePicture } from "./record.js";
import { moment } from "./tile.js";

export const modalityOf = (type) => (/^(image|audio|video)\//.exec(type)?.[1] ?? (type === "application/pdf" ? "pdf" : "text"));

/** Why the server would not take a file, said before the first byte of it is sent; null where it would. */
export function refusal(file) {
  const most = studio.status.limits.file_bytes;
  if (file.size > most) return t("upload.large", { size: bytes(file.size), most: bytes(most) });
  return file.size ? null : t("upload.empty");
}

/** An empty query. */
export const emptyQuery = () => ({ words: "", chips: [] });

/** Whether there is nothing to look for; what to steer away from alone is not enough. */
export const isEmpty = (query) => !query.words.trim() && !query.chips.some((chip) => chip.sign > 0 && (chip.uri || chip.text || chip.id));

/** A chip for an item of the collection. */
export function likeChip(collection, hit, sign = 1) {
  const at_s = hit.modality === "video" ? moment(hit.locator) : undefined;
  const hasPicture = ["image", "video", "pdf"].includes(hit.modality);
  const params = { path: hit.path, modality: hit.modality, side: 160, page: hit.locator.page, at_s };
  return { sign, kind: "like", id: hit.id, label: name(hit.path), modality: hit.modality, picture: hasPicture ? mediaUrl(collection, "thumbnail", params) : null };
}

/** The body of a search request. */
export function body(query) {
  const part = (chip) => (chip.kind === "text" ? { text: chip.text } : { file: chip.uri, mime_type: chip.mime });
  const ready = query.chips.filter((chip) => chip.kind !== "file" || chip.uri);
  const parts = ready.filter((chip) => chip.sign > 0 && chip.kind !== "like").map(part);
  if (query.words.trim()) parts.unshift({ text: query.words.trim() });
  const found = { parts, like: ready.filter((chip) => chip.sign > 0 && chip.kind === "like").map((chip) => chip.id) };
  const minus = ready.filter((chip) => chip.sign < 0 && chip.kind !== "like").map(part);
  const unlike = ready.filter((chip) => chip.sign < 0 && chip.kind === "like").map((chip) => chip.id);
  return { ...found, ...(minus.length && { minus }), ...(unlike.length && { unlike }) };
}

/**
 * The bar.
 *
 * @param query changed in place as the person types, drops and records.
 * @param onsearch called when they want results: on Enter, and whenever a chip has changed.
 * @returns `{ element, addFiles, addChip, refresh, focus }`
 */
export function queryBar(query, onsearch) {
  const chips = h("ul", { class: "chips", "aria-label": t("query.parts") });
  const words = h("input", {
    class: "query-words",
    type: "search",
    value: query.words,
    "aria-label": t("query.label"),
    placeholder: t("query.placeholder"),
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "search",
    oninput: () => (query.words = words.value),
    onkeydown: (event) => keys(event),
  });
  const chooser = h("input", { type: "file", multiple: true, hidden: true, tabindex: "-1", "aria-hidden": "true", onchange: () => addFiles([...chooser.files]) });
  const box = h(
    "form",
    { class: "query", role: "search", onsubmit: (event) => (event.preventDefault(), onsearch()) },
    icon("search"),
    h("div", { class: "query-field" }, chips, words),
    h(
      "div",
      { class: "query-tools" },
      button(t("query.part"), { icon: "plus", class: "quiet query-part", onclick: () => wordsToChip(1) }),
      button(t("query.file"), { icon: "attach", class: "quiet", onclick: () => chooser.click() }),
      button(t("query.mic"), { icon: "mic", class: "quiet", onclick: async () => addFiles([await recordSound()]) }),
      button(t("query.camera"), { icon: "camera", class: "quiet", onclick: async () => addFiles([await takePicture()]) }),
      h("button", { type: "submit", class: "button primary query-go", "aria-label": t("query.go") }, icon("search")),
    ),
    chooser,
  );
  box.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) {
      event.preventDefault();
      addFiles(files);
    }
  });

  function keys(event) {
    if (event.key === "Backspace" && !words.value && query.chips.length) drop(query.chips.at(-1));
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && words.value.trim()) {
      event.preventDefault();
      wordsToChip(event.shiftKey ? -1 : 1);
    }
  }

  /** The words typed so far become a part of their own, so that more can be joined to them or taken away. */
  function wordsToChip(sign) {
    const text = words.value.trim();
    if (!text) return words.focus();
    words.value = query.words = "";
    addChip({ sign, kind: "text", text, label: text, modality: "text" });
    words.focus();
  }

  function addChip(chip) {
    query.chips.push(chip);
    refresh();
    onsearch();
  }

  async function addFiles(files) {
    const taken = files.filter(Boolean).filter((file) => {
      const fault = refusal(file);
      if (fault) toast(`${file.name}: ${fault}`, "error");
      return !fault;
    });
    const added = taken.map((file) => {
      const modality = modalityOf(file.type);
      const picture = modality === "image" ? URL.createObjectURL(file) : null;
      return [file, { sign: 1, kind: "file", label: file.name, mime: file.type.split(";")[0] || null, modality, picture, share: 0 }];
    });
    if (!added.length) return;
    query.chips.push(...added.map(([, chip]) => chip));
    refresh();
    await Promise.all(
      added.map(async ([file, chip]) => {
        try {
          chip.uri = await upload(file, { onprogress: (share) => ((chip.share = share), refresh()) });
        } catch (cause) {
          toast(`${file.name}: ${cause.message}`, "error");
          drop(chip, false);
        }
      }),
    );
    refresh();
    if (query.chips.some((chip) => chip.uri)) onsearch();
  }

  function drop(chip, searches = true) {
    query.chips.splice(query.chips.indexOf(chip), 1);
    if (chip.kind === "file" && chip.uri) forget(chip.uri);
    if (chip.kind === "file" && chip.picture) URL.revokeObjectURL(chip.picture);
    refresh();
    if (searches && !isEmpty(query)) onsearch();
    words.focus();
  }

  function turn(chip) {
    chip.sign = -chip.sign;
    refresh();
    onsearch();
  }

  function refresh() {
    fill(chips, query.chips.map((chip) => chipItem(chip, drop, turn)));
    chips.hidden = !query.chips.length;
    words.placeholder = query.chips.length ? t("query.more") : t("query.placeholder");
    if (words.value !== query.words) words.value = query.words;
  }

  refresh();
  return { element: box, addFiles, addChip, refresh, focus: () => words.focus() };
}

function chipItem(chip, drop, turn) {
  const isMinus = chip.sign < 0;
  const item = h("li", { class: `chip ${isMinus ? "minus" : ""} ${chip.kind === "file" && !chip.uri ? "loading" : ""}` });
  const swap = button(t(isMinus ? "chip.minus" : "chip.plus", { name: chip.label }), { icon: isMinus ? "minus" : "plus", class: "chip-sign", onclick: () => turn(chip) });
  const face = chip.picture ? h("img", { src: chip.picture, alt: "" }) : icon(chip.modality);
  const remove = button(t("chip.remove", { name: chip.label }), { icon: "close", class: "chip-close", onclick: () => drop(chip) });
  return append(item, [swap, face, h("bdi", { class: "chip-label" }, chip.label), remove]);
}

/** Files dropped anywhere on the page go to `take`; returns what undoes it. */
export function dropzone(take) {
  const veil = h("div", { class: "veil", hidden: true }, h("p", {}, icon("attach"), t("drop.here")));
  document.body.append(veil);
  let depth = 0;
  const holds = (event) => event.dataTransfer?.types.includes("Files");
  const show = (by) => {
    depth = Math.max(0, depth + by);
    veil.hidden = depth === 0;
  };
  const listeners = {
    dragenter: (event) => holds(event) && (event.preventDefault(), show(1)),
    dragover: (event) => holds(event) && event.preventDefault(),
    dragleave: (event) => holds(event) && show(-1),
    drop: (event) => {
      if (!holds(event)) return;
      event.preventDefault();
      show(-99);
      take(event.dataTransfer);
    },
  };
  for (const [kind, act] of Object.entries(listeners)) document.addEventListener(kind, act);
  return () => {
    for (const [kind, act] of Object.entries(listeners)) document.removeEventListener(kind, act);
    veil.remove();
  };
}

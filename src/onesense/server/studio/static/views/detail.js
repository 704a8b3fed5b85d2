// Open in place: the picture with what matched, the sound at its span, the video at its second, the page, the passage.

import { call, collectionPath, mediaUrl } from "../api.js";
import { button, fill, h, icon, marked, name, toast } from "../dom.js";
import { bytes, clock, number, place, t } from "../i18n.js";
import { factList } from "../parts/facts.js";
import { boxes, marks } from "../parts/marks.js";
import { meter } from "../parts/meter.js";
import { isPlaying, play, stop } from "../parts/player.js";
import { moment, spans } from "../parts/tile.js";
import { outline, wave } from "../parts/wave.js";

let box = null;

export const closeDetail = () => box?.close();

/**
 * Open a hit.
 *
 * @param context `{ hits, query, actions }`: its neighbours, the request that found it, and what can be done with it.
 */
export function openDetail(collection, hit, context) {
  const opener = document.activeElement;
  closeDetail();
  stop();
  const dialog = h("dialog", { class: "detail", "aria-label": name(hit.path) });
  const controls = new AbortController();
  dialog.addEventListener("close", () => {
    controls.abort();
    stop();
    dialog.remove();
    if (box === dialog) box = null;
    if (opener?.isConnected) opener.focus();
  });
  box = dialog;
  document.body.append(dialog);
  const step = (by) => {
    const next = context.hits[context.hits.findIndex((one) => one.id === hit.id) + by];
    if (!next) return;
    hit = next;
    stop();
    dialog.setAttribute("aria-label", name(hit.path));
    draw();
  };
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, video, [role=slider]") || event.ctrlKey || event.metaKey) return;
    const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
    const back = forward === "ArrowLeft" ? "ArrowRight" : "ArrowLeft";
    if (event.key === forward) step(1);
    if (event.key === back) step(-1);
  });
  const draw = () => fill(dialog, stage(collection, hit, context, controls.signal), side(collection, hit, context, step));
  draw();
  dialog.showModal();
}

function stage(collection, hit, context, signal) {
  const area = h("div", { class: `stage stage-${hit.modality}` });
  const show = STAGES[hit.modality] ?? text;
  show(area, collection, hit, context, signal);
  return area;
}

function side(collection, hit, context, step) {
  const { actions } = context;
  const act = (what) => () => {
    closeDetail();
    actions[what](hit);
  };
  const told = Object.entries(hit.metadata ?? {}).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value));
  const facts = [...told, ...factList(hit.facts)];
  return h(
    "aside",
    { class: "detail-side" },
    h(
      "div",
      { class: "detail-tools" },
      button(t("detail.previous"), { icon: "left", class: "quiet flips", onclick: () => step(-1) }),
      button(t("detail.next"), { icon: "right", class: "quiet flips", onclick: () => step(1) }),
      h("span", { class: "push" }),
      button(t("close"), { icon: "close", class: "quiet", onclick: closeDetail }),
    ),
    h("p", { class: "detail-kind" }, icon(hit.modality), t(`modality.${hit.modality}`), place(hit.locator) && ` · ${place(hit.locator)}`),
    h("h2", {}, h("bdi", {}, name(hit.path))),
    h("p", { class: "detail-path" }, h("bdi", {}, hit.path)),
    hit.confidence !== null && hit.confidence !== undefined && h("p", { class: "detail-meter" }, meter(hit.confidence), h("span", { class: "quiet-text" }, t("detail.score", { score: number(hit.score, 3) }))),
    hit.words?.length > 0 && h("p", { class: "quiet-text" }, t("detail.words"), hit.words.map((word) => [" ", h("mark", {}, word)])),
    facts.length > 0 && h("dl", { class: "facts" }, facts.map(([key, value]) => [h("dt", {}, key), h("dd", {}, h("bdi", {}, String(value)))])),
    h(
      "div",
      { class: "detail-actions" },
      actions && button(t("action.like"), { icon: "like", text: t("action.like"), class: "primary", onclick: act("like") }),
      actions && button(t("action.plus"), { icon: "plus", text: t("action.plus.short"), onclick: act("plus") }),
      actions && button(t("action.minus"), { icon: "minus", text: t("action.minus.short"), onclick: act("minus") }),
      h("a", { class: "button", href: mediaUrl(collection, "original", { path: hit.path, download: true }), download: name(hit.path) }, icon("download"), t("detail.download")),
    ),
  );
}

const gone = (area, modality) => fill(area, h("div", { class: "empty" }, icon(modality), h("p", {}, t("tile.gone"))));

// --- picture ---------------------------------------------------------------------------------------------------------------

function image(area, collection, hit, context, signal) {
  const picture = h("img", { class: "stage-picture", alt: hit.preview || name(hit.path) });
  picture.addEventListener("error", () => gone(area, "image"));
  picture.src = mediaUrl(collection, "thumbnail", { path: hit.path, modality: "image", side: 1600 });
  const frame = h("div", { class: "stage-frame", style: { "--ratio": "1.4" } }, picture);
  picture.addEventListener("load", () => frame.style.setProperty("--ratio", String(picture.naturalWidth / picture.naturalHeight)));
  fill(area, frame);
  if (!context.query) return;
  const heat = h("canvas", { class: "heat", "aria-hidden": "true" });
  const toggle = button(t("detail.heat"), { icon: "heat", text: t("detail.heat"), class: "stage-toggle", "aria-pressed": "true", hidden: true });
  toggle.addEventListener("click", () => {
    heat.hidden = !heat.hidden;
    toggle.setAttribute("aria-pressed", String(!heat.hidden));
  });
  area.append(toggle);
  marks(collection, hit, context.query, signal).then((mark) => {
    if (!mark?.heat) return;
    paint(heat, mark.heat);
    frame.append(heat);
    toggle.hidden = false;
  });
}

/** A heat map of a few cells a side, drawn small and scaled up smoothly by the browser. */
function paint(canvas, heat) {
  const [rows, columns] = [heat.length, heat[0].length];
  const flat = heat.flat();
  const sorted = [...flat].sort((a, b) => a - b);
  const low = sorted[Math.floor(sorted.length * 0.5)];
  const high = sorted.at(-1);
  canvas.width = columns;
  canvas.height = rows;
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(columns, rows);
  flat.forEach((value, n) => {
    const share = Math.max(0, Math.min(1, (value - low) / Math.max(high - low, 1e-6)));
    pixels.data.set([255, 96 - 40 * share, 32, 190 * share ** 1.3], n * 4);
  });
  pen.putImageData(pixels, 0, 0);
}

// --- sound and video -------------------------------------------------------------------------------------------------------

function audio(area, collection, hit) {
  const drawing = wave();
  const time = h("p", { class: "stage-time" }, place(hit.locator));
  const control = button(t("play"), { icon: "play", class: "primary round" });
  const start = hit.locator.start_s ?? 0;
  let known = null;
  let at = start;
  const told = ({ playing, at: now, failed }) => {
    at = now;
    control.replaceChildren(icon(playing ? "pause" : "play"));
    control.setAttribute("aria-label", t(playing ? "pause" : "play"));
    if (failed) toast(t("play.failed"), "error");
    if (known) {
      drawing.draw(known.peaks, { spans: spans(hit, known.duration_s), at: now / known.duration_s });
      fill(time, `${clock(now)} / ${clock(known.duration_s)}`);
    }
  };
  const from = (second) => play(collection, hit.path, { start: second }, told);
  control.addEventListener("click", () => (isPlaying(hit.path) ? stop() : from(at)));
  const slider = h("div", { class: "stage-wave", role: "slider", tabindex: "0", "aria-label": t("detail.seek"), "aria-valuemin": "0", "aria-valuenow": String(Math.round(start)) }, drawing.canvas);
  slider.addEventListener("click", (event) => {
    const { left, width } = drawing.canvas.getBoundingClientRect();
    if (known) from(((event.clientX - left) / width) * known.duration_s);
  });
  slider.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 2, ArrowLeft: -2 }[event.key];
    if (by && known) {
      event.preventDefault();
      from(Math.max(0, Math.min(known.duration_s, at + by)));
    }
  });
  fill(area, h("div", { class: "stage-sound" }, h("div", { class: "stage-icon" }, icon("audio")), slider, h("div", { class: "stage-controls" }, control, time), moments(hit, (l) => from(l.start_s ?? 0))));
  outline(collection, hit.path, 600).then(
    (found) => {
      known = found;
      slider.setAttribute("aria-valuemax", String(Math.round(found.duration_s)));
      told({ playing: false, at });
    },
    () => gone(area, "audio"),
  );
}

function video(area, collection, hit) {
  const start = hit.locator.start_s ?? 0;
  const film = h("video", { class: "stage-picture", controls: true, playsinline: true, preload: "metadata", poster: mediaUrl(collection, "thumbnail", { path: hit.path, modality: "video", side: 800, at_s: moment(hit.locator) }) });
  let isCut = false;
  film.addEventListener("loadedmetadata", () => !isCut && (film.currentTime = start), { once: true });
  film.addEventListener("error", () => {
    if (isCut) return gone(area, "video");
    isCut = true; // a type that this browser does not play: the server cuts the stretch into one that it does
    film.src = mediaUrl(collection, "clip", { path: hit.path, modality: "video", start_s: start, end_s: hit.locator.end_s ?? start + 30 });
  });
  film.src = mediaUrl(collection, "original", { path: hit.path });
  const seek = (locator) => {
    film.currentTime = locator.start_s ?? 0;
    film.play();
  };
  const strip = moments(hit, seek, (one) => h("img", { alt: "", loading: "lazy", src: mediaUrl(collection, "thumbnail", { path: hit.path, modality: "video", side: 160, at_s: moment(one.locator) }) }));
  fill(area, h("div", { class: "stage-frame" }, film), strip);
}

/** The best stretches of a file as a strip in the order of time, each as bright as it is sure. */
function moments(hit, seek, face = () => null) {
  const found = [...(hit.segments ?? [])].filter((one) => one.locator.start_s !== undefined).sort((a, b) => a.locator.start_s - b.locator.start_s);
  if (found.length < 2) return null;
  return h(
    "ol",
    { class: "moments", "aria-label": t("detail.moments") },
    found.map((one) => h("li", {}, h("button", { type: "button", class: "moment", onclick: () => seek(one.locator) }, face(one), h("span", {}, place(one.locator)), meter(one.confidence)))),
  );
}

// --- page and text ---------------------------------------------------------------------------------------------------------

function pdf(area, collection, hit, context, signal) {
  let page = hit.locator.page ?? 1;
  const found = new Map((hit.segments?.length ? hit.segments : [hit]).map((one) => [one.locator.page, one]));
  const draw = () => {
    const sheet = h("img", { class: "stage-picture stage-page", alt: t("place.page", { page }) });
    const frame = h("div", { class: "stage-frame" }, sheet);
    sheet.addEventListener("error", () => (page > 1 && !found.has(page) ? ((page -= 1), draw()) : gone(area, "pdf")));
    sheet.src = mediaUrl(collection, "thumbnail", { path: hit.path, modality: "pdf", side: 1600, page });
    const turn = (by) => () => {
      page = Math.max(1, page + by);
      draw();
    };
    const pages = h("div", { class: "stage-controls" }, button(t("page.previous"), { icon: "left", onclick: turn(-1) }), h("span", { class: "stage-time" }, place({ page })), button(t("page.next"), { icon: "right", onclick: turn(1) }));
    fill(area, frame, pages);
    const here = found.get(page);
    if (here) {
      marks(collection, here, context.query, signal).then((mark) => frame.append(...boxes(mark)));
    }
  };
  draw();
}

function text(area, collection, hit, context, signal) {
  const sheet = h("div", { class: "stage-text", tabindex: "0", role: "document", "aria-label": name(hit.path) });
  fill(area, sheet);
  const reading = call("GET", collectionPath(collection, `/text?${new URLSearchParams({ path: hit.path })}`), undefined, signal);
  Promise.all([reading, marks(collection, hit, context.query, signal)]).then(
    ([{ text: whole, truncated }, mark]) => {
      const { start_char = 0, end_char = whole.length } = hit.locator;
      const inner = mark?.start_char >= start_char && mark?.end_char > mark?.start_char ? [mark.start_char, mark.end_char] : null;
      const passage = inner
        ? [whole.slice(start_char, inner[0]), h("mark", {}, whole.slice(...inner)), whole.slice(inner[1], end_char)]
        : marked(whole.slice(start_char, end_char), hit.words);
      const span = h("span", { class: "passage" }, passage);
      fill(sheet, whole.slice(0, start_char), span, whole.slice(end_char), truncated && h("p", { class: "quiet-text" }, t("text.cut", { size: bytes(whole.length) })));
      if (whole.length > 800) span.scrollIntoView({ block: "center" });
    },
    (cause) => cause.name !== "AbortError" && fill(area, h("div", { class: "empty" }, icon("text"), h("p", {}, hit.preview))),
  );
}

const STAGES = { image, audio, video, pdf, text, mixed: text };

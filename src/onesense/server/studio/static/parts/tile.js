// A hit in a grid: a picture, a frame at its second, a page, the outline of a sound, or the first words of a text.

import { mediaUrl } from "../api.js";
import { button, h, icon, marked, name, toast, whenSeen } from "../dom.js";
import { clock, place, t } from "../i18n.js";
import { boxes, marks } from "./marks.js";
import { meter } from "./meter.js";
import { isPlaying, play, stop } from "./player.js";
import { outline, wave } from "./wave.js";

const RATIO = { image: 1.4, video: 1.78, pdf: 0.75, audio: 1.6, text: 1.45, mixed: 1.4 };

/** The middle of a stretch: what it is about is seldom seen in its first frame. */
export const moment = (locator) => (locator.start_s === undefined ? undefined : (locator.start_s + (locator.end_s ?? locator.start_s)) / 2);

/**
 * A list item for a hit.
 *
 * @param collection name of the collection.
 * @param hit as the API answers it.
 * @param open called when it is to be opened in place.
 * @param actions `{ like, plus, minus }`, each called with the hit; left out where there is no query to change.
 */
export function tile(collection, hit, open, actions = {}) {
  const label = [t(`modality.${hit.modality}`), name(hit.path), place(hit.locator)].filter(Boolean).join(", ");
  const box = h("li", { class: `tile tile-${hit.modality}`, "data-id": hit.id, style: { "--ratio": String(RATIO[hit.modality] ?? 1.4) } });
  const media = h("button", { type: "button", class: "tile-media", "aria-label": label, onclick: () => open(hit) }, face(collection, hit, box));
  box.append(
    h("div", { class: "tile-frame" }, media, hit.modality === "audio" && playButton(collection, hit), bar(hit, actions)),
    h(
      "div",
      { class: "tile-caption" },
      h("span", { class: "tile-name", title: hit.path }, h("bdi", {}, name(hit.path))),
      meter(hit.confidence),
    ),
  );
  return box;
}

function face(collection, hit, box) {
  if (hit.modality === "audio") return soundFace(collection, hit);
  if (hit.modality === "text" || hit.modality === "mixed") {
    return h("span", { class: "tile-words" }, icon(hit.modality), h("bdi", {}, marked(hit.preview.replace(/^#{1,6} /, ""), hit.words)));
  }
  return pictureFace(collection, hit, box);
}

function pictureFace(collection, hit, box) {
  const at_s = hit.modality === "video" ? moment(hit.locator) : undefined;
  const picture = h("img", { alt: "", loading: "lazy", decoding: "async" });
  picture.addEventListener("load", () => {
    box.style.setProperty("--ratio", String(Math.min(3, Math.max(0.5, picture.naturalWidth / picture.naturalHeight))));
    picture.classList.add("seen");
    if (hit.modality === "pdf") markWords(collection, hit, picture);
  });
  picture.addEventListener("error", () => picture.replaceWith(h("span", { class: "tile-gone" }, icon(hit.modality), t("tile.gone"))));
  picture.src = mediaUrl(collection, "thumbnail", { path: hit.path, modality: hit.modality, side: 480, page: hit.locator.page, at_s });
  const badge =
    hit.modality === "video"
      ? h("span", { class: "badge" }, icon("play"), clock(hit.locator.start_s ?? 0))
      : hit.modality === "pdf" && h("span", { class: "badge" }, icon("pdf"), hit.locator.page ?? 1);
  return [picture, badge];
}

/** Mark the words that were found on the picture of a page. */
async function markWords(collection, hit, picture) {
  const words = (hit.words ?? []).filter((word) => word.length > 1);
  if (words.length) picture.after(...boxes(await marks(collection, hit, { parts: [{ text: words.join(" ") }] })));
}

function soundFace(collection, hit) {
  const drawing = wave();
  const box = h("span", { class: "tile-sound" }, drawing.canvas, h("span", { class: "badge" }, place(hit.locator)));
  whenSeen(drawing.canvas, async () => {
    try {
      const { peaks, duration_s } = await outline(collection, hit.path, 160);
      drawing.draw(peaks, { spans: spans(hit, duration_s) });
    } catch {
      box.replaceChildren(h("span", { class: "tile-gone" }, icon("audio"), t("tile.gone")));
    }
  });
  return box;
}

/** The stretches of a hit as shares of the length; none when it is all of the file. */
export function spans(hit, duration_s) {
  const found = (hit.segments?.length ? hit.segments : [hit]).map((s) => s.locator).filter((l) => l.start_s !== undefined);
  const shares = found.map((l) => [l.start_s / duration_s, (l.end_s ?? duration_s) / duration_s]);
  return shares.some(([from, to]) => from < 0.02 && to > 0.98) ? [] : shares;
}

function playButton(collection, hit) {
  const control = button(t("play"), { icon: "play", class: "tile-play" });
  control.addEventListener("click", () => {
    if (isPlaying(hit.path)) return stop();
    play(collection, hit.path, { start: hit.locator.start_s ?? 0, end: hit.locator.end_s ?? Infinity }, ({ playing, failed }) => {
      control.replaceChildren(icon(playing ? "pause" : "play"));
      if (failed) toast(t("play.failed"), "error");
    });
  });
  return control;
}

function bar(hit, { like, plus, minus }) {
  if (!like) return null;
  return h(
    "div",
    { class: "tile-bar" },
    button(t("action.like"), { icon: "like", onclick: () => like(hit) }),
    button(t("action.plus"), { icon: "plus", onclick: () => plus(hit) }),
    button(t("action.minus"), { icon: "minus", onclick: () => minus(hit) }),
  );
}

/** Arrow keys walk through a grid of tiles; `l` asks for more like the one that is focused. */
export function walkable(list, actions = {}) {
  list.addEventListener("keydown", (event) => {
    const here = event.target.closest(".tile");
    if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...list.querySelectorAll(".tile")];
    const turn = document.documentElement.dir === "rtl" ? -1 : 1;
    const step = { ArrowRight: turn, ArrowLeft: -turn }[event.key];
    let next = step ? all[all.indexOf(here) + step] : null;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") next = below(all, here, event.key === "ArrowDown" ? 1 : -1);
    if (event.key === "l") actions.like?.(here.dataset.id);
    if (!next) return;
    event.preventDefault();
    next.querySelector(".tile-media").focus();
  });
}

function below(all, here, way) {
  const from = here.getBoundingClientRect();
  const middle = from.left + from.width / 2;
  const rows = all.map((item) => [item, item.getBoundingClientRect()]).filter(([, r]) => way * (r.top - from.top) > 10);
  if (!rows.length) return null;
  const nearest = rows.reduce((best, [, r]) => (way * r.top < way * best ? r.top : best), rows[0][1].top);
  const row = rows.filter(([, r]) => Math.abs(r.top - nearest) < 10);
  return row.reduce((best, one) => (Math.abs(one[1].left + one[1].width / 2 - middle) < Math.abs(best[1].left + best[1].width / 2 - middle) ? one : best))[0];
}

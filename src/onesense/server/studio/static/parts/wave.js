// The outline of a sound on a canvas, with the spans that matched and where it plays.

import { call, collectionPath } from "../api.js";
import { h } from "../dom.js";

/** Peaks and length of a sound, from the server. */
export const outline = (collection, path, n) =>
  call("GET", collectionPath(collection, `/waveform?${new URLSearchParams({ path, n })}`));

/** A canvas with `draw(peaks, { spans, at })`; spans and `at` are shares of the length, 0..1. */
export function wave() {
  const canvas = h("canvas", { class: "wave", "aria-hidden": "true" });
  let last = null;
  const draw = (peaks, { spans = [], at = null } = {}) => {
    last = [peaks, { spans, at }];
    const { width, height } = canvas.getBoundingClientRect();
    if (!width || !height) return;
    const scale = window.devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(canvas);
    const [quiet, loud] = [style.getPropertyValue("--wave"), style.getPropertyValue(spans.length ? "--accent" : "--wave-loud")];
    const n = Math.max(8, Math.floor(width / 5));
    const most = Math.max(...peaks, 0.05);
    for (let i = 0; i < n; i++) {
      const share = (i + 0.5) / n;
      const slice = peaks.slice(Math.floor((i * peaks.length) / n), Math.max(Math.floor(((i + 1) * peaks.length) / n), Math.floor((i * peaks.length) / n) + 1));
      const tall = Math.max(2, (Math.max(...slice) / most) * (height - 4));
      const isMatch = spans.some(([from, to]) => share >= from && share <= to);
      pen.fillStyle = isMatch || !spans.length ? loud : quiet;
      pen.globalAlpha = at !== null && share > at && isMatch ? 0.55 : 1;
      pen.beginPath();
      pen.roundRect((i * width) / n, (height - tall) / 2, Math.max(1.5, width / n - 2.2), tall, 2);
      pen.fill();
    }
    pen.globalAlpha = 1;
    if (at !== null) {
      pen.fillStyle = style.getPropertyValue("--ink");
      pen.fillRect(at * width - 0.75, 0, 1.5, height);
    }
  };
  const again = () => canvas.isConnected && last && draw(...last);
  new ResizeObserver(again).observe(canvas);
  document.addEventListener("onesense:theme", again);
  return { canvas, draw };
}

// One sound at a time: what plays stops what played before.

import { mediaUrl } from "../api.js";

const audio = new Audio();
audio.preload = "none";
let onchange = () => {};
let until = Infinity;
let source = "";

audio.addEventListener("timeupdate", () => {
  if (audio.currentTime >= until) audio.pause();
  onchange({ playing: !audio.paused, at: audio.currentTime });
});
for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, () => onchange({ playing: !audio.paused && !audio.ended, at: audio.currentTime }));

/** Play a stretch of a file; `listen` hears `{ playing, at }`. What the browser cannot play is cut by the server. */
export async function play(collection, path, { start = 0, end = Infinity, modality = "audio" }, listen) {
  stop();
  onchange = listen;
  source = path;
  until = end;
  audio.src = mediaUrl(collection, "original", { path });
  try {
    audio.currentTime = start;
    await audio.play();
  } catch (cause) {
    if (cause.name === "AbortError") return;
    const last = Number.isFinite(end) ? end : start + 120;
    onchange = ({ playing, at }) => listen({ playing, at: at + start });
    until = Infinity;
    audio.src = mediaUrl(collection, "clip", { path, modality, start_s: start, end_s: last });
    await audio.play().catch(() => listen({ playing: false, at: start, failed: true }));
  }
}

export function stop() {
  audio.pause();
  onchange({ playing: false, at: audio.currentTime });
  onchange = () => {};
  source = "";
}

export const isPlaying = (path) => source === path && !audio.paused;

// Space: a collection as a map. Drag to move, wheel or pinch to zoom, lasso to select.

import { call, collectionPath, mediaUrl } from "../api.js";
import { address, studio } from "../app.js";
import { announce, button, fill, h, icon, name } from "../dom.js";
import { place, t } from "../i18n.js";
import { likeChip } from "../parts/query.js";
import { moment } from "../parts/tile.js";
import { openDetail } from "./detail.js";
import { ask } from "./search.js";

const MODALITIES = ["image", "video", "audio", "pdf", "text", "mixed"];
const FACES = 60; // thumbnails on the screen at once
const FACE_PX = 54;
const LISTED = 24;
const TINY_PX = 2.5; // radius below which nobody sees whether a point is round, and squares are drawn much faster

export async function show(main) {
  if (!studio.collection) {
    location.hash = address("library");
    return () => {};
  }
  const collection = studio.collection;
  const canvas = h("canvas", { class: "map", tabindex: "0", role: "application", "aria-label": t("space.label") });
  const legend = h("ul", { class: "legend" });
  const panel = h("section", { class: "space-panel", "aria-label": t("space.selected"), hidden: true });
  const tip = h("div", { class: "tip", hidden: true });
  const note = h("p", { class: "space-note" }, t("loading"));
  const tools = h("div", { class: "space-tools" });
  fill(main, h("h1", { class: "sr-only" }, t("nav.space")), h("div", { class: "space" }, canvas, tools, legend, tip, note, panel));
  const { points, total } = await call("GET", collectionPath(collection, "/space"));
  fill(note, points.length < total ? t("space.sampled", { shown: points.length, total }) : t("space.points", { n: points.length }));
  const map = new Map2d(canvas, points, collection, tip, panel);
  const segmented = (options, current, label, act) => {
    const group = h("div", { class: "segmented", role: "group", "aria-label": label });
    const draw = (now) => fill(group, options.map(([key, text, symbol]) => h("button", { type: "button", "aria-pressed": String(key === now), onclick: () => (draw(key), act(key)) }, symbol && icon(symbol), text)));
    draw(current);
    return group;
  };
  const colour = (by) => {
    map.colourBy(by);
    const keys = by === "modality" ? MODALITIES.filter((m) => points.some((p) => p.modality === m)) : [...new Set(points.map((p) => p.cluster))].sort((a, b) => a - b);
    fill(legend, keys.map((key) => h("li", {}, h("span", { class: "dot", style: { "--dot": map.colour(key) } }), by === "modality" ? t(`modality.${key}.many`) : t("space.cluster", { n: key + 1 }))));
  };
  fill(
    tools,
    segmented([["modality", t("space.by.modality")], ["cluster", t("space.by.cluster")]], "modality", t("space.colour"), colour),
    segmented([["move", t("space.move"), "space"], ["lasso", t("space.lasso"), "lasso"]], "move", t("space.mode"), (mode) => (map.mode = mode)),
    button(t("space.in"), { icon: "plus", onclick: () => map.zoom(1.5) }),
    button(t("space.out"), { icon: "minus", onclick: () => map.zoom(1 / 1.5) }),
  );
  colour("modality");
  return () => map.end();
}

/** The map: it draws only when something has changed, and only what can be seen. */
class Map2d {
  constructor(canvas, points, collection, tip, panel) {
    Object.assign(this, { canvas, points, collection, tip, panel });
    this.pen = canvas.getContext("2d");
    this.mode = "move";
    this.view = { x: 0, y: 0, scale: 1 };
    this.faces = new Map();
    this.selected = new Set();
    this.lasso = null;
    this.pointers = new Map();
    this.control = new AbortController();
    this.frames = [];
    const on = (kind, act, options = {}) => canvas.addEventListener(kind, act.bind(this), { signal: this.control.signal, ...options });
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.up);
    on("pointerleave", () => this.hover(null));
    on("wheel", this.wheel, { passive: false });
    on("keydown", this.keys);
    document.addEventListener("onesense:theme", () => this.colourBy(this.by), { signal: this.control.signal });
    this.resizer = new ResizeObserver(() => this.resize());
    this.resizer.observe(canvas);
  }

  end() {
    this.control.abort();
    this.resizer.disconnect();
    cancelAnimationFrame(this.due);
  }

  resize() {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    Object.assign(this, { width, height });
    this.canvas.width = width * this.ratio;
    this.canvas.height = height * this.ratio;
    this.redraw();
  }

  colourBy(by) {
    this.by = by;
    const style = getComputedStyle(document.documentElement);
    this.ink = style.getPropertyValue("--ink");
    this.surface = style.getPropertyValue("--surface");
    this.accent = style.getPropertyValue("--accent");
    const hues = Array.from({ length: 8 }, (_, n) => style.getPropertyValue(`--data-${n}`));
    this.colours = hues;
    this.groups = new Map();
    for (const point of this.points) {
      const key = this.colour(by === "modality" ? point.modality : point.cluster);
      if (!this.groups.has(key)) this.groups.set(key, []);
      this.groups.get(key).push(point);
    }
    this.redraw();
  }

  colour(key) {
    const n = typeof key === "number" ? key : MODALITIES.indexOf(key);
    return this.colours[Math.max(0, n) % this.colours.length];
  }

  // --- where things are

  base() {
    return Math.min(this.width, this.height) * 0.44;
  }

  screen(point) {
    const size = this.base() * this.view.scale;
    return [this.width / 2 + (point.x - this.view.x) * size, this.height / 2 + (point.y - this.view.y) * size];
  }

  world(x, y) {
    const size = this.base() * this.view.scale;
    return [(x - this.width / 2) / size + this.view.x, (y - this.height / 2) / size + this.view.y];
  }

  radius() {
    const crowd = Math.sqrt(this.points.length / 400);
    return Math.max(2, Math.min(7, (5.5 / Math.max(1, crowd)) * Math.sqrt(this.view.scale)));
  }

  nearest(x, y, within = 14) {
    let [best, least] = [null, within * within];
    for (const point of this.points) {
      const [px, py] = this.screen(point);
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) [best, least] = [point, distance];
    }
    return best;
  }

  // --- drawing

  redraw() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = 0;
      const begun = performance.now();
      this.draw();
      this.frames.push(performance.now() - begun);
      if (this.frames.length > 120) this.frames.shift();
      this.canvas.dataset.frameMs = this.frames.toSorted((a, b) => a - b)[this.frames.length >> 1].toFixed(2); // the median
    });
  }

  draw() {
    const { pen, ratio } = this;
    if (!this.width || !this.groups) return;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    const r = this.radius();
    for (const [colour, points] of this.groups) {
      pen.fillStyle = colour;
      pen.beginPath();
      for (const point of points) {
        const [x, y] = this.screen(point);
        if (x < -r || y < -r || x > this.width + r || y > this.height + r) continue;
        if (this.selected.size && !this.selected.has(point)) continue;
        if (r < TINY_PX) pen.rect(x - r, y - r, 2 * r, 2 * r);
        else {
          pen.moveTo(x + r, y);
          pen.arc(x, y, r, 0, 7);
        }
      }
      pen.globalAlpha = 0.9;
      pen.fill();
    }
    if (this.selected.size) this.drawRest(r);
    pen.globalAlpha = 1;
    this.drawFaces(r);
    if (this.lasso) this.drawLasso();
    if (this.near) this.ring(this.near, r + 4);
  }

  drawRest(r) {
    const { pen } = this;
    pen.fillStyle = this.ink;
    pen.globalAlpha = 0.16;
    pen.beginPath();
    for (const point of this.points) {
      if (this.selected.has(point)) continue;
      const [x, y] = this.screen(point);
      pen.moveTo(x + r * 0.7, y);
      pen.arc(x, y, r * 0.7, 0, 7);
    }
    pen.fill();
  }

  ring(point, r) {
    const [x, y] = this.screen(point);
    this.pen.lineWidth = 2;
    this.pen.strokeStyle = this.accent;
    this.pen.beginPath();
    this.pen.arc(x, y, r, 0, 7);
    this.pen.stroke();
  }

  drawLasso() {
    const { pen } = this;
    pen.strokeStyle = this.accent;
    pen.lineWidth = 1.5;
    pen.setLineDash([5, 4]);
    pen.beginPath();
    this.lasso.forEach(([x, y], n) => (n ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 0.08;
    pen.fillStyle = this.accent;
    pen.fill();
    pen.globalAlpha = 1;
  }

  /** Thumbnails where there is room for them, so that they never pile up, and stay the same while the map moves. */
  drawFaces(r) {
    const taken = [];
    for (const point of this.points) {
      if (taken.length >= FACES) return;
      if (!["image", "video", "pdf"].includes(point.modality) || (this.selected.size && !this.selected.has(point))) continue;
      const [x, y] = this.screen(point);
      if (x < 0 || y < 0 || x > this.width || y > this.height) continue;
      if (taken.some(([ox, oy]) => Math.abs(ox - x) < FACE_PX + 6 && Math.abs(oy - y) < FACE_PX + 6)) continue;
      taken.push([x, y]);
      const face = this.face(point);
      if (face.complete && face.naturalWidth) this.drawFace(point, face, x, y, r);
    }
  }

  drawFace(point, face, x, y, r) {
    const { pen } = this;
    const fit = FACE_PX / Math.max(face.naturalWidth, face.naturalHeight);
    const [w, hh] = [face.naturalWidth * fit, face.naturalHeight * fit];
    pen.save();
    pen.beginPath();
    pen.roundRect(x - w / 2, y - hh / 2, w, hh, 6);
    pen.strokeStyle = this.colour(this.by === "modality" ? point.modality : point.cluster);
    pen.lineWidth = 3;
    pen.stroke();
    pen.clip();
    pen.drawImage(face, x - w / 2, y - hh / 2, w, hh);
    pen.restore();
  }

  face(point) {
    if (!this.faces.has(point.id)) {
      const picture = new Image();
      picture.onload = () => this.redraw();
      const at_s = point.modality === "video" ? moment(point.locator) : undefined;
      picture.src = mediaUrl(this.collection, "thumbnail", { path: point.path, modality: point.modality, side: 160, page: point.locator.page, at_s });
      this.faces.set(point.id, picture);
    }
    return this.faces.get(point.id);
  }

  // --- what a person does

  local(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.local(event));
    this.moved = 0;
    if (this.mode === "lasso" || event.shiftKey) this.lasso = [this.local(event)];
  }

  move(event) {
    const [x, y] = this.local(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.hover(this.nearest(x, y), x, y);
    const spread = () => {
      const [a, b] = [...this.pointers.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]);
    };
    const was = this.pointers.size === 2 ? spread() : 0;
    this.pointers.set(event.pointerId, [x, y]);
    this.moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    if (this.pointers.size === 2) this.zoom(spread() / was, x, y);
    else if (this.lasso) this.lasso.push([x, y]);
    else {
      const size = this.base() * this.view.scale;
      this.view.x -= (x - before[0]) / size;
      this.view.y -= (y - before[1]) / size;
    }
    this.hover(null);
    this.redraw();
  }

  up(event) {
    const [x, y] = this.local(event);
    this.pointers.delete(event.pointerId);
    if (this.lasso && this.moved > 10) this.select(this.points.filter((point) => inside(this.screen(point), this.lasso)));
    else if (this.moved < 6) this.tap(this.nearest(x, y, 22));
    this.lasso = null;
    this.redraw();
  }

  tap(point) {
    if (point) this.open(point);
    else if (this.selected.size) this.select([]);
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * 0.0016), ...this.local(event));
  }

  zoom(by, x = this.width / 2, y = this.height / 2) {
    const before = this.world(x, y);
    this.view.scale = Math.max(0.5, Math.min(60, this.view.scale * by));
    const after = this.world(x, y);
    this.view.x += before[0] - after[0];
    this.view.y += before[1] - after[1];
    this.redraw();
  }

  keys(event) {
    const step = 0.12 / this.view.scale;
    const act = {
      ArrowLeft: () => (this.view.x -= step),
      ArrowRight: () => (this.view.x += step),
      ArrowUp: () => (this.view.y -= step),
      ArrowDown: () => (this.view.y += step),
      "+": () => this.zoom(1.3),
      "-": () => this.zoom(1 / 1.3),
      Enter: () => this.select(this.points.filter((point) => this.isSeen(point))),
      Escape: () => this.select([]),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    this.redraw();
  }

  isSeen(point) {
    const [x, y] = this.screen(point);
    return x > 0 && y > 0 && x < this.width && y < this.height;
  }

  hover(point, x, y) {
    if (point === this.near) return;
    this.near = point;
    this.tip.hidden = !point;
    if (point) {
      fill(this.tip, icon(point.modality), h("bdi", {}, name(point.path)), place(point.locator) && h("span", {}, place(point.locator)));
      this.tip.style.left = `${Math.min(x + 14, this.width - 240)}px`;
      this.tip.style.top = `${Math.min(y + 14, this.height - 50)}px`;
    }
    this.redraw();
  }

  hit(point) {
    return { id: point.id, path: point.path, modality: point.modality, locator: point.locator, preview: point.preview, score: 1, confidence: null, metadata: {} };
  }

  open(point) {
    const hits = (this.selected.size ? [...this.selected] : [point]).map((one) => this.hit(one));
    const chip = (hit, sign) => ask({ chips: [likeChip(this.collection, hit, sign)] });
    openDetail(this.collection, this.hit(point), { hits, actions: { like: (hit) => chip(hit, 1), plus: (hit) => chip(hit, 1), minus: (hit) => chip(hit, -1) } });
  }

  select(points) {
    this.selected = new Set(points);
    this.panel.hidden = !points.length;
    announce(t("space.count", { n: points.length }));
    if (points.length) {
      const item = (point) => h("li", {}, h("button", { type: "button", class: "space-item", onclick: () => this.open(point) }, ["image", "video", "pdf"].includes(point.modality) ? h("img", { alt: "", loading: "lazy", src: this.face(point).src }) : icon(point.modality), h("bdi", {}, name(point.path))));
      fill(
        this.panel,
        h("div", { class: "section-head" }, h("h2", {}, t("space.count", { n: points.length })), button(t("space.clear"), { icon: "close", class: "quiet", onclick: () => this.select([]) })),
        button(t("space.like"), { icon: "like", text: t("space.like"), class: "primary", onclick: () => ask({ chips: points.slice(0, 12).map((point) => likeChip(this.collection, this.hit(point))) }) }),
        h("ul", {}, points.slice(0, LISTED).map(item)),
        points.length > LISTED && h("p", { class: "quiet-text" }, t("space.more", { n: points.length - LISTED })),
      );
    }
    this.redraw();
  }
}

/** Whether a place lies inside a closed line: how often a ray to the right crosses it. */
function inside([x, y], line) {
  let is = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [line[i], line[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) is = !is;
  }
  return is;
}

// Elements from code. Strings become text nodes, always: nothing in the Studio is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `props`: `class`, `on<event>` functions, `data-*`, `aria-*`, booleans, and DOM properties by name. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  append(element, children);
  return element;
}

function set(element, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (name === "class") element.className = value;
  else if (name === "style") for (const [key, item] of Object.entries(value)) element.style.setProperty(key, item);
  else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "value" || name === "checked" || name === "muted" || name === "srcObject") element[name] = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** Append children; null and false are passed over. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Put other children in the place of those there are. */
export function fill(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

/** An icon of the sprite; decoration only, its button carries the name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/studio/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon, a name for screen readers, and its text where there is room for one. */
export function button(label, { icon: symbol, text, class: kind = "", onclick, ...rest } = {}) {
  const shown = text ?? (symbol ? null : label);
  return h(
    "button",
    { type: "button", class: `button ${kind}`, onclick, "aria-label": shown === label ? undefined : label, title: shown ? undefined : label, ...rest },
    symbol && icon(symbol),
    shown,
  );
}

/** `text` with every occurrence of the words wrapped in <mark>. */
export function marked(text, words = []) {
  const wanted = words.filter((word) => word.length > 1).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!wanted.length) return [text];
  const pieces = text.split(new RegExp(`(${wanted.join("|")})`, "giu"));
  return pieces.map((piece, n) => (n % 2 ? h("mark", {}, piece) : piece));
}

/** Call `act` once when the element comes near the screen. */
export function whenSeen(element, act) {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      act();
    },
    { rootMargin: "300px" },
  );
  observer.observe(element);
}

const live = () => document.getElementById("live");

/** Tell screen readers. */
export function announce(text) {
  live().textContent = text;
}

let hiding;
/** A line at the foot of the window that goes by itself. */
export function toast(text, kind = "info") {
  const box = document.getElementById("toast");
  box.textContent = text;
  box.dataset.kind = kind;
  box.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => (box.hidden = true), kind === "error" ? 9000 : 4000);
}

/** A modal dialog that goes when it is closed. */
export function dialog(label, kind, content, onclose) {
  const opener = document.activeElement;
  const box = h("dialog", { class: `dialog ${kind}`, "aria-label": label }, content);
  box.addEventListener("close", () => {
    box.remove();
    onclose?.();
    if (opener?.isConnected) opener.focus();
  });
  box.addEventListener("click", (event) => event.target === box && box.close());
  document.body.append(box);
  box.showModal();
  return box;
}

export const name = (path) => path.split("/").filter(Boolean).pop() ?? path;
export const prefersLessMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

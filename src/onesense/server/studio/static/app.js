// The frame round the views: navigation, collection, language, theme, key. The address says what is shown.

import { call, key, setKey, setLostText } from "./api.js";
import { button, fill, h, icon, toast } from "./dom.js";
import * as i18n from "./i18n.js";
import { t } from "./i18n.js";
import { problem } from "./parts/empty.js";
import { closeDetail } from "./views/detail.js";

const VIEWS = ["search", "ask", "library", "space", "playground"];
const MODULES = {
  search: () => import("./views/search.js"),
  ask: () => import("./views/ask.js"),
  library: () => import("./views/library.js"),
  space: () => import("./views/space.js"),
  playground: () => import("./views/playground.js"),
};

/** What the views share: `status` of the server, `collections`, and the name of the one that is looked at. */
export const studio = { status: null, collections: [], collection: null };

let leave = () => {};

/** View and parameters of the address: `#/space?c=media`. */
export function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: VIEWS.includes(path) ? path : "search", params: new URLSearchParams(query) };
}

/** An address inside the Studio; the collection goes along. */
export function address(view, params = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value));
  if (studio.collection && !query.has("c")) query.set("c", studio.collection);
  return `#/${view}?${query}`;
}

async function start() {
  await i18n.start();
  setLostText(t("error.unreachable"));
  document.getElementById("skip").textContent = t("skip");
  document.addEventListener("onesense:key", askForKey, { once: true });
  document.addEventListener("onesense:theme", () => document.querySelector(".theme")?.replaceChildren(themeIcon()));
  window.addEventListener("hashchange", show);
  document.addEventListener("keydown", shortcuts);
  try {
    await refresh();
  } catch (cause) {
    if (cause.status !== 401) fill(main(), problem(cause));
    return;
  }
  await show();
}

/** Read again what the server has. */
export async function refresh() {
  const [status, list] = await Promise.all([call("GET", "/api/status"), call("GET", "/api/collections")]);
  studio.status = status;
  studio.collections = list.collections;
}

const main = () => document.getElementById("main");

let shown = 0;
async function show() {
  const { view, params } = route();
  const turn = ++shown;
  const wanted = params.get("c") ?? localStorage.getItem("onesense.collection");
  studio.collection = studio.collections.find((c) => c.name === wanted)?.name ?? studio.collections[0]?.name ?? null;
  if (studio.collection) localStorage.setItem("onesense.collection", studio.collection);
  closeDetail();
  leave();
  leave = () => {};
  frame(view);
  document.title = `${t(`nav.${view}`)} · Onesense`;
  document.body.dataset.view = view;
  try {
    const module = await MODULES[view]().catch(() => Promise.reject(new Error(t("error.unreachable"))));
    if (turn !== shown) return;
    const done = (await module.show(fill(main()), params)) ?? (() => {});
    if (turn === shown) leave = done;
    else done();
  } catch (cause) {
    if (cause.name !== "AbortError" && turn === shown) fill(main(), problem(cause));
  }
}

/** Show the present address anew, for a view that changed what all of them share. */
export const reload = () => show();

function frame(view) {
  const views = VIEWS.filter((name) => name !== "ask" || studio.status.can.ask);
  const links = views.map((name) =>
    h("a", { href: address(name), "aria-current": name === view ? "page" : undefined }, icon(name), h("span", {}, t(`nav.${name}`))),
  );
  fill(
    document.getElementById("top"),
    h("a", { class: "brand", href: address("search"), "aria-label": t("brand.home") }, icon("mark"), h("span", {}, "onesense")),
    h("nav", { class: "nav", "aria-label": t("nav.label") }, links),
    h("div", { class: "top-side" }, collectionPicker(), languagePicker(), themeButton()),
  );
}

function collectionPicker() {
  if (!studio.collections.length) return null;
  const pick = h(
    "select",
    { "aria-label": t("collection.choose"), onchange: (event) => (location.hash = address(route().view, { c: event.target.value })) },
    studio.collections.map((c) => h("option", { value: c.name }, c.name)),
  );
  pick.value = studio.collection;
  return h("label", { class: "select" }, pick, icon("down"));
}

function languagePicker() {
  const pick = h(
    "select",
    { "aria-label": t("language"), onchange: (event) => i18n.choose(event.target.value) },
    Object.entries(i18n.LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code }, name)),
  );
  pick.value = i18n.current();
  return h("label", { class: "select select-icon", title: t("language") }, icon("globe"), pick);
}

const isDark = () => document.documentElement.dataset.theme === "dark";
const themeIcon = () => icon(isDark() ? "sun" : "moon");

function themeButton() {
  const swap = () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("onesense.theme", document.documentElement.dataset.theme);
    document.dispatchEvent(new CustomEvent("onesense:theme"));
  };
  return fill(button(t("theme"), { icon: "moon", class: "quiet theme", onclick: swap }), themeIcon());
}

function shortcuts(event) {
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !isTyping && !document.querySelector("dialog[open]")) {
    const field = document.querySelector(".query-words");
    if (field) {
      event.preventDefault();
      field.focus();
    }
  }
}

function askForKey() {
  const field = h("input", { type: "password", id: "key", autocomplete: "current-password", required: true });
  const enter = async (event) => {
    event.preventDefault();
    setKey(field.value.trim());
    try {
      await call("GET", "/api/status");
      location.reload();
    } catch {
      toast(t("key.wrong"), "error");
    }
  };
  const form = h(
    "form",
    { class: "key-form", onsubmit: enter },
    h("h1", {}, t("key.title")),
    h("p", {}, t("key.why")),
    h("label", { for: "key" }, t("key.label")),
    field,
    h("button", { class: "button primary", type: "submit" }, t("key.enter")),
  );
  if (key()) setKey("");
  fill(main(), form);
  field.focus();
}

start();

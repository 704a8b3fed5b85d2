// Search: one bar, and what it finds as a grid of everything.

import { call, collectionPath } from "../api.js";
import { address, route, studio } from "../app.js";
import { announce, button, fill, h, icon } from "../dom.js";
import { number, t } from "../i18n.js";
import { codeDialog, searchCalls } from "../parts/code.js";
import { emptyCollection, problem, welcome } from "../parts/empty.js";
import { factFilters, factsWhere, noFacts } from "../parts/facts.js";
import { body, dropzone, emptyQuery, isEmpty, likeChip, queryBar } from "../parts/query.js";
import { stop } from "../parts/player.js";
import { tile, walkable } from "../parts/tile.js";
import { openDetail } from "./detail.js";

const PAGE = 30;
const LIKELY = 0.25;
const MODALITIES = ["image", "video", "audio", "pdf", "text"];
const WHEN = { "": null, day: 1, week: 7, month: 31, year: 366 };

let query = emptyQuery();
const filters = { modality: new Set(), folder: "", when: "", facts: noFacts() };

/** A query that another view wants asked here. */
export function ask(wanted) {
  query = { ...emptyQuery(), ...wanted };
  const same = location.hash;
  location.hash = address("search", { q: query.words });
  if (location.hash === same) window.dispatchEvent(new HashChangeEvent("hashchange"));
}

export async function show(main, params) {
  if (params.get("q") !== null && params.get("q") !== query.words) query.words = params.get("q");
  if (!studio.collection) return void fill(main, welcome());
  const results = h("section", { class: "results", "aria-label": t("results.label") });
  const bar = queryBar(query, () => run());
  const head = h("div", { class: "search-head" }, bar.element, filterRow(() => run()));
  const hero = h("div", { class: "hero" }, h("h1", {}, t("search.title")), h("p", {}, t("search.lead")));
  fill(main, hero, head, results);
  const undrop = dropzone((transfer) => bar.addFiles([...transfer.files]));
  const turns = { n: 0, control: null };
  const actions = {
    like: (hit) => ((query.words = ""), query.chips.splice(0), bar.addChip(likeChip(studio.collection, hit))),
    plus: (hit) => bar.addChip(likeChip(studio.collection, hit)),
    minus: (hit) => bar.addChip(likeChip(studio.collection, hit, -1)),
  };

  async function run() {
    const turn = ++turns.n;
    turns.control?.abort();
    turns.control = new AbortController();
    stop();
    const isAsked = !isEmpty(query);
    main.classList.toggle("asked", isAsked);
    // Who has clicked on another view by now is on the way there, and not to be called back.
    if (route().view === "search") history.replaceState(null, "", address("search", { q: query.words.trim() }));
    if (!isAsked) return start(results, actions, () => turn === turns.n);
    await page(turn, { ...body(query), ...narrowed(), k: PAGE, group: "file" }, turns.control.signal);
  }

  async function page(turn, wanted, signal) {
    results.setAttribute("aria-busy", "true");
    try {
      const begun = performance.now();
      const found = await call("POST", collectionPath(studio.collection, "/search"), wanted, signal);
      if (turn !== turns.n) return;
      grid(results, found, { wanted, actions, ms: performance.now() - begun, signal });
    } catch (cause) {
      if (cause.name === "AbortError" || turn !== turns.n) return;
      fill(results, problem(cause));
    } finally {
      if (turn === turns.n) results.removeAttribute("aria-busy");
    }
  }

  await run();
  if (matchMedia("(pointer: fine)").matches) bar.focus();
  return () => {
    undrop();
    stop();
    turns.control?.abort();
    turns.n++;
  };
}

// --- filters -----------------------------------------------------------------------------------------------------------

function narrowed() {
  const where = {};
  if (filters.folder) where.path = { prefix: filters.folder };
  const days = WHEN[filters.when];
  if (days) where.mtime = { gte: Date.now() / 1000 - days * 86_400 };
  return { modality: [...filters.modality], where: { ...where, ...factsWhere(filters.facts) } };
}

function filterRow(onchange) {
  const row = h("div", { class: "filters", role: "group", "aria-label": t("filter.label") });
  const kinds = MODALITIES.map((modality) =>
    h(
      "button",
      {
        type: "button",
        class: "pill",
        "aria-pressed": String(filters.modality.has(modality)),
        onclick: (event) => {
          if (!filters.modality.delete(modality)) filters.modality.add(modality);
          event.currentTarget.setAttribute("aria-pressed", String(filters.modality.has(modality)));
          onchange();
        },
      },
      icon(modality),
      t(`modality.${modality}.many`),
    ),
  );
  const choose = (label, value, options, act) => {
    const pick = h("select", { "aria-label": label, onchange: () => (act(pick.value), onchange()) }, options.map(([key, text]) => h("option", { value: key }, text)));
    pick.value = value;
    return h("label", { class: "select pill" }, pick, icon("down"));
  };
  const when = choose(t("filter.when"), filters.when, Object.keys(WHEN).map((key) => [key, t(`filter.when.${key || "any"}`)]), (value) => (filters.when = value));
  const facts = factFilters(filters.facts, onchange);
  fill(row, kinds, when, facts.opener);
  call("GET", collectionPath(studio.collection))
    .then(({ folders }) => {
      if (!folders.includes(filters.folder)) filters.folder = "";
      if (folders.length > 1) {
        const options = [["", t("filter.folder.any")], ...folders.map((folder) => [folder, folder.split("/").slice(-2, -1)[0]])];
        facts.opener.before(choose(t("filter.folder"), filters.folder, options, (value) => (filters.folder = value)));
      }
    })
    .catch(() => {});
  return [row, facts.panel];
}

// --- what is found -------------------------------------------------------------------------------------------------------

/** Before anything was asked: a handful of what is there, to begin with. */
async function start(results, actions, isCurrent) {
  fill(results);
  try {
    const found = await call("GET", collectionPath(studio.collection, "/sample?n=12"));
    if (!isCurrent()) return;
    if (!found.hits.length) return fill(results, emptyCollection());
    const list = h("ul", { class: "grid" }, found.hits.map((hit) => tile(studio.collection, hit, (one) => openDetail(studio.collection, one, { hits: found.hits, actions }), actions)));
    walkable(list);
    fill(results, h("h2", { class: "start-title" }, t("start.title")), list);
  } catch (cause) {
    if (isCurrent()) fill(results, problem(cause));
  }
}

function grid(results, found, { wanted, actions, ms, signal }) {
  const hits = [...found.hits];
  const list = h("ul", { class: "grid" });
  const open = (hit) => openDetail(studio.collection, hit, { hits, query: wanted, actions });
  const parting = { isBehind: !isLikely(hits[0]) };
  const show = (some) => {
    for (const hit of some) {
      if (!parting.isBehind && !isLikely(hit)) {
        parting.isBehind = true;
        list.append(h("li", { class: "grid-fill", "aria-hidden": "true" }), h("li", { class: "grid-break" }, t("results.unlikely")));
      }
      list.append(tile(studio.collection, hit, open, actions));
    }
  };
  walkable(list, { like: (id) => actions.like(hits.find((hit) => hit.id === id)) });
  show(hits);
  const said = hits.length ? t("results.time", { s: number(ms / 1000, 2) }) : t("results.none");
  fill(results, verdict(found, hits), h("p", { class: "results-line" }, h("span", {}, said), button(t("code.get"), { icon: "code", text: t("code.get"), class: "quiet", onclick: () => codeDialog(searchCalls(studio.collection, wanted)) })), list);
  list.classList.toggle("unsure", found.is_confident === false);
  announce(found.is_confident === false ? t("verdict.none") : t("results.count", { n: hits.length }));
  more(results, list, found.next_offset, async (offset) => {
    const next = await call("POST", collectionPath(studio.collection, "/search"), { ...wanted, offset }, signal);
    hits.push(...next.hits);
    show(next.hits);
    announce(t("results.count", { n: hits.length }));
    return next.next_offset;
  });
}

/** Whether a hit stands above the line behind which there is only what is nearest of the rest. */
const isLikely = (hit) => (hit?.confidence ?? 1) >= LIKELY;

function verdict(found, hits) {
  if (found.is_confident !== false) return null;
  return h("div", { class: "verdict" }, icon("info"), h("div", {}, h("h2", {}, t("verdict.none")), hits.length > 0 && h("p", {}, t("verdict.why"))));
}

/** The next page when the end of this one comes near; a button as well, for those who do not scroll. */
function more(results, list, offset, read) {
  if (offset === null || offset === undefined) return;
  const next = button(t("results.more"), { text: t("results.more"), class: "more", onclick: () => load() });
  let isReading = false;
  const seer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && load(), { rootMargin: "600px" });
  async function load() {
    if (isReading || !next.isConnected) return;
    isReading = true;
    try {
      offset = await read(offset);
    } catch {
      offset = null;
    }
    isReading = false;
    if (offset === null || offset === undefined) {
      seer.disconnect();
      next.remove();
    }
  }
  results.append(next);
  seer.observe(next);
}

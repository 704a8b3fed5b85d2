// Ask: a question, the answer as it is written, and the places that it stands on.

import { ask, call, collectionPath } from "../api.js";
import { studio } from "../app.js";
import { announce, append, button, fill, h, icon, name, prefersLessMotion, toast } from "../dom.js";
import { place, t } from "../i18n.js";
import { askCalls, codeDialog } from "../parts/code.js";
import { emptyCollection, problem, welcome } from "../parts/empty.js";
import { stop as hush } from "../parts/player.js";
import { tile, walkable } from "../parts/tile.js";
import { openDetail } from "./detail.js";

const MOST_TURNS = 20; // that the server takes along
const MOST_COLLECTIONS = 8;
const MARK = /(\[\d+\])/;

/** What was asked in this tab: `{ question, wanted, passages, text, answer, fault, isStopped }`; the server keeps nothing. */
const turns = [];
/** Names of collections that are asked beside the chosen one. */
const also = new Set();

export async function show(main, params) {
  if (!studio.collection) return void fill(main, welcome());
  const running = { control: null };
  const thread = h("ol", { class: "thread", "aria-label": t("ask.thread") });
  const note = h("div", { class: "ask-note" });
  const options = h("div", { class: "filters ask-options" });
  const bar = composer(run, () => running.control?.abort());
  const hero = h("div", { class: "hero" }, h("h1", {}, t("ask.title")), h("p", {}, t("ask.lead")));
  fill(main, hero, thread, h("div", { class: "ask-foot" }, bar.element, options), note);

  const renew = () => {
    running.control?.abort();
    turns.length = 0;
    draw();
    bar.focus();
  };

  function draw() {
    main.classList.toggle("asked", turns.length > 0);
    bar.follows(turns.length > 0);
    fill(thread, turns.map((turn) => turnItem(turn, again).element));
    drawOptions(options, renew);
  }

  function again(turn) {
    if (running.control) return;
    turns.splice(turns.indexOf(turn), 1);
    draw();
    run(turn.question);
  }

  async function run(question) {
    const wanted = { question, collections: asked(), conversation: said() };
    const turn = { question, wanted, passages: [], text: "", answer: null, fault: null, isStopped: false };
    const item = turnItem(turn, again);
    turns.push(turn);
    thread.append(item.element);
    main.classList.add("asked");
    drawOptions(options, renew);
    item.element.scrollIntoView({ behavior: prefersLessMotion() ? "auto" : "smooth" });
    running.control = new AbortController();
    bar.busy(true);
    announce(t("ask.searching"));
    try {
      for await (const { event, data } of ask(wanted, running.control.signal)) take(turn, event, data, item);
    } catch (cause) {
      if (cause.name === "AbortError") turn.isStopped = true;
      else turn.fault = cause.message;
    }
    running.control = null;
    item.end();
    bar.busy(false);
    bar.follows(turns.length > 0);
    announce(turn.fault ?? turn.answer?.text ?? t("ask.stopped"));
  }

  draw();
  tellAbout(note);
  if (params.get("id")) openLinked(params.get("id"));
  else if (matchMedia("(pointer: fine)").matches) bar.focus();
  return () => {
    running.control?.abort();
    hush();
  };
}

const asked = () => [studio.collection, ...[...also].filter((one) => one !== studio.collection)].slice(0, MOST_COLLECTIONS);
const said = () => turns.filter((turn) => turn.answer).slice(-MOST_TURNS).map(({ question, answer }) => ({ question, answer: answer.text }));

/** What an event adds to a turn, and to what is seen of it. */
function take(turn, event, data, item) {
  if (event === "passages") turn.passages = data.passages;
  if (event === "delta") turn.text += data.text;
  if (event === "answer") turn.answer = data;
  if (event === "error") turn.fault = data.message;
  if (event === "passages") item.found();
  if (event === "delta") item.add(data.text);
}

/** What somebody should know before they ask: there is nothing to ask, or nobody who reads. */
async function tellAbout(note) {
  try {
    const [about, { llm }] = await Promise.all([call("GET", collectionPath(studio.collection)), call("GET", "/api/ask")]);
    const others = studio.collections.length > 1;
    if (!about.segments && !others) return void fill(note, emptyCollection());
    fill(note, !about.segments && h("p", {}, t("collection.empty")), h("p", {}, llm ? t("ask.llm", { name: llm }) : t("ask.llm.none")));
  } catch (cause) {
    fill(note, problem(cause));
  }
}

/** A place that an answer elsewhere links to. */
async function openLinked(id) {
  try {
    const hit = await call("GET", collectionPath(studio.collection, `/hit?${new URLSearchParams({ id })}`));
    openDetail(studio.collection, hit, { hits: [hit] });
  } catch (cause) {
    toast(cause.message, "error");
  }
}

// --- the question ------------------------------------------------------------------------------------------------------

function composer(onask, onstop) {
  let isBusy = false;
  const words = h("textarea", { class: "query-words", rows: "1", maxlength: "4000", "aria-label": t("ask.label"), autocomplete: "off" });
  const go = h("button", { type: "submit", class: "button primary query-go" });
  const busy = (value) => {
    isBusy = value;
    go.setAttribute("aria-label", t(value ? "ask.stop" : "ask.go"));
    fill(go, icon(value ? "stop" : "send"));
  };
  const submit = (event) => {
    event.preventDefault();
    if (isBusy) return onstop();
    const question = words.value.trim();
    if (!question) return words.focus();
    words.value = "";
    onask(question);
  };
  const element = h("form", { class: "query ask-bar", onsubmit: submit }, icon("ask"), h("div", { class: "query-field" }, words), go);
  words.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!isBusy) element.requestSubmit();
  });
  busy(false);
  return { element, busy, focus: () => words.focus(), follows: (isFollowUp) => (words.placeholder = t(isFollowUp ? "ask.more" : "ask.placeholder")) };
}

/** Where to ask beside the chosen collection, and a fresh start. */
function drawOptions(options, renew) {
  const toggle = (label, isOn, act) =>
    h("button", { type: "button", class: "pill", "aria-pressed": String(isOn), onclick: (event) => event.currentTarget.setAttribute("aria-pressed", String(act())) }, icon("library"), h("bdi", {}, label));
  const swap = (one) => !also.delete(one) && Boolean(also.add(one)); // whether it is in now
  const others = studio.collections.map((one) => one.name).filter((one) => one !== studio.collection);
  fill(
    options,
    others.length > 0 && h("div", { class: "filters", role: "group", "aria-label": t("ask.also") }, h("span", { class: "quiet-text" }, t("ask.also")), others.map((one) => toggle(one, also.has(one), () => swap(one)))),
    turns.length > 0 && button(t("ask.new"), { icon: "plus", text: t("ask.new"), class: "quiet", onclick: renew }),
  );
}

// --- the answer --------------------------------------------------------------------------------------------------------

/** A turn as a list item: `{ element, found, add, end }`, called when passages, words and the end have come. */
function turnItem(turn, again) {
  const state = h("div", { class: "turn-state" });
  const text = h("div", { class: "answer", dir: "auto" });
  const below = h("div", { class: "turn-below" });
  const element = h("li", { class: "turn" }, h("h2", { class: "turn-question", dir: "auto" }, turn.question), text, state, below);
  const cite = (piece) => citation(turn, piece);
  const add = (some) => append(text, some.split(MARK).map(cite));
  const found = () => {
    fill(state, t("ask.reading", { n: turn.passages.length }));
    fill(below, sources(turn, []));
  };
  const end = () => {
    const { answer } = turn;
    element.removeAttribute("aria-busy");
    fill(state, verdict(turn, again));
    if (answer) fill(text, answer.is_found && answer.text.split(MARK).map(cite));
    const code = button(t("code.get"), { icon: "code", text: t("code.get"), class: "quiet", onclick: () => codeDialog(askCalls(turn.wanted)) });
    fill(below, answer && notes(answer), sources(turn, answer?.citations ?? []), h("div", {}, code));
  };
  add(turn.text);
  if (turn.answer || turn.fault || turn.isStopped) end();
  else {
    element.setAttribute("aria-busy", "true");
    fill(state, t("ask.searching"));
  }
  return { element, found, add, end };
}

/** `[2]` as a button that opens the place; anything else, and a mark of no passage, as it is. */
function citation(turn, piece) {
  const passage = MARK.test(piece) && turn.passages.find((one) => `[${one.number}]` === piece);
  if (!passage) return piece;
  const label = [sourceLabel(passage), name(passage.path), place(passage.locator)].filter(Boolean).join(", ");
  return h("button", { type: "button", class: "cite", "aria-label": label, title: label, onclick: () => openPassage(turn, passage) }, passage.number);
}

const sourceLabel = (passage) => t("ask.source", { number: passage.number });

/** Open a passage in place, with what the question has found in it; its neighbours are those of its collection. */
function openPassage(turn, passage) {
  const hits = turn.passages.filter((one) => one.collection === passage.collection);
  openDetail(passage.collection, passage, { hits, query: { parts: [{ text: turn.question }] } });
}

/** Who wrote an answer, or why there is none. */
function verdict(turn, again) {
  const { answer, fault } = turn;
  const retry = button(t("ask.again"), { icon: "retry", text: t("ask.again"), onclick: () => again(turn) });
  if (fault) return h("div", { class: "verdict" }, icon("info"), h("div", {}, h("h3", {}, t("error.title")), h("p", {}, fault), retry));
  if (!answer) return [t("ask.stopped"), " ", retry];
  if (!answer.is_found) return h("div", { class: "verdict" }, icon("info"), h("div", {}, h("h3", {}, t("ask.notfound")), turn.passages.length > 0 && h("p", {}, t("verdict.why"))));
  return [answer.is_partial && t("ask.partial"), " ", answer.llm ? t("ask.written", { name: answer.llm }) : t("ask.extractive")];
}

/** What the server remarks on; that no language model is set up is said in the reader's own language already. */
function notes(answer) {
  const some = answer.notes.filter((one) => !one.startsWith("no language model is set up"));
  return some.length > 0 && h("ul", { class: "turn-notes" }, some.map((one) => h("li", {}, one)));
}

/** The passages as a grid of everything: those that are cited first, in the order of their marks, then the others. */
function sources(turn, citations) {
  if (!turn.passages.length) return null;
  const numbers = citations.map((one) => one.number);
  const cited = numbers.map((number) => turn.passages.find((one) => one.number === number)).filter(Boolean);
  const others = turn.passages.filter((one) => !numbers.includes(one.number));
  const breaks = cited.length && others.length ? [h("li", { class: "grid-fill", "aria-hidden": "true" }), h("li", { class: "grid-break" }, t("ask.others"))] : [];
  const list = h("ul", { class: "grid sources", "aria-label": t("ask.sources") }, [...cited.map((one) => source(turn, one)), ...breaks, ...others.map((one) => source(turn, one))]);
  walkable(list);
  return list;
}

function source(turn, passage) {
  const item = tile(passage.collection, passage, () => openPassage(turn, passage));
  const face = item.querySelector(".tile-media");
  face.setAttribute("aria-label", `${sourceLabel(passage)}, ${face.getAttribute("aria-label")}`);
  item.querySelector(".tile-frame").append(h("span", { class: "source-number", "aria-hidden": "true" }, passage.number));
  return item;
}

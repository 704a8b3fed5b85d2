// What files say of themselves: when and where they were taken, how long they are. As filters, and as a list.

import { h, icon } from "../dom.js";
import { clock, number, t } from "../i18n.js";

const LENGTHS = { "": null, short: { lte: 60 }, medium: { gte: 60, lte: 600 }, long: { gte: 600 } };
const KM = [1, 10, 100];
const KM_PER_DEGREE = 111.2;

/** Filters that let everything pass. */
export const noFacts = () => ({ from: "", until: "", length: "", near: "", km: "10" });

const isSet = (facts) => Boolean(facts.from || facts.until || facts.length || facts.near);

/** `48.86, 2.35` as latitude and longitude; null where it is none. */
function point(text) {
  const [lat, lon, ...rest] = text.split(/[,;\s]+/).filter(Boolean).map(Number);
  return !rest.length && Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? { lat, lon } : null;
}

/** The filters as the API takes them. A distance becomes a square of degrees, which ends at the date line. */
export function factsWhere({ from, until, length, near, km }) {
  const where = {};
  if (from || until) where.taken = { ...(from && { gte: from }), ...(until && { lte: `${until}T23:59:59` }) };
  if (LENGTHS[length]) where.duration_s = LENGTHS[length];
  const place = point(near);
  if (place) {
    const high = Number(km) / KM_PER_DEGREE;
    const wide = Math.min(180, high / Math.max(Math.cos((place.lat * Math.PI) / 180), 0.001));
    where.lat = { gte: place.lat - high, lte: place.lat + high };
    where.lon = { gte: place.lon - wide, lte: place.lon + wide };
  }
  return where;
}

/**
 * Filters that are not always in sight.
 *
 * @param facts changed in place.
 * @returns `{ opener, panel }`: a button, and what it shows.
 */
export function factFilters(facts, onchange) {
  const field = (key, label, element) => {
    element.id = `fact-${key}`;
    element.value = facts[key];
    element.addEventListener("change", () => {
      facts[key] = element.value.trim();
      if (key === "near") element.setCustomValidity(!facts.near || point(facts.near) ? "" : t("filter.near.bad"));
      opener.classList.toggle("set", isSet(facts));
      if (element.reportValidity()) onchange();
    });
    return h("div", { class: "fact" }, h("label", { for: element.id }, label), element);
  };
  const choice = (options) => h("select", {}, options.map(([value, text]) => h("option", { value }, text)));
  const panel = h(
    "div",
    { class: "fact-filters", id: "fact-filters", role: "group", "aria-label": t("filter.more"), hidden: !isSet(facts) },
    field("from", t("filter.from"), h("input", { type: "date" })),
    field("until", t("filter.until"), h("input", { type: "date" })),
    field("length", t("filter.length"), choice(Object.keys(LENGTHS).map((key) => [key, t(`filter.length.${key || "any"}`)]))),
    field("near", t("filter.near"), h("input", { type: "text", placeholder: "48.86, 2.35", autocomplete: "off", dir: "ltr" })),
    field("km", t("filter.km"), choice(KM.map((km) => [String(km), kilometres(km)]))),
  );
  const toggle = () => {
    panel.hidden = !panel.hidden;
    opener.setAttribute("aria-expanded", String(!panel.hidden));
  };
  const opener = h("button", { type: "button", class: `pill ${isSet(facts) ? "set" : ""}`, "aria-expanded": String(!panel.hidden), "aria-controls": "fact-filters", onclick: toggle }, icon("filter"), t("filter.more"));
  return { opener, panel };
}

const kilometres = (km) => new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit: "kilometer" }).format(km);

/** What a hit's file says of itself, for people: pairs of label and value. */
export function factList({ taken, lat, lon, duration_s, width, height, n_pages, language, mime } = {}) {
  const lang = document.documentElement.lang;
  const at = new Date(`${taken}Z`); // as the camera's clock said, which knows no zone
  const shown = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });
  const found = [
    ["taken", Number.isNaN(at.getTime()) ? taken : shown.format(at)],
    ["place", lat !== undefined && `${number(lat, 4)}, ${number(lon, 4)}`],
    ["duration", duration_s !== undefined && clock(duration_s)],
    ["size", width !== undefined && `${number(width)} × ${number(height)}`],
    ["pages", n_pages !== undefined && number(n_pages)],
    ["language", language && new Intl.DisplayNames(lang, { type: "language" }).of(language)],
    ["type", mime],
  ];
  return found.filter(([, value]) => value).map(([key, value]) => [t(`fact.${key}`), value]);
}

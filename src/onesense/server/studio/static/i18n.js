// The texts of the interface in the reader's language, numbers and times included.

export const LANGUAGES = { en: "English", es: "Español", zh: "中文", ar: "العربية", hi: "हिन्दी" };
const RIGHT_TO_LEFT = new Set(["ar"]);

let language = "en";
let texts = {};
let fallback = {};

const load = async (code) => (await fetch(`/studio/i18n/${code}.json`)).json();

/** Read the texts of the chosen language, or of the first one that the browser asks for and we have. */
export async function start() {
  const wanted = [localStorage.getItem("onesense.language"), ...navigator.languages.map((l) => l.split("-")[0])];
  language = wanted.find((code) => code in LANGUAGES) ?? "en";
  fallback = await load("en");
  texts = language === "en" ? fallback : await load(language);
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.has(language) ? "rtl" : "ltr";
}

export const current = () => language;

export function choose(code) {
  localStorage.setItem("onesense.language", code);
  location.reload();
}

/** A text; `{name}` is filled from `values`. With `values.n` the plural form of the language is taken, if there is one. */
export function t(key, values = {}) {
  const form = "n" in values ? `${key}.${new Intl.PluralRules(language).select(values.n)}` : key;
  const text = texts[form] ?? texts[`${key}.other`] ?? texts[key] ?? fallback[form] ?? fallback[`${key}.other`] ?? fallback[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, field) => shown(values[field]));
}

const shown = (value) => (typeof value === "number" ? number(value) : String(value ?? ""));

export const number = (value, digits = 0) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
export const percent = (value) => new Intl.NumberFormat(language, { style: "percent" }).format(value);

/** 83 -> `1:23`. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** A span of time for people: `3 min`, `12 s`. */
export function span(seconds) {
  const [value, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 0 }).format(Math.ceil(value));
}

export function bytes(n) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = Math.min(3, Math.floor(Math.log10(Math.max(n, 1)) / 3));
  return new Intl.NumberFormat(language, { style: "unit", unit: units[power], unitDisplay: "short", maximumFractionDigits: 1 }).format(n / 1000 ** power);
}

/** Where in its file a hit is. */
export function place(locator = {}) {
  if (locator.page) return t("place.page", { page: locator.page });
  if (locator.start_s === undefined) return "";
  return `\u2066${clock(locator.start_s)}–${clock(locator.end_s ?? locator.start_s)}\u2069`; // left to right in any text
}

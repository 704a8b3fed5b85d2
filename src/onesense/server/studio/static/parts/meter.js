// How sure a hit is, plainly: a bar, a number, and a word for screen readers.

import { h } from "../dom.js";
import { percent, t } from "../i18n.js";

const grade = (confidence) => (confidence >= 0.75 ? "strong" : confidence >= 0.4 ? "fair" : "weak");

/** The meter of a hit; nothing where the collection is too small to tell. */
export function meter(confidence) {
  if (confidence === null || confidence === undefined) return null;
  const word = t(`confidence.${grade(confidence)}`);
  return h(
    "span",
    { class: `meter ${grade(confidence)}`, title: t("confidence.title", { percent: percent(confidence), word }) },
    h("span", { class: "meter-bar", "aria-hidden": "true" }, h("span", { style: { "--share": String(Math.max(confidence, 0.02)) } })),
    h("span", { class: "sr-only" }, t("confidence.label")),
    percent(confidence),
  );
}

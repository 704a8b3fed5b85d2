// What stands in the place of a view that has nothing to show.

import { address } from "../app.js";
import { h, icon } from "../dom.js";
import { t } from "../i18n.js";

/** Why something could not be done. */
export const problem = (cause) => h("div", { class: "empty", role: "alert" }, h("h2", {}, t("error.title")), h("p", {}, cause.message));

const toLibrary = () => h("a", { class: "button primary", href: address("library") }, t("welcome.go"));

/** There is no collection yet. */
export const welcome = () => h("div", { class: "empty" }, icon("library"), h("h1", {}, t("welcome.title")), h("p", {}, t("welcome.text")), toLibrary());

/** There is a collection, and nothing in it. */
export const emptyCollection = () => h("div", { class: "empty" }, h("p", {}, t("collection.empty")), toLibrary());

// Where in a hit the query is: words on a page, a stretch of text, warm parts of a picture.

import { call, collectionPath } from "../api.js";
import { h } from "../dom.js";

/** The mark of a query in a hit; null where there was no query, or nothing can be said. */
export async function marks(collection, hit, query, signal) {
  if (!query) return null;
  const { parts = [], like = [] } = query;
  try {
    return await call("POST", collectionPath(collection, "/mark"), { id: hit.id, parts, like }, signal);
  } catch {
    return null;
  }
}

/** The boxes of a mark, to be laid over the picture of its page. */
export function boxes(mark) {
  const share = (value) => `${(value * 100).toFixed(2)}%`;
  return (mark?.boxes ?? []).map(([x0, y0, x1, y1]) => h("span", { class: "box", style: { left: share(x0), top: share(y0), width: share(x1 - x0), height: share(y1 - y0) } }));
}

// What every JavaScript client script shares: the task on stdin, the answer on stdout, and errors that must come.
import { readFileSync } from "node:fs";

export const task = JSON.parse(readFileSync(0, "utf8"));

export function answer(packages, cases) {
  const versions = {};
  for (const name of packages) {
    const card = new URL(`./node_modules/${name}/package.json`, import.meta.url);
    versions[name] = JSON.parse(readFileSync(card, "utf8")).version;
  }
  console.log(JSON.stringify({ versions, cases }));
}

export async function mustThrow(call, words) {
  try {
    await call();
  } catch (error) {
    if (String(error.message).includes(words) || String(error.status ?? error.statusCode) === words) return;
    throw new Error(`an error that says "${words}" was expected, not: ${error}`);
  }
  throw new Error(`an error that says "${words}" was expected, and nothing was thrown`);
}

export function picture() {
  return readFileSync(task.picture);
}

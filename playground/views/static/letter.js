// A mail out of an effect: its lines, and the link in them that holds the awakeable's id. Pure functions.

/** @import { Clipped } from "./messages.js" */

/**
 * The lines of an effect's body: a flat JSON object as its members, each [name, text].
 * @param {Clipped | null} clipped
 * @returns {[string, string][] | null} null if the body is cut, or anything else: it is shown as it is.
 */
export function linesOf(clipped) {
  if (!clipped || clipped.length) return null;
  let body;
  try {
    body = JSON.parse(clipped.text);
  } catch {
    return [["text", clipped.text]];
  }
  if (typeof body === "string") return [["text", body]];
  if (typeof body !== "object" || body === null || Array.isArray(body)) return null;
  const members = Object.entries(body);
  if (!members.length || members.some(([, part]) => typeof part === "object" && part !== null)) return null;
  return members.map(([name, part]) => [name, String(part)]);
}

/**
 * A text as what stands before the address that holds an id, the address, and what stands after it.
 * @param {string} text
 * @param {string} id
 * @returns {[string, string, string]}
 */
export function aroundLink(text, id) {
  const at = text.indexOf(id);
  if (at < 0) return [text, "", ""];
  const limit = /[\s"'<>]/;
  let from = at;
  while (from > 0 && !limit.test(text[from - 1])) from--;
  let to = at + id.length;
  while (to < text.length && !limit.test(text[to])) to++;
  while (to > at + id.length && /[.,;:!?)]/.test(text[to - 1])) to--; // the sentence's, not the address's
  return [text.slice(0, from), text.slice(from, to), text.slice(to)];
}

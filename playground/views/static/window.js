// Long lists: which rows are worth mounting, and in which order. Pure functions.

/** @import { InvocationItem } from "./messages.js" */

/**
 * The rows a scrolled list has to mount: those in view, and a few more either way.
 * @param {number} scrolled
 * @param {number} height
 * @param {number} rowHeight
 * @param {number} count
 * @returns {{first: number, last: number}} the first, and the one after the last.
 */
export function rowsInView(scrolled, height, rowHeight, count, more = 4) {
  const first = Math.max(0, Math.min(count, Math.floor(scrolled / rowHeight)) - more);
  const last = Math.min(count, Math.ceil((scrolled + height) / rowHeight) + more);
  return { first: Math.min(first, last), last };
}

/**
 * Where a list has to be scrolled to so that a row can be seen; where it is, if it can be seen already.
 * @param {number} index
 * @param {number} scrolled
 * @param {number} height
 * @param {number} rowHeight
 */
export function scrollTo(index, scrolled, height, rowHeight) {
  const top = index * rowHeight;
  if (top < scrolled) return top;
  return top + rowHeight > scrolled + height ? top + rowHeight - height : scrolled;
}

/**
 * What a list of invocations can be reduced to.
 * @typedef {"all" | "unfinished" | "failed" | "completed"} Show
 */

/** @type {Record<Show, (item: InvocationItem) => boolean>} */
const SHOWS = {
  all: () => true,
  unfinished: (item) => item.status !== "completed",
  failed: (item) => item.failed || item.status === "backing-off" || item.status === "paused",
  completed: (item) => item.status === "completed",
};

/**
 * The ids of the invocations to list, newest first.
 * @param {Record<string, InvocationItem>} items
 * @param {Show} show
 * @param {string} words a target holds all of them, in any case of letters.
 */
export function listed(items, show, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  return Object.entries(items)
    .filter(([, item]) => SHOWS[show](item))
    .filter(([id, item]) => wanted.every((word) => item.target.text.toLowerCase().includes(word) || id.toLowerCase() === word))
    .sort(([, a], [, b]) => b.n - a.n)
    .map(([id]) => id);
}

/**
 * The row a key press leads to; null if the key means nothing to a list.
 * @param {string} key
 * @param {number} index
 * @param {number} count
 * @param {number} page
 */
export function rowAfter(key, index, count, page) {
  if (!count) return null;
  /** @type {Record<string, number | undefined>} */
  const moves = { ArrowDown: index + 1, ArrowUp: index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: count - 1 };
  const to = moves[key];
  return to === undefined ? null : Math.max(0, Math.min(count - 1, to));
}

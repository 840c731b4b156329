// The panel Queue: for each key a lock with its holder, and those that wait behind it. An invocation keeps its
// element from the back of the queue to the lock, so one sees it move.

import { calm, element } from "./live.js";
import { frame, freshId, icon, keyedList, labelled, line, plural, setText, statusMark } from "./kit.js";

/** @import { Queued, QueueItem } from "./messages.js" */
/** @import { Host, Shows } from "./kit.js" */

const CARDS = 12; // keys shown at once: those heard of last
const CHIPS = 6; // waiters drawn per key; the rest is counted
const MOVE = 220; // ms

/**
 * @param {Host} host
 * @param {string[]} pinned
 */
export function queuesPanel(host, pinned) {
  const panel = frame(host, "queue", "Queue");
  const words = element("input", { type: "search", autocomplete: "off" });
  const finder = labelled("Keys that contain", words);
  const empty = element("p", { class: "dp-empty", text: "No key of a virtual object was called yet. Each key has one lock: one invocation at a time holds it, the others wait." });
  const list = element("ul", { class: "dp-cards dp-queues", tabindex: 0, "aria-label": "queues by key" });
  const more = element("p", { class: "dp-quiet" });
  panel.body.append(finder, empty, list, more);
  const update = keyedList(list, () => keyCard());
  /** @type {Record<string, QueueItem>} */
  let last = {};

  /** @param {Record<string, QueueItem>} items */
  function draw(items) {
    last = items;
    const all = Object.keys(items).filter((id) => !pinned.length || pinned.includes(id));
    const word = words.value.trim().toLowerCase();
    const found = all.filter((id) => `${items[id].service}/${items[id].key}`.toLowerCase().includes(word));
    const busyFirst = (/** @type {string} */ id) => (items[id].holder || items[id].waitingCount ? 0 : 1);
    const chosen = new Set([...found].reverse().sort((a, b) => busyFirst(a) - busyFirst(b)).slice(0, CARDS));
    update(found.filter((id) => chosen.has(id)), (id) => items[id]); // where they were, so that none jumps
    finder.hidden = all.length <= 4 && !word;
    empty.hidden = all.length > 0;
    more.hidden = found.length <= CARDS;
    setText(more, `and ${plural(found.length - CARDS, "key")} more`);
    const waiting = all.reduce((sum, id) => sum + items[id].waitingCount, 0);
    panel.note(all.length ? `${plural(all.length, "key")}, ${waiting} waiting` : "");
  }
  words.addEventListener("input", () => draw(last));
  return { node: panel.node, draw };
}

/** @returns {Shows<QueueItem>} */
function keyCard() {
  const name = element("bdi", { class: "dp-name", id: freshId("key") });
  const done = element("span", { class: "dp-quiet" });
  const lock = element("span", { class: "dp-lock" }, icon("free"));
  const slot = element("ol", { class: "dp-slot" });
  const queue = element("ol", { class: "dp-waiting" });
  const more = element("p", { class: "dp-quiet" });
  const node = element("li", { class: "dp-card dp-key" },
    element("div", { class: "dp-row" }, name, done),
    element("div", { class: "dp-row" }, lock, slot), queue, more);
  slot.setAttribute("aria-label", "holds the lock");
  queue.setAttribute("aria-label", "wait for the lock, in order");
  /** @type {Map<string, ReturnType<typeof makeChip>>} */
  const chips = new Map();
  let said = "";

  /** @param {string} id */
  function makeChip(id) {
    const status = statusMark({ hidden: true });
    const text = element("bdi");
    const node = element("li", { class: "dp-chip", title: id }, status.node, text, element("span", { class: "dp-code dp-quiet", text: id.slice(-4) }));
    return { node, status, text };
  }

  /** @param {Queued} one */
  function chip(one) {
    const made = chips.get(one.id) ?? makeChip(one.id);
    chips.set(one.id, made);
    const { node, status, text } = made;
    status.set(one.status);
    setText(text, line(one.handler, 40));
    return node;
  }

  /** @param {QueueItem} item */
  function set(item) {
    const before = new Map([...chips].map(([id, one]) => [id, one.node.getBoundingClientRect()]));
    setText(name, line(`${item.service}/${item.key}`, 60));
    setText(done, `${item.done} done`);
    const says = item.holder ? "held by" : item.waitingCount ? "goes to the next" : "free";
    if (said !== says) {
      said = says;
      lock.replaceChildren(icon(item.holder ? "lock" : "free"), element("span", { text: says }));
      node.classList.toggle("dp-held", Boolean(item.holder));
    }
    const shown = item.waiting.slice(0, CHIPS);
    const ids = new Set([item.holder, ...shown].map((one) => one?.id));
    for (const [id, one] of chips) {
      if (ids.has(id)) continue;
      one.node.remove();
      chips.delete(id);
    }
    slot.replaceChildren(...(item.holder ? [chip(item.holder)] : []));
    queue.replaceChildren(...shown.map(chip));
    queue.hidden = !shown.length;
    more.hidden = item.waitingCount <= shown.length;
    setText(more, `and ${item.waitingCount - shown.length} more`);
    if (calm()) return;
    for (const [id, one] of chips) {
      const was = before.get(id);
      const is = one.node.getBoundingClientRect();
      if (!was || !was.width || (Math.abs(was.top - is.top) < 2 && Math.abs(was.left - is.left) < 2)) continue;
      one.node.animate([{ transform: `translate(${was.left - is.left}px, ${was.top - is.top}px)` }, { transform: "none" }], { duration: MOVE, easing: "ease-out" });
    }
  }
  return { node, set };
}

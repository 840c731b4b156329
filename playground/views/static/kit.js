// What panels are made of: a frame with a heading and a place for answers, buttons that say when they wait,
// lists that keep their elements, text from outside, icons. Text is only ever set as text.

import { element, messageOf } from "./live.js";

/** @import { BoardView, Clipped, Whole } from "./messages.js" */
/** @import { Acts, Props } from "./live.js" */

/**
 * What the page may ask the kernel of a board for, and which of it gives the whole of something.
 * @typedef {BoardView["actions"]} Actions
 * @typedef {{ [Name in keyof Actions]: Actions[Name]["answer"] extends Whole ? Name : never }[keyof Actions]} GivesWhole
 */

/**
 * What a panel has of its board: `live` is false without a kernel that acts; `show` shows an invocation in the list.
 * @typedef {{
 *   live: boolean,
 *   act: Acts<BoardView>,
 *   now: () => number,
 *   onBusy: (listener: (busy: boolean) => void) => void,
 *   show: (id: string) => void,
 * }} Host
 */

/**
 * Do an action; its answer, or null if it failed. Either way it is announced. The button is not pressed again
 * meanwhile; `called` says what it is called without one.
 * @typedef {<Name extends keyof Actions>(
 *   button: Element | null, action: Name, asked: Actions[Name]["asked"], called?: string,
 * ) => Promise<Actions[Name]["answer"] | null>} Run
 */

/**
 * A panel's frame; `note` says a few words beside the heading.
 * @typedef {{
 *   node: HTMLElement,
 *   body: HTMLElement,
 *   head: HTMLElement,
 *   heading: HTMLElement,
 *   run: Run,
 *   note: (text: string) => void,
 *   said: (text: string) => void,
 *   failed: (text: string) => void,
 * }} Frame
 */

let ids = 0;

/**
 * An id no other element in the page has.
 * @param {string} name
 */
export function freshId(name) {
  return `dp-${name}-${++ids}`;
}

/**
 * Set an element's text if it is another one: an unchanged text keeps a selection in it.
 * @param {Element} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Text from outside with its lines kept, and every mark that would act instead of being read written as \u….
 * @param {string} text
 */
export function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, (mark) =>
    mark === "\n" || mark === "\t" ? mark : `\\u${(mark.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * The same as one short line.
 * @param {string} text
 */
export function line(text, most = 80) {
  const shown = visible(text).replace(/\s+/g, " ");
  return shown.length > most ? shown.slice(0, most - 1) + "…" : shown;
}

/**
 * A duration: "0.3 s", "41 s", "3 min", "2 h".
 * @param {number} seconds
 */
export function lasting(seconds) {
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 100) return `${Math.floor(s)} s`;
  return s < 6000 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`;
}

/**
 * A count with its noun.
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun) {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}

// Each its own shape, so that none depends on its colour. Drawn on 14 × 14.
/** @type {Record<string, { ring?: string, path?: string, disc?: true, fill?: true, bold?: true }>} */
const ICONS = {
  pending: { ring: "3 2.4" },
  scheduled: { ring: "", path: "M7 3.8V7l2.2 1.6" },
  ready: { ring: "", path: "M5.6 4.4 9.8 7l-4.2 2.6z", fill: true },
  running: { disc: true, path: "M5.5 4.2 10 7l-4.5 2.8z", fill: true },
  "backing-off": { path: "M11.5 7a4.5 4.5 0 1 1-1.4-3.2M10.4 1.2v2.9H7.5" },
  suspended: { path: "M4.8 3v8M9.2 3v8", bold: true },
  paused: { path: "M3.5 3.5h7v7h-7z", fill: true },
  completed: { path: "m3 7.4 2.8 2.8L11 4.4", bold: true },
  failed: { path: "m3.6 3.6 6.8 6.8m0-6.8-6.8 6.8", bold: true },
  starting: { ring: "3 2.4", path: "M7 4v3.2h2.6" },
  stopping: { ring: "", path: "M5 7h4" },
  stopped: { path: "M3.5 3.5h7v7h-7z" },
  killed: { path: "m3.6 3.6 6.8 6.8m0-6.8-6.8 6.8", bold: true },
  crashed: { path: "M7 2.2v5.6M7 10.6v.8", bold: true },
  refused: { ring: "", path: "m3.4 3.4 7.2 7.2" },
  lock: { path: "M3.5 6.5h7v5h-7zM5 6.5V4.6a2 2 0 0 1 4 0v1.9" },
  free: { path: "M3.5 6.5h7v5h-7zM5 6.5V4a2 2 0 0 1 3.8-.8" },
  mail: { path: "M2 3.5h10v7H2zM2 4l5 3.8L12 4" },
  bolt: { path: "M8 1.5 3.5 8H7l-1 4.5L10.5 6H7z", fill: true },
  // a run of the crash atlas: ended with an error, says nothing, state differs; an effect that happened so often
  ended: { path: "M7 1.5 12.5 7 7 12.5 1.5 7z", fill: true },
  unknown: { path: "M1.5 7H4M5.8 7h2.4M10 7h2.5" },
  differs: { path: "M3 5.2h8M3 8.8h8M9.4 2.4 4.6 11.6" },
  never: { ring: "", path: "m10.2 3.8-6.4 6.4" },
  once: { path: "M7 3.4 10.8 10.5H3.2z", fill: true },
  twice: { path: "M3.8 3.8 6.7 10.5H.9zM10.2 3.8 13.1 10.5H7.3z", fill: true },
  often: { path: "M2.5 4.2 4.6 10.5H.4zM7 4.2 9.1 10.5H4.9zM11.5 4.2 13.6 10.5H9.4z", fill: true },
  happened: { path: "M7 2.2 12.4 11.6H1.6z", fill: true },
  repeated: { path: "M7 3 12 11.4H2z" },
  turned: { path: "M7 11.4 2 3H12z" },
  stop: { path: "M4.6 1.8h4.8l2.8 2.8v4.8l-2.8 2.8H4.6L1.8 9.4V4.6zM5 5l4 4m0-4L5 9" },
};

/**
 * An icon, as decoration: a text beside it says the same.
 * @param {string} name
 */
export function icon(name) {
  const shape = ICONS[name] ?? ICONS.pending;
  const svg = element("svg:svg", { viewBox: "0 0 14 14", class: `dp-icon dp-is-${name}`, "aria-hidden": "true" });
  if (shape.ring !== undefined) {
    svg.append(element("svg:circle", { cx: 7, cy: 7, r: 5, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-dasharray": shape.ring || null }));
  }
  if (shape.disc) svg.append(element("svg:circle", { cx: 7, cy: 7, r: 6, fill: "currentColor" }));
  if (shape.path) {
    svg.append(
      element("svg:path", {
        d: shape.path,
        fill: shape.fill ? (shape.disc ? "var(--dp-raised)" : "currentColor") : "none",
        stroke: shape.disc ? "none" : "currentColor",
        "stroke-width": shape.bold ? 2.2 : 1.4,
        "stroke-linecap": "round",
        "stroke-linejoin": "round",
      }),
    );
  }
  return svg;
}

/** A status with its shape and its word (for screen readers only, if hidden); `set` changes both. */
export function statusMark({ hidden = false } = {}) {
  const word = element("span", { class: hidden ? "dp-hidden" : null });
  let sign = icon("pending");
  const node = element("span", { class: "dp-status" }, sign, word);
  let shown = "";
  return {
    node,
    /**
     * @param {string} status
     * @param {boolean} [failed]
     */
    set(status, failed = false) {
      const text = failed ? "failed" : status;
      if (text === shown) return;
      shown = text;
      node.className = `dp-status dp-status-${text}`;
      const next = icon(text);
      sign.replaceWith(next);
      sign = next;
      word.textContent = text;
    },
  };
}

/**
 * Put a node where it belongs, if it is not there: a moved node would lose its focus and its scrolling.
 * @param {Element} parent
 * @param {Element} node
 * @param {Element | null} before
 */
function place(parent, node, before) {
  if (node.parentNode !== parent || node.nextSibling !== before) parent.insertBefore(node, before);
}

/**
 * An item's element, and what shows another item in it.
 * @template Item
 * @typedef {{ node: HTMLElement, set: (item: Item, id: string) => void, close?: () => void }} Shows
 */

/**
 * A list that keeps the element of each id while it is shown.
 * @template Item
 * @param {Element} parent
 * @param {(id: string) => Shows<Item>} make
 */
export function keyedList(parent, make) {
  /** @type {Map<string, Shows<Item> & { item?: Item }>} */
  const shown = new Map();
  /**
   * Show these, in this order.
   * @param {string[]} ids
   * @param {(id: string) => Item} itemOf
   */
  return function update(ids, itemOf) {
    const wanted = new Set(ids);
    for (const [id, one] of shown) {
      if (wanted.has(id)) continue;
      if (one.node.contains(document.activeElement)) parent.closest(".dp-panel")?.querySelector("h3")?.focus();
      one.node.remove();
      one.close?.();
      shown.delete(id);
    }
    /** @type {Element | null} */
    let before = null;
    for (const id of [...ids].reverse()) {
      const one = shown.get(id) ?? { item: undefined, ...make(id) };
      shown.set(id, one);
      const item = itemOf(id);
      if (one.item !== item) one.set((one.item = item), id); // items are replaced, never changed
      place(parent, one.node, before);
      before = one.node;
    }
  };
}

/**
 * A labelled control. It gets the id its label points to.
 * @param {string} text
 * @param {HTMLElement} control
 * @param {Props} props
 */
export function labelled(text, control, props = {}) {
  control.id ||= freshId("field");
  return element("div", { class: "dp-field", ...props }, element("label", { for: control.id, text }), control);
}

/**
 * Make a panel's frame.
 * @param {Host} host
 * @param {string} name
 * @param {string} title
 * @returns {Frame}
 */
export function frame(host, name, title) {
  const heading = element("h3", { id: freshId(name), text: title, tabindex: -1 });
  const note = element("span", { class: "dp-note" });
  const head = element("header", {}, heading, note);
  const body = element("div", { class: "dp-body" });
  const said = element("p", { class: "dp-said", role: "status" });
  const failed = element("p", { class: "dp-error", role: "alert" });
  const node = element("section", { class: `dp-panel dp-${name}`, "aria-labelledby": heading.id }, head, body, said, failed);
  /** @type {Set<string>} */
  const waiting = new Set();
  host.onBusy((busy) => {
    if (busy && waiting.size) said.textContent = `Kernel busy, queued: ${[...waiting].join(", ")}. It happens when the running cell ends.`;
  });
  /** @type {Run} */
  async function run(button, action, asked, called) {
    if (button?.getAttribute("aria-disabled") === "true") return null;
    const what = called ?? (button?.getAttribute("aria-label") || button?.textContent || action);
    button?.setAttribute("aria-disabled", "true");
    waiting.add(what);
    said.textContent = "";
    failed.textContent = "";
    try {
      const answer = await host.act(action, asked);
      said.textContent = "said" in answer ? visible(answer.said) : "";
      return answer;
    } catch (error) {
      said.textContent = "";
      failed.textContent = visible(messageOf(error));
      return null;
    } finally {
      waiting.delete(what);
      button?.removeAttribute("aria-disabled");
    }
  }
  return {
    node,
    body,
    head,
    heading,
    run,
    note: (text) => setText(note, text),
    said: (text) => setText(said, text),
    failed: (text) => setText(failed, text),
  };
}

/**
 * Text from outside: what was sent of it, and a way to see the rest.
 * @param {Frame} panel
 * @param {string} label
 */
export function valueView(panel, label) {
  const shown = element("bdi", { class: "dp-value" });
  const size = element("span", { class: "dp-quiet" });
  const more = element("button", { type: "button", class: "dp-link", text: "show all" });
  const node = element("span", { class: "dp-clipped" }, shown, size, more);
  /** @type {Clipped | null} */
  let clipped = null;
  /** @type {() => Promise<Whole | null>} */
  let ask = async () => null;
  /** @type {string | null} */
  let whole = null;
  function draw() {
    const text = whole ?? clipped?.text ?? "";
    setText(shown, visible(text) + (whole === null && clipped?.length ? "…" : ""));
    shown.classList.toggle("dp-tall", whole !== null);
    if (whole !== null) {
      shown.tabIndex = 0;
      shown.setAttribute("role", "group");
      shown.setAttribute("aria-label", label);
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) shown.removeAttribute(name);
    }
    more.hidden = !clipped?.length;
    setText(size, clipped?.length && whole === null ? ` ${clipped.length.toLocaleString("en")} characters ` : " ");
    setText(more, whole === null ? "show all" : "show less");
  }
  more.addEventListener("click", async () => {
    if (whole !== null) whole = null;
    else whole = (await ask())?.text ?? null;
    draw();
  });
  more.setAttribute("aria-label", `show all of ${label}`);
  return {
    node,
    /**
     * @template {GivesWhole} Name
     * @param {Clipped | null} next
     * @param {Name} action what gives the whole of it
     * @param {Actions[Name]["asked"]} asked
     */
    set(next, action, asked) {
      ask = () => panel.run(more, action, asked);
      if (next?.text === clipped?.text && next?.length === clipped?.length) return;
      clipped = next;
      whole = null;
      draw();
    },
  };
}

/**
 * A question with two answers, in place of what asked it. Escape is the second one.
 * @param {Element} place
 * @param {string | Node[]} question
 * @param {string} yes
 * @param {string} no
 * @returns {Promise<boolean>} whether it was agreed to.
 */
export function confirmed(place, question, yes, no, danger = false) {
  const before = document.activeElement;
  return new Promise((resolve) => {
    const text = element("div", { id: freshId("question") });
    text.append(...(Array.isArray(question) ? question : [question]));
    const agree = element("button", { type: "button", class: danger ? "dp-danger" : "dp-primary", text: yes });
    const keep = element("button", { type: "button", text: no });
    const node = element("div", { class: "dp-confirm", role: "group", "aria-labelledby": text.id }, text, element("div", { class: "dp-actions" }, agree, keep));
    /** @param {boolean} answer */
    function end(answer) {
      const hadFocus = node.contains(document.activeElement);
      node.remove();
      if (hadFocus && before instanceof HTMLElement && before.isConnected) before.focus();
      resolve(answer);
    }
    agree.addEventListener("click", () => end(true));
    keep.addEventListener("click", () => end(false));
    node.addEventListener("keydown", (event) => event.key === "Escape" && end(false));
    place.replaceChildren(node);
    keep.focus();
  });
}

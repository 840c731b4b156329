// The page's end of a live widget (see live.py): keeps the picture up to date, sends actions, follows
// the theme. It holds the *picture* object the widget's model holds and changes it in place, so that a
// second view of the same widget starts with all that the first one knows.

/** @import { Act, Answer, Closed, Delta, Have, Here, Refusal, Snapshot, Update } from "./messages.js" */

/**
 * What a view's kernel and its page say to each other (LensView, AtlasView and BoardView in messages.d.ts).
 * @typedef {{
 *   values: Record<string, unknown>,
 *   tables: Tables,
 *   changed: Tables,
 *   actions: Record<string, { asked: Record<string, unknown>, answer: unknown }>,
 * }} View
 * @typedef {Record<string, Record<string, unknown> | undefined>} Tables
 */

/**
 * Asks the kernel to do something: a promise of its answer, rejected with an Error that holds its text.
 * @template {View} V
 * @typedef {<Name extends keyof V["actions"] & string>(name: Name, asked: V["actions"][Name]["asked"]) => Promise<V["actions"][Name]["answer"]>} Acts
 */

/**
 * The connection of a view to its kernel; `now` gives Unix seconds on the kernel's clock, `close` says that the view is gone.
 * @template {View} V
 * @typedef {{ picture: Snapshot<V["values"], V["tables"]>, act: Acts<V>, now: () => number, close: () => void }} Wire
 */

/**
 * anywidget's model, as far as a view uses it; `Traits` are the widget's own.
 * @template {View} V
 * @template {object} [Traits={}]
 * @typedef {{
 *   get: <Name extends keyof (Traits & State<V>)>(name: Name) => (Traits & State<V>)[Name],
 *   send: (message: Have | Closed | Act) => void,
 *   on: (event: "msg:custom", listener: (message: Heard<V>) => void) => void,
 *   off: (event: "msg:custom", listener: (message: Heard<V>) => void) => void,
 * }} Model
 */

/**
 * @template {View} V
 * @typedef {{ snapshot: Snapshot<V["values"], V["tables"]> }} State
 */

/**
 * What a view hears of its kernel.
 * @template {View} V
 * @typedef {Update<Delta<V["values"], V["changed"]>> | Here | Answer | Refusal} Heard
 */

const BUSY_AFTER = 300; // ms without an answer until the page says that the kernel is busy

/**
 * Bring a picture up to date with a delta, in place. Items are whole; null takes one away.
 * @param {Snapshot<Record<string, unknown>, Tables>} picture
 * @param {Pick<Update<Delta<Record<string, unknown>, Tables>>, "from" | "to" | "data" | "whole">} delta
 * @returns {boolean} false if the delta begins after what the picture knows: something was missed.
 */
export function applyDelta(picture, delta) {
  if (delta.from > picture.at) return false;
  if (delta.to <= picture.at) return true; // another view of this widget has applied it
  Object.assign((picture.values ??= {}), delta.data.values);
  picture.tables ??= {};
  if (delta.whole) {
    for (const [name, table] of Object.entries(picture.tables)) {
      const items = ((delta.data.tables ??= {})[name] ??= {});
      for (const key of Object.keys(table ?? {})) items[key] ??= null; // what the whole picture lacks is gone
    }
  }
  for (const [name, items] of Object.entries(delta.data.tables ?? {})) {
    const table = (picture.tables[name] ??= {});
    for (const [key, item] of Object.entries(items ?? {})) {
      if (item === null) delete table[key];
      else table[key] = item;
    }
  }
  picture.at = delta.to;
  return true;
}

/**
 * Connect a view to its kernel.
 * @template {View} V
 * @param {Model<V>} model
 * @param {object} [listeners]
 * @param {(data: Delta<V["values"], V["changed"]>) => void} [listeners.onChange] called with the delta's data after
 *   the picture has changed.
 * @param {(busy: boolean, heard: boolean) => void} [listeners.onBusy] called with true while an action waits for a
 *   busy kernel, with false when none does; and with whether a kernel has ever answered: a view restored from a saved
 *   notebook may have none.
 * @returns {Wire<V>}
 */
export function connect(model, { onChange = () => {}, onBusy = () => {} } = {}) {
  const picture = model.get("snapshot");
  const view = crypto.getRandomValues(new Uint32Array(2)).join("-");
  /** @type {Map<string, { resolve: (value: any) => void, reject: (error: Error) => void, late: boolean, timer: number }>} */
  const pending = new Map(); // any: an answer is what its action gives, which the kernel's types say
  let clock = picture.now - Date.now() / 1000;
  let asked = 0;
  let lastId = 0;
  let heard = false;

  /** @param {Have | Closed | Act} message */
  function say(message) {
    try {
      model.send(message);
    } catch {
      // the kernel is gone; what is shown stays
    }
  }

  function ask() {
    asked = picture.at;
    say({ type: "have", view, at: picture.at });
  }

  function busy() {
    onBusy([...pending.values()].some((action) => action.late), heard);
  }

  /** @param {Heard<V>} message */
  function receive(message) {
    heard = true;
    if (message.type === "delta") {
      clock = message.now - Date.now() / 1000;
      if (applyDelta(picture, message)) onChange(message.data);
      else if (asked !== picture.at) ask(); // once per gap: the answer may have to wait for a cell
    } else if (message.type === "answer") {
      const action = pending.get(message.id);
      if (!action) return;
      pending.delete(message.id);
      clearTimeout(action.timer);
      busy();
      if ("error" in message) action.reject(new Error(message.error));
      else action.resolve(message.value);
    }
  }

  /** @type {Acts<V>} */
  function act(name, asked) {
    return new Promise((resolve, reject) => {
      const id = `${view}/${++lastId}`;
      const timer = setTimeout(() => {
        action.late = true;
        busy();
      }, BUSY_AFTER);
      const action = { resolve, reject, late: false, timer };
      pending.set(id, action);
      say({ type: "act", view, id, name, data: asked });
    });
  }

  function close() {
    model.off("msg:custom", receive);
    for (const action of pending.values()) clearTimeout(action.timer);
    pending.clear();
    say({ type: "closed", view });
  }

  model.on("msg:custom", receive);
  ask();
  return { picture, act, close, now: () => Date.now() / 1000 + clock };
}

/**
 * An element's attributes; `on…` are listeners, `text` is the text content, false and null are left out.
 * @typedef {{ [name: string]: string | number | boolean | null | undefined | Function } & Listeners & { text?: string }} Props
 * @typedef {{ [Name in keyof HTMLElementEventMap as `on${Name}`]?: (event: HTMLElementEventMap[Name]) => void }} Listeners
 */

/**
 * What a tag makes; "svg:path" and the like are SVG elements.
 * @template {string} Tag
 * @typedef {Tag extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[Tag]
 *   : Tag extends `svg:${string}` ? SVGElement : HTMLElement | SVGElement} Made
 */

/**
 * Make an element. Text is only ever set as text, never parsed.
 * @template {string} Tag
 * @param {Tag} tag
 * @param {Props} props
 * @param {...(Node | null | undefined)} children
 */
export function element(tag, props = {}, ...children) {
  const svg = tag.startsWith("svg:");
  const made = svg
    ? /** @type {SVGElement} */ (document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "text") made.textContent = String(value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return /** @type {Made<Tag>} */ (made);
}

/**
 * The element an event happened to.
 * @param {Event} event
 */
export function targetOf(event) {
  return /** @type {Element} */ (event.target);
}

/**
 * What went wrong, in words.
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Text from outside as one line that cannot act: control and direction marks become spaces, long text is cut.
 * @param {unknown} text
 */
export function clean(text, most = 120) {
  const line = String(text).slice(0, most + 1).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, " ");
  return line.length > most ? line.slice(0, most - 1) + "…" : line;
}

/**
 * Mark an element `data-theme="light|dark"`, as JupyterLab, VS Code or the browser has it, and keep it so.
 * @param {HTMLElement} root
 * @returns a function that stops it.
 */
export function followTheme(root) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const body = document.body;
  function look() {
    const lab = body.dataset.jpThemeLight; // JupyterLab: "true" or "false"
    const code = body.dataset.vscodeThemeKind; // VS Code: "vscode-dark", "vscode-light", …
    const isDark = lab ? lab === "false" : code ? code.includes("dark") || code === "vscode-high-contrast" : dark.matches;
    root.dataset.theme = isDark ? "dark" : "light";
  }
  const watch = new MutationObserver(look);
  watch.observe(body, { attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });
  dark.addEventListener("change", look);
  look();
  return () => {
    watch.disconnect();
    dark.removeEventListener("change", look);
  };
}

/** Whether the reader asked for less motion. */
export function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

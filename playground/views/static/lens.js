// The replay lens: what it shows and how it is put together. The picture (model.py) holds every moment of
// an invocation; `state` says which moment and which part of it is looked at; `draw` brings the two onto
// the page, at most once per frame. Nothing else writes to the page.

import { calm, element, followTheme, messageOf } from "./live.js";
import { index, podToKill, span, statusAt, summaryAt } from "./moment.js";
import { axis, points, rows, shownTraces } from "./layout.js";
import { makeBoard } from "./lens-board.js";
import { makeControls } from "./lens-controls.js";
import { makeDetails } from "./lens-details.js";

/** @import { Details, LensChanged, LensTables, LensValues, LensView, Delta, Picture } from "./messages.js" */
/** @import { Acts } from "./live.js" */
/** @import { Axis, Row } from "./layout.js" */
/** @import { Found } from "./moment.js" */

/**
 * Where a lens has what it shows, and what acts for it (see `connect`).
 * `actions` tells whether there is a kernel to act; `running` whether more may happen; `now` is in Unix seconds;
 * `expanded` are ids of calls that are shown open.
 * @typedef {{
 *   picture: Picture<LensValues, LensTables>,
 *   entry: (id: string) => Promise<Details>,
 *   act: Acts<LensView>,
 *   actions: () => boolean,
 *   running: () => boolean,
 *   now: () => number,
 *   expanded?: string[],
 * }} Live
 */

/**
 * What is looked at: `t` is the moment, null for now, and following; `selected` is an entry's id; with `follow` the
 * rows scroll along with what happens.
 * @typedef {{
 *   t: number | null,
 *   collapsed: boolean,
 *   zoom: number,
 *   pan: number,
 *   expanded: Set<string>,
 *   selected: string | null,
 *   focus: { row: number, column: number },
 *   follow: boolean,
 * }} State
 */

/**
 * What is drawn: the rows, from when to when, the time axis. `t` is the moment, Infinity for now; `moment` its time.
 * @typedef {{ shown: Row[], from: number, to: number, growing: boolean, scale: Axis, t: number, moment: number }} Looked
 */

/**
 * Where that is on the page, in px: the width of what stands left of the plot, the plot's, the place of a time in it,
 * the time at a place; `extent` is where the whole axis begins and ends.
 * @typedef {{
 *   side: number,
 *   plot: number,
 *   x: (t: number) => number,
 *   time: (x: number) => number,
 *   extent: [number, number],
 * }} Measures
 */

/**
 * What the parts of a lens share.
 * @typedef {{
 *   live: Live,
 *   state: State,
 *   readonly found: Found,
 *   readonly view: Looked & Measures,
 *   draw: () => void,
 *   select: (id: string | null) => void,
 *   zoomBy: (factor: number, around?: number) => void,
 * }} Lens
 */

/** @type {Record<string, string | undefined>} */
const STATUS_SIGNS = {
  completed: "✓", running: "▸", suspended: "‖", "backing-off": "↻", paused: "■", pending: "…", scheduled: "◷", ready: "…",
};

const BUSY = "Kernel busy: queued. A cell is running; what you clicked happens when it ends.";

/**
 * Build a lens into an element.
 * @param {HTMLElement} root an empty element.
 * @param {Live} live
 */
export function mountLens(root, live) {
  /** @type {State} */
  const state = {
    t: null,
    collapsed: true,
    zoom: 1,
    pan: 0,
    expanded: new Set(live.expanded),
    selected: null,
    focus: { row: 0, column: 0 },
    follow: live.running(),
  };
  let found = index(live.picture);
  let stale = false;
  let frame = 0;
  let timer = 0;
  /** @type {Looked & Measures} */
  let view; // there is one as soon as something is drawn

  const title = element("h3", { class: "lens-title" });
  const status = element("span", { class: "lens-status" });
  const summary = element("span", { class: "lens-summary" });
  const killButton = element("button", { class: "dp-danger lens-kill", type: "button", onclick: kill });
  const error = element("p", { class: "dp-error", role: "alert" });
  const busyNote = element("p", { class: "dp-busy", role: "status" });
  const spoken = element("p", { class: "dp-hidden", "aria-live": "polite" });
  const header = element("header", { class: "lens-header" }, title, status, summary, killButton);

  /** @type {Lens} */
  const say = {
    live, state, draw: schedule, select, zoomBy,
    get found() { return /** @type {Found} */ (found); }, // nothing is drawn before there is one
    get view() { return view; },
  };
  const board = makeBoard(say);
  const controls = makeControls(say);
  const details = makeDetails(say);
  root.classList.add("dp", "lens");
  root.setAttribute("role", "group");
  const foot = element("footer", { class: "lens-foot" }, legend(), controls.scale);
  root.replaceChildren(header, busyNote, error, board.element, controls.time, details.element, foot, spoken);

  /**
   * @param {Found} found
   * @returns {Looked}
   */
  function look(found) {
    const shown = rows(found.root, found.traces, state.expanded);
    const [from, ended] = span(found);
    const growing = ended === Infinity && live.running();
    const until = Math.max(found.values.until, from + 1e-3);
    const to = ended < Infinity ? Math.max(ended, from + 1e-3) : growing ? Math.max(live.now() - found.values.origin, until) : until;
    const scale = axis(points(found, shownTraces(found.root, shown), from, to), state.collapsed);
    return { shown, from, to, growing, scale, t: state.t ?? Infinity, moment: state.t ?? to };
  }

  function draw() {
    frame = 0;
    if (stale) found = index(live.picture);
    stale = false;
    if (!found) return;
    const looked = look(found);
    view = { ...looked, ...board.measure(looked) };
    const { root: trace } = found;
    const name = statusAt(trace, view.t) ?? "not sent yet";
    const line = summaryAt(found, view.t);
    set(title, trace.target);
    root.setAttribute("aria-label", `Replay lens: ${trace.target}`);
    set(status, STATUS_SIGNS[name] ?? "·");
    status.dataset.status = trace.failure && name === "completed" ? "failed" : name;
    if (set(summary, line) && state.t === null) spoken.textContent = line;
    drawKill(found);
    board.draw();
    controls.draw();
    details.draw();
    clearTimeout(timer);
    if (view.growing && state.t === null) timer = setTimeout(schedule, pace(name));
  }

  /** @param {string} name */
  function pace(name) {
    if (document.hidden) return 2000;
    if (calm()) return 1000;
    return name === "running" ? 60 : 250;
  }

  /** @param {Found} found */
  function drawKill(found) {
    const pod = live.actions() ? podToKill(found) : null;
    killButton.hidden = !live.actions();
    killButton.disabled = !pod;
    killButton.dataset.pod = pod?.name ?? "";
    set(killButton, pod ? `⚡ kill pod ${pod.name}` : "⚡ kill pod: none runs");
    killButton.title = pod ? `SIGKILL: ${pod.label} ends at once. The invocation goes on, on another pod.` : "";
  }

  async function kill() {
    error.textContent = "";
    try {
      await live.act("kill pod", { pod: killButton.dataset.pod ?? "" });
    } catch (problem) {
      error.textContent = messageOf(problem);
    }
  }

  /**
   * @param {number} factor
   * @param {number} [around]
   */
  function zoomBy(factor, around) {
    controls.zoomBy(factor, around);
  }

  /** @param {string | null} id */
  function select(id) {
    state.selected = state.selected === id ? null : id;
    schedule();
  }

  function schedule() {
    frame ||= requestAnimationFrame(draw);
  }

  const stopTheme = followTheme(root);
  const sizes = new ResizeObserver(schedule);
  sizes.observe(root);
  schedule();

  return {
    /** @param {Delta<LensValues, LensChanged>} data */
    changed(data) {
      stale = true;
      details.changed(data);
      schedule();
    },
    /**
     * @param {boolean} yes
     * @param {boolean} [heard]
     */
    busy(yes, heard) {
      const why = heard ? BUSY : "No kernel has answered yet: it is busy, or it is gone.";
      set(busyNote, yes ? why : "");
    },
    close() {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      sizes.disconnect();
      stopTheme();
      controls.close();
      root.replaceChildren();
    },
  };
}

/**
 * Set a text only if it is another one; returns whether it was.
 * @param {Element} target
 * @param {string} text
 */
function set(target, text) {
  if (target.textContent === text) return false;
  target.textContent = text;
  return true;
}

function legend() {
  const entries = [
    ["executed", "executed now"],
    ["replayed", "replayed from the journal"],
    ["cut-off", "cut off: its pod was killed"],
    ["failed", "failed, to be tried again"],
    ["wait", "suspended, awaiting"],
    ["effect", "reached the outside world"],
    ["effect repeated", "asked again: known by its key"],
    ["effect refused", "refused: nothing happened"],
    ["cold", "cold start"],
    ["stopped", "pod stopped"],
  ];
  const items = entries.map(([sign, text]) =>
    element("li", {}, element("i", { class: `lens-sign ${sign}`, "aria-hidden": "true" }), document.createTextNode(text)),
  );
  return element("ul", { class: "lens-legend", "aria-label": "Legend" }, ...items);
}

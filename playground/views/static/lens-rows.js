// The rows: one for each journal entry, a cell for each attempt that did something with it. Only the rows
// that can be seen are on the page; they are found again by their entry as it scrolls.
//
// The keyboard walks it as a tree grid: up and down through the entries, right into a row's attempts (or a
// closed call first), left back, Enter for the details.

import { clean, element, targetOf } from "./live.js";
import { cellText, duration, effectWord, failedForGood, markAt, outcomeAt, waitsAt } from "./moment.js";
import { visible } from "./layout.js";
import { dress, paint, px } from "./lens-paint.js";

/** @import { Mark } from "./messages.js" */
/** @import { Row } from "./layout.js" */
/** @import { Spec, Style } from "./lens-paint.js" */
/** @import { Lens } from "./lens.js" */
/** @import { Attempt, Entry, MarkThen, Wait } from "./moment.js" */

const MOST_HEIGHT = 460; // px of rows before they scroll
const ROOMY = 40; // rows up to which there is room for two lines each
const REPLAY = 11; // px after an attempt's start: its column of replayed marks
const MOST_CELLS = 160;
/** @type {Record<string, string | undefined>} */
const ENDS = { "cut off": "cross", failed: "diamond" };

/** @param {Lens} lens */
export function makeRows(lens) {
  const { state } = lens;
  const body = element("div", { class: "lens-rows", role: "presentation" });
  const scroll = element("div", { class: "lens-scroll", role: "rowgroup", onscroll: scrolled, onclick: click }, body);
  /** @type {Map<string, { element: HTMLElement, name: HTMLElement, cells: HTMLElement }>} */
  const mounted = new Map(); // by the entry's id
  let height = 38;
  let scrolledTo = 0; // where it was last seen or put
  let grabbing = false; // whether the focus should follow when the focused cell is there

  /** Scrolled by the reader, it stays where it is. */
  function scrolled() {
    if (Math.abs(scroll.scrollTop - scrolledTo) > 1) state.follow = false;
    scrolledTo = scroll.scrollTop;
    lens.draw();
  }

  /** @param {number} top */
  function scrollTo(top) {
    scroll.scrollTop = top;
    scrolledTo = scroll.scrollTop;
  }

  function draw() {
    const { view } = lens;
    height = lens.found.root.entries.length > ROOMY ? 26 : 38;
    scroll.classList.toggle("compact", height < 30);
    scroll.style.height = px(Math.min(MOST_HEIGHT, Math.max(1, view.shown.length) * height));
    body.style.height = px(view.shown.length * height);
    if (state.follow) followAlong();
    state.focus.row = Math.min(Math.max(0, state.focus.row), Math.max(0, view.shown.length - 1));
    const [first, last] = visible(scroll.scrollTop, scroll.clientHeight, height, view.shown.length);
    const wanted = new Set();
    for (let position = first; position < last; position += 1) wanted.add(position);
    // The focused row stays, or the focus would be lost as it scrolls away.
    if (view.shown.length && scroll.contains(document.activeElement)) wanted.add(state.focus.row);
    const kept = new Set([...wanted].map((position) => view.shown[position].entry.id));
    for (const [id, row] of mounted) {
      if (kept.has(id)) continue;
      row.element.remove();
      mounted.delete(id);
    }
    let budget = MOST_CELLS;
    for (const position of [...wanted].sort((a, b) => a - b)) budget -= drawRow(view.shown[position], position, budget);
    if (grabbing) grab();
  }

  /** Keep in view what the latest attempt has come to. */
  function followAlong() {
    const { view, found } = lens;
    if (view.shown.length * height <= MOST_HEIGHT) return;
    const latest = found.root.attempts.findLast((attempt) => attempt.at <= view.t);
    const position = latest ? view.shown.findLastIndex(({ entry }) => entry.trace === found.root && markAt(entry, latest, view.t)) : 0;
    const top = position * height;
    if (top < scroll.scrollTop || top + 2 * height > scroll.scrollTop + scroll.clientHeight) {
      scrollTo(Math.max(0, top - scroll.clientHeight + 2 * height));
    }
  }

  /**
   * @param {Row} shown
   * @param {number} position
   * @param {number} budget how many cells may still be drawn
   */
  function drawRow(shown, position, budget) {
    const { entry, level, child } = shown;
    let row = mounted.get(entry.id);
    if (!row) {
      const name = element("div", { class: "lens-name", role: "rowheader" });
      const cells = element("div", { class: "lens-cells", role: "presentation" });
      row = { element: element("div", { class: "lens-row", role: "row" }, name, cells), name, cells };
      mounted.set(entry.id, row);
      body.append(row.element);
    }
    const expanded = state.expanded.has(entry.id);
    const { t } = lens.view;
    const reached = Object.values(entry.marks).filter((mark) => mark[1] <= t);
    const ahead = !reached.length;
    dress(row.element, {
      class: `lens-row ${level > 1 ? "nested" : ""} ${ahead ? "ahead" : ""}`,
      role: "row", "data-entry": entry.id, "aria-rowindex": position + 2, "aria-level": level,
      "aria-expanded": child ? String(expanded) : null, "aria-selected": String(state.selected === entry.id),
      style: { top: px(position * height), height: px(height), "--level": String(level - 1) },
    });
    const focused = state.focus.row === position;
    const label = entry.label || (ahead ? "" : preview(entry, reached));
    dress(row.name, {
      class: "lens-name", role: "rowheader", "data-column": 0, tabindex: focused && state.focus.column === 0 ? 0 : -1,
      title: clean(`${entry.type} ${label}`, 300),
    });
    paint(row.name, [
      ["span", { class: "lens-index" }, entry.row.startsWith("e") ? entry.row.slice(1) : "·"],
      ["span", { class: "lens-toggle", "aria-hidden": "true" }, child ? (expanded ? "▾" : "▸") : ""],
      ["b", {}, entry.type],
      ["span", { class: `lens-label ${entry.label ? "" : "value"}` }, clean(label, 90)],
    ]);
    /** @type {Spec[]} */
    const specs = [];
    for (const attempt of entry.trace.attempts) {
      const grabbed = focused && state.focus.column === attempt.number;
      const spec = specs.length < budget || grabbed ? cell(entry, attempt, grabbed) : null;
      if (spec) specs.push(spec);
    }
    paint(row.cells, specs);
    return specs.length;
  }

  /**
   * @param {Entry} entry
   * @param {Attempt} attempt
   * @param {boolean} grabbed whether it has the focus
   * @returns {Spec | null}
   */
  function cell(entry, attempt, grabbed) {
    const { view } = lens;
    const { t, moment } = view;
    const mark = markAt(entry, attempt, t);
    const waits = waitsAt(entry, t).filter((wait) => wait.attempt === attempt);
    if (!mark && !waits.length && !(grabbed && attempt.at <= t)) return null;
    const start = view.x(attempt.at);
    const end = view.x(Math.min(attempt.end ?? Infinity, moment));
    if (!grabbed && (start > view.plot + 20 || Math.max(end, ...waits.map((w) => view.x(w.to))) < -20)) return null;
    /** @type {Spec[]} */
    const inside = [];
    /** @type {Style} */
    const style = { left: px(start), width: px(Math.max(14, end - start)) };
    /** @type {Spec[1]} */
    const props = {
      class: `lens-cell c${((Math.max(1, attempt.ordinal) - 1) % 4) + 1}`, role: "gridcell", "aria-colindex": attempt.number + 1,
      "data-column": attempt.number, "data-how": mark ? mark.how.replace(" ", "-") : "none",
      "aria-label": `${entry.type} ${clean(entry.label, 80)}, ${cellText(entry, attempt, t)}`.replace(" ,", ","),
      tabindex: grabbed ? 0 : -1,
      title: cellText(entry, attempt, t),
    };
    if (mark) {
      const at = mark.how === "replayed" ? REPLAY : view.x(mark.at) - start;
      const long = Math.max(0, view.x(mark.until) - start - at);
      style["--x"] = px(at);
      const told = mark.how === "replayed" ? mark.open || mark.until - mark.at > 0.002 : mark.until > mark.at;
      if (told && long > 2) {
        const took = long > 44 ? duration(Math.min(mark.until, moment) - mark.at) : "";
        const waiting = entry.type === "Sleep" ? "waiting" : "";
        inside.push(["span", { class: `lens-bar ${waiting} ${mark.open ? "open" : ""}`, "data-took": took, style: { left: px(at), width: px(long) } }]);
      }
      style["--e"] = px(ending(entry, attempt, mark) ? at + Math.max(long, 15) : at + long);
      props["data-end"] = ending(entry, attempt, mark) || ENDS[mark.how === "executed" && failedForGood(entry, mark) ? "failed" : mark.how];
    }
    for (const wait of waits) {
      const [from, to] = [view.x(wait.from) - start, view.x(wait.to) - start];
      inside.push(["span", { class: `lens-wait ${wait.over ? "" : "open"}`, "data-told": told(entry, wait), style: { left: px(from), width: px(Math.max(0, to - from)) } }]);
    }
    for (const effect of entry.effects) {
      if (effect.attempt !== attempt.number || effect.at > t) continue;
      inside.push(["i", { class: `lens-sign effect ${effectWord(effect)}`, style: { left: px(view.x(effect.at) - start) } }]);
    }
    return ["div", { ...props, style }, inside];
  }

  /**
   * What stands at the end of an output: that the invocation is completed, and how.
   * @param {Entry} entry
   * @param {Attempt} attempt
   * @param {MarkThen} mark
   */
  function ending(entry, attempt, mark) {
    if (entry.type !== "Output" || mark.how !== "executed") return null;
    if (outcomeAt(attempt, lens.view.t) !== "completed") return null;
    return entry.failure ? "stop" : "check";
  }

  /**
   * What became of a wait, if that is worth a word.
   * @param {Entry} entry
   * @param {Wait} wait
   */
  function told(entry, wait) {
    if (!wait.over) return "awaiting";
    const answered = entry.marks[wait.attempt.number + 1]?.[0] === "replayed";
    return entry.type === "Awakeable" && answered ? (entry.failure ? "rejected" : "resolved") : "";
  }

  /**
   * What stands for an entry without a name: its value, once it is there.
   * @param {Entry} entry
   * @param {Mark[]} reached
   */
  function preview(entry, reached) {
    if (entry.type === "Input" || entry.type === "Output") return entry.failure?.[1] ?? entry.in ?? "";
    return reached.some(([how]) => how !== "awaited") ? entry.failure?.[1] ?? entry.out ?? "" : "";
  }

  // -- pointer and keyboard -------------------------------------------------------------------------

  /** @param {Event} event */
  function click(event) {
    const clicked = targetOf(event);
    /** @type {HTMLElement | null} */
    const target = clicked.closest("[data-column]");
    /** @type {HTMLElement | null} */
    const row = clicked.closest(".lens-row");
    if (!row) return;
    const position = Number(row.getAttribute("aria-rowindex")) - 2;
    state.focus = { row: position, column: Number(target?.dataset.column ?? 0) };
    if (clicked.closest(".lens-toggle") && lens.view.shown[position].child) toggle(position);
    else lens.select(row.dataset.entry ?? null);
  }

  /** @param {number} position */
  function toggle(position) {
    const { id } = lens.view.shown[position].entry;
    if (!state.expanded.delete(id)) state.expanded.add(id);
    lens.draw();
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    const { shown } = lens.view;
    const { row, column } = state.focus;
    const at = shown[row];
    if (!at || event.altKey || event.metaKey) return;
    const last = shown.length - 1;
    const page = Math.max(1, Math.floor(scroll.clientHeight / height) - 1);
    const columns = at.entry.trace.attempts.filter((attempt) => attempt.at <= lens.view.t).length;
    const open = state.expanded.has(at.entry.id);
    /** @type {Record<string, (() => void) | undefined>} */
    const moves = {
      ArrowDown: () => go(row + 1, column),
      ArrowUp: () => go(row - 1, column),
      PageDown: () => go(row + page, column),
      PageUp: () => go(row - page, column),
      Home: () => (event.ctrlKey ? go(0, column) : go(row, 0)),
      End: () => (event.ctrlKey ? go(last, column) : go(row, columns)),
      ArrowRight: () => (column === 0 && at.child && !open ? toggle(row) : go(row, Math.min(columns, column + 1))),
      ArrowLeft: () => {
        if (column > 0) go(row, column - 1);
        else if (at.child && open) toggle(row);
        else if (at.level > 1) go(shown.findLastIndex((other, n) => n < row && other.level < at.level), 0);
      },
      Enter: () => lens.select(at.entry.id),
      " ": () => lens.select(at.entry.id),
      Escape: () => lens.select(state.selected),
      "+": () => lens.zoomBy(1.6),
      "-": () => lens.zoomBy(1 / 1.6),
      0: () => lens.zoomBy(0),
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has commands on the same keys
    move();
  }

  /**
   * @param {number} row
   * @param {number} column
   */
  function go(row, column) {
    const { shown, plot, x } = lens.view;
    state.focus.row = Math.min(Math.max(0, row), shown.length - 1);
    const { entry } = shown[state.focus.row];
    state.focus.column = Math.min(column, entry.trace.attempts.length);
    state.follow = false;
    const top = state.focus.row * height;
    if (top < scroll.scrollTop) scrollTo(top);
    else if (top + height > scroll.scrollTop + scroll.clientHeight) scrollTo(top + height - scroll.clientHeight);
    const attempt = entry.trace.attempts[state.focus.column - 1];
    const seen = attempt ? x(entry.marks[attempt.number]?.[1] ?? attempt.at) : 0;
    if (seen < 0 || seen > plot) state.pan += seen - plot / 3;
    grabbing = true;
    lens.draw();
  }

  function grab() {
    grabbing = false;
    const shown = lens.view.shown[state.focus.row];
    const row = shown && mounted.get(shown.entry.id);
    /** @type {HTMLElement | null | undefined} */
    const target = row?.cells.querySelector(`[data-column="${state.focus.column}"]`) ?? row?.name;
    target?.focus({ preventScroll: true });
  }

  return {
    element: scroll,
    draw,
    key,
    /** Width of the scroll bar. */
    gutter: () => scroll.offsetWidth - scroll.clientWidth,
    /** Where the rows are on the board, in px. */
    box() {
      const top = scroll.offsetTop;
      return { top, bottom: top + scroll.clientHeight, y: (/** @type {number} */ position) => top + position * height - scroll.scrollTop };
    },
  };
}

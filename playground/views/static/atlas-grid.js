// The grid of runs. All lines are of one height and only those in view are on the page, so that a sweep over
// hundreds of points scrolls as lightly as one over ten.
//
// The grid itself has the focus, and names the active cell: that stays true however its rows come and go.

import { clean, element, targetOf } from "./live.js";
import { freshId, icon } from "./kit.js";
import { rowAfter, rowsInView, scrollTo } from "./window.js";
import { lines, placed } from "./atlas-lines.js";

/** @import { AtlasTables, AtlasValues, Picture } from "./messages.js" */
/** @import { Line } from "./atlas-lines.js" */

/** @type {Record<string, string | undefined>} */
const SIGNS = { right: "completed", wrong: "failed", failed: "ended", stuck: "suspended" }; // the kit's icons
const ROW = 26; // px of a line
const PAIR = 42; // of one with two places
const MOST = 472; // of all lines before they scroll: in the middle of one, so that it shows
const MOST_BESIDE = 290; // while a run is looked at

/**
 * @param {Picture<AtlasValues, AtlasTables>} picture
 * @param {(id: string | null) => void} open called with the id of the run to be looked at, or null for none.
 */
export function makeGrid({ values, tables }, open) {
  const height = Object.values(tables.rows).some((row) => row.places.length > 1) ? PAIR : ROW;
  const { columns } = values;
  const head = element("div", { class: "atlas-row atlas-head", role: "row", "aria-rowindex": 1 }, ...columns.map(([name, usual]) => element(
    "div", { role: "columnheader", title: clean(name, 200) },
    element("bdi", { text: clean(name, 60) }), usual ? element("span", { class: "atlas-usual", text: usual }) : null,
  )));
  const body = element("div", { class: "atlas-rows", role: "rowgroup" });
  const node = element("div", {
    class: "atlas-grid", role: "grid", tabindex: 0, "aria-label": "Runs, and what came of them", "aria-readonly": "true", "aria-colcount": columns.length,
  }, head, body);
  node.style.setProperty("--row", `${height}px`);
  const kinds = columns.length - 3;
  node.style.setProperty("--columns", `minmax(250px, 1fr) 112px 118px ${"minmax(92px, 116px) ".repeat(kinds)}`);
  node.style.setProperty("--least", `${480 + 92 * kinds}px`);
  node.style.maxHeight = `${MOST}px`;
  /** @type {ReturnType<typeof gridRow>[]} */
  const pool = [];
  /** @type {Line[]} */
  let shown = []; // all lines
  /** @type {number[]} */
  let runs = []; // positions in it of those that are runs
  let active = 0; // position in `runs`
  let column = 0;
  /** @type {string | null} */
  let opened = null;
  let due = false;

  function mount() {
    due = false;
    const { first, last } = rowsInView(node.scrollTop, node.clientHeight || MOST, height, shown.length);
    while (pool.length < last - first) pool.push(gridRow(columns));
    pool.forEach((row, index) => {
      const at = first + index;
      if (at < last) {
        row.set(shown[at], at, height, shown[at].id !== undefined && shown[at].id === opened);
        if (!row.node.parentNode) body.append(row.node);
      } else row.node.remove();
    });
    for (const cell of body.querySelectorAll(".atlas-active")) cell.classList.remove("atlas-active");
    const line = shown[runs[active]];
    const cell = pool.find((row) => row.node.parentNode && line && row.line() === line)?.node.children[column];
    cell?.classList.add("atlas-active");
    if (cell) node.setAttribute("aria-activedescendant", cell.id);
    else node.removeAttribute("aria-activedescendant");
  }

  /**
   * @param {number} row
   * @param {number} to
   */
  function go(row, to) {
    active = row;
    column = to;
    const line = runs[active];
    // With the first run of an invocation, its name.
    const above = line > 0 && shown[line - 1].id === undefined ? line - 1 : line;
    const room = node.clientHeight - head.offsetHeight;
    node.scrollTop = scrollTo(line, scrollTo(above, node.scrollTop, room, height), room, height);
    mount();
  }

  /** @param {KeyboardEvent} event */
  function key(event) {
    if (event.altKey || event.metaKey || !runs.length) return;
    const last = columns.length - 1;
    const page = Math.max(1, Math.floor((node.clientHeight - head.offsetHeight) / height) - 1);
    /** @type {Record<string, number>} */
    const along = { ArrowRight: Math.min(last, column + 1), ArrowLeft: Math.max(0, column - 1) };
    if (!event.ctrlKey) Object.assign(along, { Home: 0, End: last });
    if (event.key in along) go(active, along[event.key]);
    else if (event.key === "Enter" || event.key === " ") open(shown[runs[active]].id ?? null);
    else if (event.key === "Escape") open(null);
    else {
      const to = rowAfter(event.key, active, runs.length, page);
      if (to === null) return;
      go(to, column);
    }
    event.preventDefault();
  }

  node.addEventListener("scroll", () => {
    if (due) return;
    due = true;
    requestAnimationFrame(mount);
  });
  node.addEventListener("keydown", key);
  body.addEventListener("click", (event) => {
    /** @type {HTMLElement | null} */
    const row = targetOf(event).closest("[data-run]");
    const run = row?.dataset.run;
    if (!row || run === undefined) return;
    const cell = targetOf(event).closest("[role=gridcell], [role=rowheader]");
    active = runs.findIndex((position) => shown[position].id === run);
    column = Math.max(0, [...row.children].findIndex((child) => child === cell));
    open(run === opened ? null : run);
  });

  return {
    node,
    /** @param {boolean} onlyDeviating */
    filter(onlyDeviating) {
      const before = shown[runs[active]]?.id;
      shown = lines(tables.rows, onlyDeviating);
      runs = shown.map((line, position) => (line.id === undefined ? -1 : position)).filter((position) => position >= 0);
      active = Math.max(0, runs.findIndex((position) => shown[position].id === before));
      node.setAttribute("aria-rowcount", String(shown.length + 1));
      body.style.height = `${shown.length * height}px`;
      if (runs.length) go(active, column);
      else mount();
    },
    /** @param {string | null} id */
    chosen(id) {
      opened = id;
      node.style.maxHeight = `${id === null ? MOST : MOST_BESIDE}px`;
      if (runs.length) go(active, column);
    },
    redraw: mount,
  };
}

/**
 * A line on the page; it is used again for others.
 * @param {AtlasValues["columns"]} columns
 */
function gridRow(columns) {
  const node = element("div", { class: "atlas-row", role: "row" });
  const ids = columns.map(() => freshId("atlas"));
  /** @type {Line | null} */
  let line = null;

  /** @param {Extract<Line, { group: string }>} line */
  function drawGroup({ group, level }) {
    node.className = "atlas-row atlas-group";
    delete node.dataset.run;
    const name = element("div", { role: "rowheader", "aria-colspan": columns.length }, element("bdi", { text: clean(group, 120) }));
    name.style.setProperty("--level", String(level));
    node.replaceChildren(name);
  }

  /** @param {Extract<Line, { id: string }>} line */
  function drawRun({ id, row }) {
    node.className = `atlas-row atlas-run ${row.deviates ? "atlas-deviates" : ""}`;
    node.dataset.run = id;
    const name = clean(`${placed(row)}, in ${row.group}`, 500);
    const places = row.places.map((text, n) => element("bdi", { text: clean(n ? `then ${text}` : text, 200) }));
    const place = element("div", { class: "atlas-place", role: "rowheader", id: ids[0], title: name, "aria-label": name }, ...places);
    place.style.setProperty("--level", String(row.level));
    const cells = row.cells.map(([sign, tone, text], n) => element(
      "div", { class: `atlas-cell atlas-${tone}`, role: "gridcell", id: ids[n + 1], "aria-label": clean(`${columns[n + 1][0]} ${text}`, 200) },
      icon(SIGNS[sign] ?? sign), element("span", { text }),
    ));
    node.replaceChildren(place, ...cells);
  }

  return {
    node,
    line: () => line,
    /**
     * @param {Line} next
     * @param {number} position
     * @param {number} height
     * @param {boolean} opened
     */
    set(next, position, height, opened) {
      node.style.transform = `translateY(${position * height}px)`;
      node.setAttribute("aria-rowindex", String(position + 2));
      if (line !== next) {
        line = next;
        if (next.id === undefined) drawGroup(next);
        else drawRun(next);
      }
      if (next.id === undefined) node.removeAttribute("aria-selected");
      else node.setAttribute("aria-selected", String(opened));
    },
  };
}

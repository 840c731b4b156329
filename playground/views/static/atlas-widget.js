// The crash atlas in a notebook: what came of every run, in words and as a grid, and the run that is looked at.

import { clean, connect, element, followTheme, targetOf } from "./live.js";
import { freshId, icon } from "./kit.js";
import { makeGrid } from "./atlas-grid.js";
import { placed } from "./atlas-lines.js";
import { makeRun } from "./atlas-run.js";

/** @import { AtlasView } from "./messages.js" */
/** @import { Model } from "./live.js" */

/** @param {{ model: Model<AtlasView>, el: Element }} view */
function render({ model, el }) {
  const wire = connect(model, { onBusy: (yes) => run.busy(yes) });
  const { values, tables } = wire.picture;
  const rows = Object.values(tables.rows);
  const deviating = rows.filter((row) => row.deviates).length;
  const title = element("h3", { class: "atlas-title", id: freshId("atlas"), text: clean(values.title, 200) });
  const spoken = element("p", { class: "dp-hidden", "aria-live": "polite" });
  const only = element(
    "button", { class: "atlas-only", type: "button", "aria-pressed": "false", disabled: !deviating || deviating === rows.length },
    element("span", { text: deviating ? `only what deviates (${deviating})` : "nothing deviates" }),
  );
  const run = makeRun({ act: wire.act, closed: () => open(null) });
  const grid = makeGrid(wire.picture, open);

  /** @param {string | null} id */
  function open(id) {
    const hadFocus = run.node.contains(document.activeElement);
    grid.chosen(id);
    if (id === null) run.close();
    else run.show(id, tables.rows[id]);
    if (hadFocus && id === null) grid.node.focus();
    spoken.textContent = id === null ? "" : `The run: ${clean(placed(tables.rows[id]), 300)}`;
  }

  only.addEventListener("click", () => {
    const yes = only.getAttribute("aria-pressed") !== "true";
    only.setAttribute("aria-pressed", String(yes));
    grid.filter(yes);
  });
  const root = element(
    "section", { class: "dp atlas", "aria-labelledby": title.id },
    element("header", { class: "atlas-header" }, title, only),
    element("p", { class: "atlas-summary", text: clean(values.summary, 1000) }),
    element("ul", { class: "atlas-verdicts", "aria-label": "In short" }, ...values.verdicts.map(verdict)),
    grid.node,
    element("ul", { class: "atlas-notes", "aria-label": "What this rests on" }, ...values.notes.map((text) => element("li", { text: clean(text, 300) }))),
    rows.length ? element("p", { class: "atlas-hint", text: "Click a run, or press Enter on it, to see its replay." }) : null,
    run.node,
    spoken,
  );
  // JupyterLab's own plain keys are not meant while somebody works in here (see panels.js).
  root.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    if (event.key === "Escape" && run.node.contains(targetOf(event)) && !targetOf(event).closest(".lens")) open(null);
  });
  el.append(root);
  grid.filter(false);
  const sizes = new ResizeObserver(grid.redraw);
  sizes.observe(grid.node);
  const unfollow = followTheme(root);
  return () => {
    sizes.disconnect();
    unfollow();
    run.close();
    wire.close();
  };
}

/** @param {[string, boolean]} verdict */
function verdict([text, holds]) {
  return element("li", { class: holds ? "atlas-good" : "atlas-bad" }, icon(holds ? "completed" : "failed"), element("span", { text }));
}

export default { render };

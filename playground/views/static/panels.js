// A board of panels: one connection to the kernel, one table of items per panel (see panels/board.py).

import { connect, element, followTheme } from "./live.js";
import { awakeablesPanel } from "./panel-awakeables.js";
import { invocationsPanel } from "./panel-invocations.js";
import { ledgerPanel } from "./panel-ledger.js";
import { podsPanel } from "./panel-pods.js";
import { queuesPanel } from "./panel-queues.js";
import { requestsPanel } from "./panel-requests.js";
import { statePanel } from "./panel-state.js";

const PANELS = {
  requests: requestsPanel,
  pods: podsPanel,
  invocations: invocationsPanel,
  awakeables: awakeablesPanel,
  ledger: ledgerPanel,
  queue: queuesPanel,
  state: statePanel,
};

function render({ model, el }) {
  const layout = model.get("columns");
  const names = layout.flat();
  const columns = layout.map(() => element("div", { class: "dp-column" }));
  const board = element("div", { class: "dp dp-board", role: "region", "aria-label": "Playground" }, element("div", { class: "dp-columns" }, ...columns));
  const listeners = [];
  const wire = connect(model, {
    onBusy: (busy) => listeners.forEach((listener) => listener(busy)),
    onChange: (data) => names.forEach((name) => data.tables?.[name] && draw(name)),
  });
  const host = { live: wire.picture.values.live, act: wire.act, now: wire.now, onBusy: (listener) => listeners.push(listener), show };
  const panels = Object.fromEntries(names.map((name) => [name, PANELS[name](host, model.get("pinned"))]));
  layout.forEach((column, index) => columns[index].append(...column.map((name) => panels[name].node)));

  /** Show an invocation in the list, where there is one. */
  function show(id) {
    panels.invocations?.choose(id);
  }

  function draw(name) {
    panels[name].draw(wire.picture.tables[name] ?? {});
  }
  names.forEach(draw);
  // JupyterLab's own plain keys ("d d" deletes a cell) are not meant while somebody works in here; and after
  // one that reaches it, it keeps Enter from inputs within a cell, so that no form could be submitted by it.
  board.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  });
  el.append(board);
  const unfollow = followTheme(board);
  const clock = setInterval(() => names.forEach((name) => panels[name].tick?.()), 1000);
  return () => {
    clearInterval(clock);
    unfollow();
    wire.close();
  };
}

export default { render };

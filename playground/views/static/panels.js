// A board of panels: one connection to the kernel, one table of items per panel (see panels/board.py).

import { connect, element, followTheme } from "./live.js";
import { awakeablesPanel } from "./panel-awakeables.js";
import { invocationsPanel } from "./panel-invocations.js";
import { ledgerPanel } from "./panel-ledger.js";
import { podsPanel } from "./panel-pods.js";
import { queuesPanel } from "./panel-queues.js";
import { requestsPanel } from "./panel-requests.js";
import { statePanel } from "./panel-state.js";

/** @import { BoardView } from "./messages.js" */
/** @import { Model } from "./live.js" */
/** @import { Host } from "./kit.js" */

/**
 * Panels by name. `pinned` are ids of keys, which those panels show that are about keys.
 * @typedef {Required<BoardView["tables"]>} Tables
 * @typedef {{ [Name in keyof Tables]: (host: Host, pinned: string[]) => Panel<Tables[Name]> }} Panels
 */

/**
 * A panel: it draws its items; once a second it may tick; one may choose an invocation in it.
 * @template Items
 * @typedef {{ node: HTMLElement, draw: (items: Items) => void, tick?: () => void, choose?: (id: string) => void }} Panel
 */

/** @type {Panels} */
const PANELS = {
  requests: requestsPanel,
  pods: podsPanel,
  invocations: invocationsPanel,
  awakeables: awakeablesPanel,
  ledger: ledgerPanel,
  queue: queuesPanel,
  state: statePanel,
};

/** @param {{ model: Model<BoardView, { columns: (keyof Tables)[][], pinned: string[] }>, el: Element }} view */
function render({ model, el }) {
  const layout = model.get("columns");
  const columns = layout.map((names) => ({ names, node: element("div", { class: "dp-column" }) }));
  const board = element("div", { class: "dp dp-board", role: "region", "aria-label": "Playground" }, element("div", { class: "dp-columns" }, ...columns.map((column) => column.node)));
  /** @type {((busy: boolean) => void)[]} */
  const listeners = [];
  const wire = connect(model, {
    onBusy: (busy) => listeners.forEach((listener) => listener(busy)),
    onChange: (data) => panels.forEach((panel, name) => data.tables?.[name] && panel.draw()),
  });
  /** @type {Host} */
  const host = { live: wire.picture.values.live, act: wire.act, now: wire.now, onBusy: (listener) => listeners.push(listener), show };

  /**
   * A panel that draws what the picture has of it.
   * @template {keyof Tables} Name
   * @param {Name} name
   */
  function make(name) {
    const panel = PANELS[name](host, model.get("pinned"));
    const none = /** @type {Tables[Name]} */ ({});
    return { ...panel, draw: () => panel.draw(wire.picture.tables[name] ?? none) };
  }
  const panels = new Map(layout.flat().map((name) => [name, make(name)]));
  for (const { names, node } of columns) for (const name of names) node.append(panels.get(name)?.node ?? "");

  /**
   * Show an invocation in the list, where there is one.
   * @param {string} id
   */
  function show(id) {
    panels.get("invocations")?.choose?.(id);
  }

  panels.forEach((panel) => panel.draw());
  // JupyterLab's own plain keys ("d d" deletes a cell) are not meant while somebody works in here; and after
  // one that reaches it, it keeps Enter from inputs within a cell, so that no form could be submitted by it.
  board.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  });
  el.append(board);
  const unfollow = followTheme(board);
  const clock = setInterval(() => panels.forEach((panel) => panel.tick?.()), 1000);
  return () => {
    clearInterval(clock);
    unfollow();
    wire.close();
  };
}

export default { render };

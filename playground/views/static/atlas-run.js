// The run that is looked at: where it crashed, what is out of the ordinary about it and why, and its replay lens.

import { calm, element, messageOf } from "./live.js";
import { visible } from "./kit.js";
import { mountLens } from "./lens.js";
import { placed } from "./atlas-lines.js";

/** @import { AtlasView, RunRow } from "./messages.js" */
/** @import { Acts } from "./live.js" */

/** @param {{ act: Acts<AtlasView>, closed: () => void }} host */
export function makeRun(host) {
  const heading = element("h4", { class: "atlas-heading", tabindex: -1 });
  const shut = element("button", { class: "atlas-shut", type: "button", text: "✕", "aria-label": "Close this run", title: "Close this run", onclick: host.closed });
  const why = element("dl", {});
  const reasons = element("div", { class: "atlas-why", tabindex: 0, role: "group", "aria-label": "What is out of the ordinary" }, why);
  const wait = element("p", { class: "dp-busy", role: "status" });
  const failed = element("p", { class: "dp-error", role: "alert" });
  const place = element("div");
  const node = element("section", { class: "atlas-chosen", "aria-label": "The run that is looked at", hidden: true }, heading, shut, reasons, wait, failed, place);
  /** @type {ReturnType<typeof mountLens> | null} */
  let lens = null;
  let asked = 0;

  function close() {
    asked += 1;
    lens?.close();
    lens = null;
    place.replaceChildren();
    wait.textContent = failed.textContent = "";
    node.hidden = true;
  }

  /**
   * @param {string} id
   * @param {RunRow} row
   */
  async function show(id, row) {
    close();
    const mine = asked;
    /** @type {[string, string][]} */
    const told = row.reasons.length ? row.reasons : [["", "All as in a clean run."]];
    heading.textContent = visible(`${row.group}: ${placed(row)}`);
    why.replaceChildren(...told.map(([what, text]) => element("div", {}, element("dt", { text: visible(what) }), element("dd", { text: visible(text) }))));
    node.hidden = false;
    wait.textContent = "Looking the run up…";
    try {
      const run = await host.act("run", { row: id });
      if (mine !== asked) return;
      wait.textContent = "";
      const root = element("section");
      place.replaceChildren(root);
      const { origin, until } = run.picture.values;
      lens = mountLens(root, {
        ...run,
        entry: (entry) => host.act("entry", { entry }),
        act: async () => {
          throw new Error("The atlas has only the beginning of it.");
        },
        actions: () => false,
        running: () => false,
        now: () => origin + until,
      });
      requestAnimationFrame(() => node.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" }));
    } catch (error) {
      if (mine !== asked) return;
      wait.textContent = "";
      failed.textContent = visible(messageOf(error));
    }
  }

  return {
    node,
    show,
    close,
    /** @param {boolean} yes */
    busy(yes) {
      if (lens) lens.busy(yes);
      else if (!node.hidden && yes) wait.textContent = "Kernel busy: queued. A cell is running; the run is shown when it ends.";
    },
  };
}

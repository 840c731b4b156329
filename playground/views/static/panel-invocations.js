// The panel Invocations: a list, of which only the rows in view are mounted, and what is known of the
// chosen one, with what Restate lets one do to it.

import { element } from "./live.js";
import { confirmed, frame, freshId, icon, labelled, line, plural, setText, statusMark, valueView } from "./kit.js";
import { listed, rowAfter, rowsInView, scrollTo } from "./window.js";

const ROW = 28; // px, as in panels.css
const ROWS = 8; // shown at once

/** @import { InvocationItem, OfPart, Verb } from "./messages.js" */
/** @import { Frame, Host } from "./kit.js" */
/** @import { Show } from "./window.js" */

/** @type {Record<Verb, { text: string, about: string, danger?: true }>} */
const VERBS = {
  resume: { text: "Resume", about: "Go on with it now." },
  pause: { text: "Pause", about: "No further attempt until it is resumed." },
  cancel: { text: "Cancel", about: "The handler sees a TerminalError at its next await, and can compensate." },
  "restart-as-new": { text: "Restart as new", about: "Run it once more from the beginning, with the same input, as a new invocation." },
  kill: { text: "Kill invocation", about: "End the invocation at once, without compensation. The pod lives on.", danger: true },
};

/** @type {[OfPart["part"], string][]} */
const PARTS = [["target", "target"], ["parent", "called by"], ["body", "request"], ["value", "result"], ["failure", "failure"]];

/** @param {Host} host */
export function invocationsPanel(host) {
  const panel = frame(host, "invocations", "Invocations");
  const show = element("select", {}, ...["all", "unfinished", "failed", "completed"].map((text) => element("option", { value: text, text })));
  const words = element("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const filters = element("div", { class: "dp-row" }, labelled("Show", show), labelled("whose target contains", words));
  const empty = element("p", { class: "dp-empty", text: "No invocation yet. Send a request." });
  const rows = element("div", { class: "dp-rows", role: "presentation" });
  const list = element("div", { class: "dp-list", role: "listbox", tabindex: 0, "aria-label": "invocations, newest first" }, rows);
  const hint = element("p", { class: "dp-quiet", text: "Choose one to see it, and what can be done with it." });
  const detail = invocationDetail(panel, host);
  panel.body.append(filters, empty, list, hint, detail.node);

  /** @type {ReturnType<typeof invocationRow>[]} */
  const pool = []; // mounted rows, used again and again
  /** @type {Record<string, InvocationItem>} */
  let items = {};
  /** @type {string[]} */
  let ids = [];
  /** @type {string | null} */
  let chosen = null;
  let due = false;

  function mount() {
    due = false;
    const { first, last } = rowsInView(list.scrollTop, list.clientHeight || ROW * ROWS, ROW, ids.length);
    while (pool.length < last - first) pool.push(invocationRow(choose));
    pool.forEach((row, index) => {
      const at = first + index;
      if (at < last) {
        row.set(ids[at], items[ids[at]], at, ids.length, ids[at] === chosen);
        if (!row.node.parentNode) rows.append(row.node);
      } else row.node.remove();
    });
    const active = pool.find((row) => row.node.parentNode && row.id() === chosen);
    if (active) list.setAttribute("aria-activedescendant", active.node.id);
    else list.removeAttribute("aria-activedescendant");
  }

  function mountSoon() {
    if (due) return;
    due = true;
    requestAnimationFrame(mount);
  }

  /** @param {string} id */
  function choose(id) {
    chosen = id;
    hint.hidden = true;
    detail.set(id, items[id]);
    const index = ids.indexOf(id);
    if (index >= 0) list.scrollTop = scrollTo(index, list.scrollTop, list.clientHeight, ROW);
    mount();
  }

  /** @param {Record<string, InvocationItem>} next */
  function draw(next) {
    items = next;
    const before = ids;
    ids = listed(items, /** @type {Show} */ (show.value), words.value);
    // Whoever has scrolled down reads; what is new comes in above without moving it.
    if (list.scrollTop > 0 && before.length) list.scrollTop += ROW * Math.max(0, ids.indexOf(before[0]));
    rows.style.height = `${ids.length * ROW}px`;
    list.style.height = `${Math.min(ROWS, Math.max(1, ids.length)) * ROW + 2}px`;
    const all = Object.keys(items);
    const open = all.filter((id) => items[id].status !== "completed").length;
    panel.note(all.length ? `${plural(all.length, "invocation")}, ${open} unfinished` : "");
    empty.hidden = all.length > 0;
    list.hidden = filters.hidden = !all.length;
    hint.hidden = !all.length || chosen !== null;
    if (chosen !== null) detail.set(chosen, items[chosen]);
    mount();
  }

  list.addEventListener("scroll", mountSoon);
  list.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const to = rowAfter(event.key, chosen === null ? -1 : ids.indexOf(chosen), ids.length, ROWS - 1);
    if (to === null) return;
    event.preventDefault();
    choose(ids[to]);
  });
  show.addEventListener("change", () => draw(items));
  words.addEventListener("input", () => draw(items));
  return { node: panel.node, draw, choose };
}

/** @param {(id: string) => void} choose */
function invocationRow(choose) {
  const status = statusMark();
  const target = element("bdi", { class: "dp-name" });
  const facts = element("span", { class: "dp-quiet" });
  const node = element("div", { class: "dp-option", role: "option", id: freshId("invocation") }, status.node, target, facts);
  /** @type {InvocationItem | null} */
  let shown = null;
  let id = "";
  node.addEventListener("click", () => choose(id));
  return {
    node,
    id: () => id,
    /**
     * @param {string} nextId
     * @param {InvocationItem} item
     * @param {number} index
     * @param {number} count
     * @param {boolean} isChosen
     */
    set(nextId, item, index, count, isChosen) {
      id = nextId;
      node.style.transform = `translateY(${index * ROW}px)`;
      node.setAttribute("aria-posinset", String(index + 1));
      node.setAttribute("aria-setsize", String(count));
      node.setAttribute("aria-selected", String(isChosen));
      if (shown === item) return;
      shown = item;
      status.set(item.status, item.failed);
      setText(target, line(item.target.text, 120));
      setText(facts, [item.attempts ? plural(item.attempts, "attempt") : "", line(item.pod, 40)].filter(Boolean).join(" · "));
    },
  };
}

/**
 * What is known of the chosen invocation.
 * @param {Frame} panel
 * @param {Host} host
 */
function invocationDetail(panel, host) {
  const heading = element("bdi");
  const status = statusMark();
  const facts = element("span", { class: "dp-quiet" });
  const id = element("code", { class: "dp-code" });
  const terms = element("dl");
  const actions = element("div", { class: "dp-actions", role: "group", "aria-label": "actions on this invocation" });
  const question = element("div");
  const node = element("div", { class: "dp-detail", role: "group", "aria-label": "the chosen invocation", hidden: true },
    element("div", { class: "dp-row" }, element("h4", {}, heading), status.node, facts), id, terms, actions, question);
  const values = PARTS.map(([part, label]) => {
    const view = valueView(panel, label);
    const term = element("dt", { text: label });
    const row = element("div", {}, term, element("dd", {}, view.node));
    terms.append(row);
    return { part, view, term, row };
  });
  const buttons = Object.entries(VERBS).map(([name, { text, about, danger }]) => {
    const verb = /** @type {Verb} */ (name);
    const button = element("button", { type: "button", title: about, class: danger ? "dp-danger dp-kill-invocation" : null }, ...(danger ? [icon("stop")] : []), element("span", { text }));
    button.addEventListener("click", () => act(verb, button));
    actions.append(button);
    return { verb, button };
  });
  /** @type {{ id: string, item: InvocationItem } | null} */
  let shown = null;

  /**
   * @param {Verb} verb
   * @param {Element} button
   */
  async function act(verb, button) {
    if (!shown) return;
    const { id: chosen, item } = shown;
    if (verb === "kill") {
      const text = `Kill the invocation ${line(item.target.text)}? It ends at once, and nothing it has done is compensated. The pod lives on.`;
      if (!(await confirmed(question, text, "Kill invocation", "Let it live", true))) return;
    }
    const answer = await panel.run(button, `invocations.${verb}`, { invocation: chosen });
    if (answer?.invocations) host.show(answer.invocations[0]);
  }

  return {
    node,
    /**
     * @param {string} chosen
     * @param {InvocationItem | undefined} item
     */
    set(chosen, item) {
      node.hidden = !item;
      if (!item || (chosen === shown?.id && item === shown.item)) return;
      if (chosen !== shown?.id) question.replaceChildren();
      shown = { id: chosen, item };
      setText(heading, line(item.target.text, 120));
      status.set(item.status, item.failed);
      setText(facts, [plural(item.attempts, "attempt"), item.pod && `on ${line(item.pod, 40)}`].filter(Boolean).join(" · "));
      setText(id, chosen);
      for (const { part, view, term, row } of values) {
        const value = part === "target" && !item.target.length ? null : item[part];
        if (part === "failure") setText(term, item.status === "completed" ? "failure" : "last failure");
        row.hidden = !value;
        view.set(value, "invocations.whole", { invocation: chosen, part });
      }
      actions.hidden = !host.live;
      for (const { verb, button } of buttons) {
        const applies = item.verbs.includes(verb);
        if (!applies && button.contains(document.activeElement)) panel.heading.focus();
        button.hidden = !applies;
      }
    },
  };
}

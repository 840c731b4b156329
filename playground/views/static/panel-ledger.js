// The panel Outside world: kinds of effects with their counts, and how each misbehaves; below, what has reached it.

import { element } from "./live.js";
import { confirmed, frame, freshId, icon, keyedList, labelled, line, plural, setText, valueView } from "./kit.js";

/** @import { Became, KindItem, LedgerEntry } from "./messages.js" */
/** @import { Frame, Host, Shows } from "./kit.js" */

/** @type {Became[]} */
const ALL = ["happened", "repeated", "refused"];
const SIGNS = { happened: "happened", repeated: "repeated", refused: "turned" };
const WORDS = { happened: "happened", repeated: "repeated: known by its key, nothing happened", refused: "refused: nothing happened" };

/** @param {Host} host */
export function ledgerPanel(host) {
  const panel = frame(host, "ledger", "Outside world");
  const editor = element("div");
  const kinds = element("ul", { class: "dp-kinds", "aria-label": "kinds of effects" });
  const other = element("button", { type: "button", class: "dp-link", text: "Make another kind misbehave" });
  const empty = element("p", { class: "dp-empty", text: "Nothing has reached the outside world. A handler reaches it with an HTTP request to LEDGER_URL." });
  const entries = element("ol", { class: "dp-cards dp-entries", tabindex: 0, "aria-label": "what has reached the outside world, newest first" });
  const more = element("p", { class: "dp-quiet" });
  const clear = element("button", { type: "button", class: "dp-danger" }, element("span", { text: "Clear" }));
  const actions = element("div", { class: "dp-actions" }, clear);
  panel.body.append(kinds, other, editor, empty, entries, more, actions);
  const updateKinds = keyedList(kinds, () => kindRow(panel, host, edit));
  const updateEntries = keyedList(entries, (id) => entryCard(panel, host, id));

  /**
   * @param {KindItem | null} item
   * @param {HTMLElement} button
   */
  function edit(item, button) {
    editor.replaceChildren(faultsForm(panel, item, () => {
      editor.replaceChildren();
      (button.isConnected ? button : panel.heading).focus();
    }));
    editor.querySelector("input")?.focus();
  }
  other.addEventListener("click", () => edit(null, other));
  clear.addEventListener("click", async () => {
    const question = "Forget all entries and idempotency keys? A request with a key that is forgotten makes its effect happen again. Misbehaviour stays as it is.";
    if (await confirmed(editor, question, "Forget them", "Keep them", true)) await panel.run(clear, "ledger.clear", {});
  });

  /** @param {Record<string, KindItem | LedgerEntry>} items */
  function draw(items) {
    /** @type {Record<string, KindItem>} */
    const kindsById = {};
    /** @type {Record<string, LedgerEntry>} */
    const entriesById = {};
    for (const [id, item] of Object.entries(items)) {
      if ("counts" in item) kindsById[id] = item;
      else entriesById[id] = item;
    }
    const known = Object.keys(kindsById).sort();
    const listed = Object.keys(entriesById).sort((a, b) => entriesById[b].number - entriesById[a].number);
    updateKinds(known, (id) => kindsById[id]);
    updateEntries(listed, (id) => entriesById[id]);
    const all = known.flatMap((id) => Object.values(kindsById[id].counts)).reduce((sum, count) => sum + count, 0);
    const happened = known.reduce((sum, id) => sum + (kindsById[id].counts.happened ?? 0), 0);
    panel.note(all ? `${plural(happened, "effect")} of ${plural(all, "request")}` : "");
    empty.hidden = listed.length > 0;
    entries.hidden = !listed.length;
    kinds.hidden = !known.length;
    other.hidden = !host.live;
    actions.hidden = !host.live || !all;
    more.hidden = all <= listed.length;
    setText(more, `and ${all - listed.length} before`);
  }
  return { node: panel.node, draw };
}

/**
 * A kind: its counts, how it misbehaves, and changing that.
 * @param {Frame} panel
 * @param {Host} host
 * @param {(item: KindItem | null, button: HTMLElement) => void} edit
 * @returns {Shows<KindItem>}
 */
function kindRow(panel, host, edit) {
  const name = element("bdi", { class: "dp-name" });
  const counts = element("span", { class: "dp-counts" });
  const faults = element("ul", { class: "dp-told" });
  const change = element("button", { type: "button", text: "Misbehave…" });
  const behave = element("button", { type: "button", text: "Behave again" });
  const node = element("li", { class: "dp-kind" }, element("div", { class: "dp-row" }, name, counts, element("span", { class: "dp-actions dp-end" }, behave, change)), faults);
  /** @type {KindItem | null} */
  let shown = null;
  change.addEventListener("click", () => edit(shown, change));
  behave.addEventListener("click", () => shown && panel.run(behave, "ledger.behave", { kind: shown.kind }));
  return {
    node,
    set(item) {
      shown = item;
      const kind = line(item.kind, 60);
      setText(name, kind);
      const told = ALL.filter((what) => item.counts[what] || what === "happened");
      counts.replaceChildren(...told.map((what) => element("span", { class: `dp-count dp-what-${what}` }, icon(SIGNS[what]), element("span", { text: `${item.counts[what] ?? 0} ${what}` }))));
      faults.replaceChildren(...item.told.map((text) => element("li", {}, icon("crashed"), element("span", { text }))));
      faults.hidden = !item.told.length;
      node.classList.toggle("dp-misbehaves", item.told.length > 0);
      change.hidden = !host.live;
      if (!item.told.length && behave.contains(document.activeElement)) change.focus();
      behave.hidden = !host.live || !item.told.length;
      change.setAttribute("aria-label", `Make ${kind} misbehave`);
      behave.setAttribute("aria-label", `Let ${kind} behave again`);
    },
  };
}

/**
 * How a kind is to misbehave; `item` null: the kind is asked for as well.
 * @param {Frame} panel
 * @param {KindItem | null} item
 * @param {() => void} ended
 */
function faultsForm(panel, item, ended) {
  const faults = item?.faults ?? {};
  const kind = element("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: "email" });
  const fail = many(faults.fail ?? 0, "Requests refused before anything happens");
  const lose = many(faults.lose_answer ?? 0, "Answers lost, though the effect happens");
  const slow = element("input", { type: "number", min: 0, max: 600, step: "any", value: faults.slow || "", placeholder: 0 });
  const down = element("input", { type: "checkbox", id: freshId("down"), checked: Boolean(faults.down) });
  const set = element("button", { type: "submit", class: "dp-primary", text: "Misbehave" });
  const leave = element("button", { type: "button", text: "Leave it" });
  const form = element(
    "form", { class: "dp-edit", novalidate: true, "aria-label": item ? `misbehaviour of ${line(item.kind, 60)}` : "misbehaviour" },
    item ? element("p", { class: "dp-name" }, element("bdi", { text: line(item.kind, 60) })) : labelled("Kind", kind),
    fail.node, lose.node, labelled("Seconds that each request takes", slow),
    element("div", { class: "dp-field dp-field-boolean" }, element("label", { for: down.id, text: "Down: nobody answers" }), down),
    element("div", { class: "dp-actions" }, set, leave),
  );
  leave.addEventListener("click", () => ended());
  form.addEventListener("keydown", (event) => event.key === "Escape" && ended());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const called = item ? item.kind : kind.value;
    const data = { kind: called, fail: fail.value(), lose_answer: lose.value(), slow: slow.value, down: down.checked };
    if (await panel.run(set, "ledger.misbehave", data, `Make ${line(called, 60)} misbehave`)) ended();
  });
  return form;
}

/**
 * A number of requests, or all of them.
 * @param {number} count below zero: all
 * @param {string} label
 */
function many(count, label) {
  const number = element("input", { type: "number", min: 0, step: 1, placeholder: 0, value: count > 0 ? count : "" });
  const all = element("input", { type: "checkbox", id: freshId("all"), checked: count < 0, "aria-label": `${label}: all` });
  const box = element("div", { class: "dp-field dp-field-boolean" }, element("label", { for: all.id, text: "all" }), all);
  const node = element("div", { class: "dp-row dp-many" }, labelled(label, number), box);
  all.addEventListener("change", () => (number.disabled = all.checked));
  number.disabled = all.checked;
  return { node, value: () => (all.checked ? "all" : number.value) };
}

/**
 * An entry: what became of a request, when, which step of which invocation it came from, and what it asked for.
 * @param {Frame} panel
 * @param {Host} host
 * @param {string} id
 * @returns {Shows<LedgerEntry>}
 */
function entryCard(panel, host, id) {
  const what = element("span", { class: "dp-status" });
  const kind = element("bdi", { class: "dp-name" });
  const at = element("time", { class: "dp-quiet" });
  const from = element("span");
  const pod = element("bdi", { class: "dp-quiet" });
  const name = element("code", { class: "dp-code" });
  const key = element("span", { class: "dp-quiet" }, element("span", { text: "key " }), name);
  const body = valueView(panel, "body");
  const node = element("li", { class: "dp-card dp-entry" },
    element("div", { class: "dp-row" }, what, kind, at, pod),
    element("div", { class: "dp-row" }, from, key), body.node);
  return {
    node,
    set(item) {
            node.className = `dp-card dp-entry dp-what-${item.what}`;
      what.replaceChildren(icon(SIGNS[item.what]), element("span", { text: WORDS[item.what] }));
      setText(kind, line(item.kind, 60));
      setText(at, new Date(item.at * 1000).toLocaleTimeString());
      setText(pod, line(item.pod, 60));
      const unknown = element("span", { class: "dp-quiet", text: item.pod ? "outside of any step" : "not from a pod" });
      const step = item.step ? element("bdi", { text: line(item.step, 80) }) : unknown;
      from.replaceChildren(...(item.target ? [element("bdi", { text: line(item.target, 80) }), document.createTextNode(" · "), step] : [step]));
      key.hidden = !item.key;
      setText(name, line(item.key, 80));
      body.set(item.body, "ledger.whole", { entry: id });
    },
  };
}

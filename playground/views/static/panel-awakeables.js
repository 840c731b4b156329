// The panel Awakeables: the mail that waits to be answered. Its link resolves the awakeable, or rejects it.

import { element } from "./live.js";
import { jsonError } from "./form.js";
import { aroundLink, linesOf } from "./letter.js";
import { frame, freshId, icon, keyedList, labelled, line, plural, setText, valueView, visible } from "./kit.js";

/** @import { AwakeableItem } from "./messages.js" */
/** @import { Frame, Host, Shows } from "./kit.js" */

/** @param {Host} host */
export function awakeablesPanel(host) {
  const panel = frame(host, "awakeables", "Awakeables");
  const empty = element("p", { class: "dp-empty", text: "No invocation waits for an awakeable. One appears here when a handler has handed its id to somebody outside." });
  const list = element("ul", { class: "dp-cards" });
  panel.body.append(empty, list);
  const update = keyedList(list, (id) => mailCard(panel, host, id));

  /** @param {Record<string, AwakeableItem>} items */
  function draw(items) {
    const ids = Object.keys(items);
    update(ids, (id) => items[id]);
    empty.hidden = ids.length > 0;
    panel.note(ids.length ? `${plural(ids.length, "awakeable")} pending` : "");
  }
  return { node: panel.node, draw };
}

/**
 * @param {Frame} panel
 * @param {Host} host
 * @param {string} id
 * @returns {Shows<AwakeableItem>}
 */
function mailCard(panel, host, id) {
  const from = element("bdi", { class: "dp-name" });
  const state = element("span", { class: "dp-quiet" });
  const subject = element("p", { class: "dp-subject" });
  const text = valueView(panel, "mail");
  const letter = element("dl", { class: "dp-letter" });
  const value = element("input", { type: "text", class: "dp-code", autocomplete: "off", spellcheck: "false", placeholder: "nothing" });
  const wrong = element("p", { class: "dp-error", id: freshId("error") });
  value.setAttribute("aria-describedby", wrong.id);
  const resolve = element("button", { type: "button", class: "dp-primary" }, icon("completed"), element("span", { text: "Resolve" }));
  const reason = element("input", { type: "text", autocomplete: "off", placeholder: "rejected" });
  const reject = element("button", { type: "button", class: "dp-danger" }, icon("failed"), element("span", { text: "Reject" }));
  const valueField = labelled("Value, JSON", value);
  valueField.append(wrong);
  const resolves = element("form", { class: "dp-answer", novalidate: true, "aria-label": "resolve" }, valueField, resolve);
  const rejects = element("form", { class: "dp-answer", novalidate: true, "aria-label": "reject" }, labelled("Reason", reason), reject);
  const answer = element("div", { class: "dp-answers" }, resolves, rejects);
  resolve.type = reject.type = "submit";
  const node = element("li", { class: "dp-card dp-mail" },
    element("div", { class: "dp-row" }, icon("mail"), from, state),
    subject, letter, text.node, answer);

  function check() {
    const error = value.value.trim() ? jsonError(value.value) : "";
    setText(wrong, error);
    value.setAttribute("aria-invalid", String(Boolean(error)));
    return !error;
  }
  value.addEventListener("input", check);
  /** @param {Element} button */
  function click(button) {
    if (check()) panel.run(button, "awakeables.resolve", { awakeable: id, value: value.value });
    else value.focus();
  }
  resolves.addEventListener("submit", (event) => {
    event.preventDefault();
    click(resolve);
  });

  /**
   * The text of a mail, in which the link that holds the awakeable's id can be clicked.
   * @param {string} part
   */
  function withLink(part) {
    const [before, address, after] = aroundLink(part, id);
    if (!address || !host.live) return [document.createTextNode(visible(part))];
    const link = element("button", { type: "button", class: "dp-link dp-the-link", text: visible(address), title: "resolves the awakeable" });
    link.addEventListener("click", () => click(link));
    return [document.createTextNode(visible(before)), link, document.createTextNode(visible(after))];
  }
  rejects.addEventListener("submit", (event) => {
    event.preventDefault();
    panel.run(reject, "awakeables.reject", { awakeable: id, reason: reason.value });
  });

  let shown = "";
  /** @param {AwakeableItem} item */
  function set(item) {
    const target = line(item.target.text, 100);
    setText(from, target);
    const nth = item.number === 1 ? "" : ` ${item.number}`;
    setText(state, item.suspended ? `is suspended on it` : `will wait for it`);
    setText(subject, item.mail ? line(item.mail.kind, 60) : "not sent to anybody yet, as far as the ledger knows");
    subject.classList.toggle("dp-quiet", !item.mail);
    const pairs = linesOf(item.mail?.body ?? { text: `{"awakeable": "${id}"}` });
    if (shown !== (shown = JSON.stringify(pairs))) {
      letter.replaceChildren(...(pairs ?? []).flatMap(([name, part]) => [element("dt", { text: line(name, 30) }), element("dd", {}, ...withLink(part))]));
    }
    letter.hidden = !pairs;
    text.node.hidden = Boolean(pairs);
    text.set(item.mail?.body ?? null, "awakeables.whole", { awakeable: id });
    answer.hidden = !host.live;
    resolve.setAttribute("aria-label", `Resolve the awakeable${nth} of ${target}`);
    reject.setAttribute("aria-label", `Reject the awakeable${nth} of ${target}`);
  }
  return { node, set };
}

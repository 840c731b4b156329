// The panel Requests: choose a handler, fill in what it takes, send it once, ten times or to ten keys.

import { element } from "./live.js";
import { bodyOf, fieldsOf, initialOf, jsonError, sample, valuesOf } from "./form.js";
import { frame, freshId, labelled, line, setText } from "./kit.js";

/** @import { HandlerItem, Send } from "./messages.js" */
/** @import { Field, Form, Typed } from "./form.js" */
/** @import { Host } from "./kit.js" */

/**
 * What edits a body. `read` gives its JSON, none if there is none; or the first control in which something is wrong.
 * `draft` gives what is there, as far as it can be said; `complain` says what is wrong with it as a whole.
 * @typedef {{
 *   node: HTMLElement,
 *   read: () => { text: string | null, first?: HTMLElement },
 *   draft: () => string | undefined,
 *   complain?: (message: string) => void,
 * }} Editor
 */

/** @type {Record<string, string | undefined>} */
const KINDS = { SERVICE: "service", VIRTUAL_OBJECT: "virtual object", WORKFLOW: "workflow" };

/** @param {Host} host */
export function requestsPanel(host) {
  const panel = frame(host, "requests", "Requests");
  const empty = element("p", { class: "dp-empty", text: "Nothing is deployed yet. Deploy a service with %%service or pg.deploy." });
  const target = element("select", { class: "dp-wide" });
  const key = element("input", { type: "text", autocomplete: "off", spellcheck: "false", required: true });
  const keyError = element("p", { class: "dp-error", id: freshId("error") });
  const keyField = labelled("Key", key);
  keyField.append(keyError);
  const bodyPlace = element("div", { class: "dp-body-of-request" });
  const idempotency = element("input", { type: "text", autocomplete: "off", spellcheck: "false" });
  const delay = element("input", { type: "number", min: 0, step: "any", inputmode: "decimal" });
  const options = element("details", {},
    element("summary", { text: "Options" }),
    element("div", { class: "dp-fields" },
      labelled("Idempotency key (requests with the same one are one invocation)", idempotency),
      labelled("Delay, in seconds", delay)));
  const send = button("Send", "dp-primary");
  const sendTen = button("Send 10 on one key");
  const spread = button("Send on 10 keys");
  const form = element("form", { novalidate: true, "aria-label": "request" },
    labelled("Target", target), keyField, bodyPlace, options, element("div", { class: "dp-actions" }, send, sendTen, spread));
  panel.body.append(empty, form);
  key.setAttribute("aria-describedby", keyError.id);
  send.type = "submit";

  /** @type {Map<string, string | undefined>} */
  const drafts = new Map(); // what was typed for a target, while another one was looked at
  /** @type {Record<string, HandlerItem>} */
  let handlers = {};
  /** @type {Editor | null} */
  let body = null;
  let chosen = "";

  /**
   * @param {string} text
   * @param {string} [kind]
   */
  function button(text, kind) {
    return element("button", { type: "button", class: kind ?? null, text });
  }

  /** @param {string} name */
  function choose(name) {
    if (chosen && body) drafts.set(chosen, body.draft());
    chosen = name;
    const handler = handlers[name];
    const keyed = handler.kind !== "SERVICE";
    keyField.hidden = !keyed;
    setText(sendTen, keyed ? "Send 10 on one key" : "Send 10");
    spread.hidden = !keyed;
    body = bodyEditor(handler, drafts.get(name) ?? handler.last);
    bodyPlace.replaceChildren(body.node);
  }

  /**
   * @param {Pick<Send, "times" | "spread">} how
   * @param {Element} from
   */
  async function submit(how, from) {
    const handler = handlers[chosen];
    if (!handler || !body) return;
    const keyed = handler.kind !== "SERVICE";
    const keyMissing = keyed && !key.value;
    setText(keyError, keyMissing ? "A key is needed" : "");
    key.setAttribute("aria-invalid", String(keyMissing));
    const read = body.read();
    if (keyMissing) key.focus();
    else if (read.first) read.first.focus();
    if (keyMissing || read.first) return;
    const answer = await panel.run(from, "requests.send", {
      service: handler.service, handler: handler.handler, key: keyed ? key.value : null, body: read.text,
      idempotencyKey: idempotency.value, delay: delay.value, ...how,
    });
    if (answer?.invocations) host.show(answer.invocations[0]);
  }

  target.addEventListener("change", () => choose(target.value));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit({}, send);
  });
  sendTen.addEventListener("click", () => submit({ times: 10 }, sendTen));
  spread.addEventListener("click", () => submit({ spread: true }, spread));

  /** @param {Record<string, HandlerItem>} items */
  function draw(items) {
    if (sameHandlers(items, handlers)) return;
    const before = handlers;
    handlers = { ...items };
    /** @type {Map<string, Element>} */
    const groups = new Map();
    for (const [name, handler] of Object.entries(items)) {
      const group = groups.get(handler.service) ?? element("optgroup", { label: line(`${handler.service}, ${KINDS[handler.kind] ?? handler.kind}`) });
      groups.set(handler.service, group);
      const shape = handler.kind === "SERVICE" ? name : `${handler.service}/<key>/${handler.handler}`;
      group.append(element("option", { value: name, text: line(shape) + (handler.shared ? " (shared)" : "") }));
    }
    const names = Object.keys(items);
    target.replaceChildren(...groups.values());
    form.hidden = !names.length || !host.live;
    empty.hidden = names.length > 0;
    if (!host.live) panel.said("A saved recording can only be looked at.");
    if (!names.length) return;
    const next = names.includes(chosen) ? chosen : (names.find((name) => items[name].kind === "SERVICE") ?? names[0]);
    target.value = next;
    if (next !== chosen || !sameHandler(before[next], handlers[next])) choose(next);
  }
  return { node: panel.node, draw };
}

/**
 * @param {Record<string, HandlerItem>} one
 * @param {Record<string, HandlerItem>} other
 */
function sameHandlers(one, other) {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => sameHandler(one[name], other[name]));
}

/**
 * @param {HandlerItem | undefined} one
 * @param {HandlerItem | undefined} other
 */
function sameHandler(one, other) {
  const told = (/** @type {HandlerItem | undefined} */ handler) => handler && JSON.stringify({ ...handler, last: null });
  return told(one) === told(other);
}

/**
 * What edits the body of a request.
 * @param {HandlerItem} handler
 * @param {string | null | undefined} draft
 * @returns {Editor}
 */
function bodyEditor(handler, draft) {
  if (handler.input === "none") {
    return { node: element("p", { class: "dp-quiet", text: "This handler takes no body." }), read: () => ({ text: null }), draft: () => undefined };
  }
  const schema = handler.schema === null ? null : JSON.parse(handler.schema);
  const form = fieldsOf(schema);
  const node = element("div", { class: "dp-fields" });
  /** @type {Editor} */
  let editor;

  /**
   * @param {Typed[] | null} values of the form's fields; null: the body is edited as JSON
   * @param {string} text
   */
  function show(values, text) {
    editor = form && values ? fieldsEditor(form, values) : jsonEditor(text, handler.input);
    const toggle = form && element("button", { type: "button", class: "dp-link", text: values ? "Edit as JSON" : "Edit as a form" });
    toggle?.addEventListener("click", () => {
      const read = editor.read();
      const said = editor.draft();
      const found = form && said !== undefined && valuesOf(form, said);
      if (values) show(null, read.text ?? firstText());
      else if (found) show(found, "");
      else editor.complain?.("A form cannot say this body.");
      /** @type {HTMLElement | null} */ (node.querySelector(".dp-link"))?.focus();
    });
    node.replaceChildren(editor.node, ...(toggle ? [toggle] : []));
  }

  function firstText() {
    const initial = form && bodyOf(form, form.fields.map(initialOf));
    return initial?.text ?? sample(schema);
  }

  const text = draft ?? undefined;
  show(form && (text === undefined ? form.fields.map(initialOf) : valuesOf(form, text)), text ?? firstText());
  return { node, read: () => editor.read(), draft: () => editor.draft() };
}

/**
 * @param {string} text
 * @param {string} input
 * @returns {Editor}
 */
function jsonEditor(text, input) {
  const area = element("textarea", { class: "dp-code dp-wide", rows: 4, spellcheck: "false", autocomplete: "off" });
  area.value = pretty(text);
  const error = element("p", { class: "dp-error", id: freshId("error") });
  area.setAttribute("aria-describedby", error.id);
  const about = input && input !== "application/json" ? `Body, ${line(input)}` : "Body, JSON";
  /** @param {string} message */
  function complain(message) {
    setText(error, message);
    area.setAttribute("aria-invalid", String(Boolean(message)));
  }
  area.addEventListener("input", () => complain(jsonError(area.value)));
  const field = labelled(about, area);
  field.append(error);
  return {
    node: field,
    complain,
    draft: () => area.value,
    read() {
      const wrong = jsonError(area.value);
      complain(wrong);
      return wrong ? { text: null, first: area } : { text: area.value };
    },
  };
}

/**
 * @param {Form} form
 * @param {Typed[]} values
 * @returns {Editor}
 */
function fieldsEditor(form, values) {
  const controls = form.fields.map((field, index) => control(field, values[index]));
  const node = element("div", { class: "dp-fields" }, ...controls.map((one) => one.node));
  const typed = () => controls.map((one) => one.value());
  return {
    node,
    draft: () => bodyOf(form, typed()).text,
    read() {
      const read = bodyOf(form, typed());
      controls.forEach((one, index) => one.complain(read.errors?.[index] ?? ""));
      if (read.text !== undefined) return { text: read.text };
      return { text: null, first: controls[read.errors.findIndex(Boolean)].input };
    },
  };
}

/**
 * One field.
 * @param {Field} field
 * @param {Typed} value
 */
function control(field, value) {
  const error = element("p", { class: "dp-error", id: freshId("error") });
  /** @type {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} */
  let input;
  if (field.type === "boolean" && !field.nullable) {
    const box = element("input", { type: "checkbox" });
    box.checked = value === true;
    input = box;
  } else if (field.type === "choice" || field.type === "boolean") {
    const choices = field.choices ?? [true, false];
    const none = field.required && !field.nullable && value !== "" ? [] : [element("option", { value: "", text: field.nullable ? "null" : "–" })];
    input = element("select", {}, ...none, ...choices.map((choice) => element("option", { value: JSON.stringify(choice), text: line(String(choice)) })));
    input.value = String(value);
  } else if (field.type === "json") {
    input = element("textarea", { rows: 2, class: "dp-code", spellcheck: "false" });
    input.value = String(value);
  } else {
    const number = field.type !== "string";
    // A number field of the browser would drop what it cannot read instead of telling us.
    input = element("input", { type: "text", inputmode: number ? "decimal" : null, autocomplete: "off", spellcheck: "false" });
    input.value = String(value);
  }
  input.setAttribute("aria-describedby", error.id);
  if (field.required) input.setAttribute("aria-required", "true");
  const kind = { integer: "whole number", number: "number", json: "JSON", boolean: "", string: "", choice: "" }[field.type];
  const label = [line(field.label) + (field.required ? "" : ", optional"), kind].filter(Boolean).join(", ");
  const node = labelled(label, input, { class: `dp-field dp-field-${field.type}` });
  if (field.about) node.append(element("p", { class: "dp-quiet", text: line(field.about, 200) }));
  node.append(error);
  return {
    node,
    input,
    value: () => (input instanceof HTMLInputElement && input.type === "checkbox" ? input.checked : input.value),
    /** @param {string} message */
    complain(message) {
      setText(error, message);
      input.setAttribute("aria-invalid", String(Boolean(message)));
    },
  };
}

/** @param {string} text */
function pretty(text) {
  try {
    // Only what reads back the same may be laid out anew: long numbers would be rounded.
    const parsed = JSON.parse(text);
    return JSON.stringify(parsed) === text.replace(/\s+/g, "") ? JSON.stringify(parsed, null, 2) : text;
  } catch {
    return text;
  }
}

// The panel Requests: choose a handler, fill in what it takes, send it once, ten times or to ten keys.

import { element } from "./live.js";
import { bodyOf, fieldsOf, initialOf, jsonError, sample, valuesOf } from "./form.js";
import { frame, freshId, labelled, line, setText } from "./kit.js";

const KINDS = { SERVICE: "service", VIRTUAL_OBJECT: "virtual object", WORKFLOW: "workflow" };

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

  const drafts = new Map(); // what was typed for a target, while another one was looked at
  let handlers = {};
  let body = null;
  let chosen = "";

  function button(text, kind) {
    return element("button", { type: "button", class: kind ?? null, text });
  }

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

  async function submit(how, from) {
    const handler = handlers[chosen];
    if (!handler) return;
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
    if (answer) host.show(answer.invocations[0]);
  }

  target.addEventListener("change", () => choose(target.value));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit({}, send);
  });
  sendTen.addEventListener("click", () => submit({ times: 10 }, sendTen));
  spread.addEventListener("click", () => submit({ spread: true }, spread));

  function draw(items) {
    if (sameHandlers(items, handlers)) return;
    const before = handlers;
    handlers = { ...items };
    const groups = new Map();
    for (const [name, handler] of Object.entries(items)) {
      if (!groups.has(handler.service)) groups.set(handler.service, element("optgroup", { label: line(`${handler.service}, ${KINDS[handler.kind] ?? handler.kind}`) }));
      const shape = handler.kind === "SERVICE" ? name : `${handler.service}/<key>/${handler.handler}`;
      groups.get(handler.service).append(element("option", { value: name, text: line(shape) + (handler.shared ? " (shared)" : "") }));
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

function sameHandlers(one, other) {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => sameHandler(one[name], other[name]));
}

function sameHandler(one, other) {
  const told = (handler) => handler && JSON.stringify({ ...handler, last: null });
  return told(one) === told(other);
}

/** The body's editor: {node, read() -> {text, first}, draft()}; first is the control with an error, if any. */
function bodyEditor(handler, draft) {
  if (handler.input === "none") {
    return { node: element("p", { class: "dp-quiet", text: "This handler takes no body." }), read: () => ({ text: null }), draft: () => undefined };
  }
  const schema = handler.schema === null ? null : JSON.parse(handler.schema);
  const form = fieldsOf(schema);
  const node = element("div", { class: "dp-fields" });
  let editor = null;

  function show(asForm, text) {
    const values = asForm ? (text === undefined ? form.fields.map(initialOf) : valuesOf(form, text)) : null;
    editor = values ? fieldsEditor(form, values) : jsonEditor(text ?? firstText(), handler.input);
    const toggle = form && element("button", { type: "button", class: "dp-link", text: values ? "Edit as JSON" : "Edit as a form" });
    toggle?.addEventListener("click", () => {
      const read = editor.read();
      if (values) show(false, read.text ?? firstText());
      else if (valuesOf(form, editor.draft())) show(true, editor.draft());
      else editor.complain("A form cannot say this body.");
      node.querySelector(".dp-link")?.focus();
    });
    node.replaceChildren(editor.node, ...(toggle ? [toggle] : []));
  }

  function firstText() {
    const initial = form && bodyOf(form, form.fields.map(initialOf));
    return initial?.text ?? sample(schema);
  }

  const usable = draft !== undefined && draft !== null ? draft : undefined;
  show(Boolean(form) && (usable === undefined || valuesOf(form, usable) !== null), usable);
  return { node, read: () => editor.read(), draft: () => editor.draft() };
}

function jsonEditor(text, input) {
  const area = element("textarea", { class: "dp-code dp-wide", rows: 4, spellcheck: "false", autocomplete: "off" });
  area.value = pretty(text);
  const error = element("p", { class: "dp-error", id: freshId("error") });
  area.setAttribute("aria-describedby", error.id);
  const about = input && input !== "application/json" ? `Body, ${line(input)}` : "Body, JSON";
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
      return wrong ? { first: area } : { text: area.value };
    },
  };
}

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
      const wrong = controls[read.errors?.findIndex(Boolean) ?? -1];
      return wrong ? { first: wrong.input } : { text: read.text };
    },
  };
}

/** One field: {node, input, value(), complain(message)}. */
function control(field, value) {
  const error = element("p", { class: "dp-error", id: freshId("error") });
  let input;
  if (field.type === "boolean" && !field.nullable) {
    input = element("input", { type: "checkbox" });
    input.checked = value === true;
  } else if (field.type === "choice" || field.type === "boolean") {
    const choices = field.choices ?? [true, false];
    const none = field.required && !field.nullable && value !== "" ? [] : [element("option", { value: "", text: field.nullable ? "null" : "–" })];
    input = element("select", {}, ...none, ...choices.map((choice) => element("option", { value: JSON.stringify(choice), text: line(String(choice)) })));
    input.value = value;
  } else if (field.type === "json") {
    input = element("textarea", { rows: 2, class: "dp-code", spellcheck: "false" });
    input.value = value;
  } else {
    const number = field.type !== "string";
    // A number field of the browser would drop what it cannot read instead of telling us.
    input = element("input", { type: "text", inputmode: number ? "decimal" : null, autocomplete: "off", spellcheck: "false" });
    input.value = value;
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
    value: () => (input.type === "checkbox" ? input.checked : input.value),
    complain(message) {
      setText(error, message);
      input.setAttribute("aria-invalid", String(Boolean(message)));
    },
  };
}

function pretty(text) {
  try {
    // Only what reads back the same may be laid out anew: long numbers would be rounded.
    const parsed = JSON.parse(text);
    return JSON.stringify(parsed) === text.replace(/\s+/g, "") ? JSON.stringify(parsed, null, 2) : text;
  } catch {
    return text;
  }
}

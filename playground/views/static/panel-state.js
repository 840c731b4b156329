// The panel State: what is stored for one key, as it changes, and changing it: first it says what is
// going to be changed, then it asks.

import { element } from "./live.js";
import { jsonError } from "./form.js";
import { confirmed, frame, freshId, keyedList, labelled, line, setText, valueView, visible } from "./kit.js";

/** @import { Clipped, KeysItem, OfKey, StateItem } from "./messages.js" */
/** @import { Host, Shows } from "./kit.js" */

/**
 * @param {Host} host
 * @param {string[]} pinned
 */
export function statePanel(host, pinned) {
  const panel = frame(host, "state", "State");
  const service = element("select");
  const key = element("input", { type: "text", autocomplete: "off", spellcheck: "false" });
  const known = element("datalist", { id: freshId("keys") });
  key.setAttribute("list", known.id);
  const look = element("button", { type: "submit", text: "Look" });
  const picker = element("form", { class: "dp-row dp-picker", novalidate: true, "aria-label": "which key" }, labelled("Object", service), labelled("Key", key), look, known);
  const name = element("bdi");
  const title = element("h4", { hidden: true }, name);
  const empty = element("p", { class: "dp-empty" });
  const body = element("tbody");
  const table = element("table", { hidden: true }, element("thead", {}, element("tr", {}, ...["name", "value", ""].map((text) => (text ? element("th", { scope: "col", text }) : element("td"))))), body);
  const add = element("button", { type: "button", text: "Add a value" });
  const editor = element("div");
  panel.body.append(picker, title, empty, table, element("div", { class: "dp-actions" }, add), editor);
  const update = keyedList(body, (name) => valueRow(name));

  /** @type {Record<string, KeysItem | StateItem>} */
  let items = {};
  /** @type {OfKey | null} */
  let chosen = null;
  let begun = false;

  /**
   * The keys of a service that are known.
   * @param {string} service
   */
  function keysOf(service) {
    const item = items[service];
    return item && "keys" in item ? item.keys : [];
  }

  /** What was read of the key that is looked at; none before it was. */
  function read() {
    const item = chosen && items[JSON.stringify([chosen.service, chosen.key])];
    return item && "values" in item ? item.values : null;
  }

  /**
   * @param {string} name
   * @returns {Shows<Clipped>}
   */
  function valueRow(name) {
    const view = valueView(panel, `value ${line(name, 40)}`);
    const edit = element("button", { type: "button", text: "Edit", "aria-label": `Edit ${line(name)}` });
    const remove = element("button", { type: "button", text: "Remove", "aria-label": `Remove ${line(name)}` });
    const node = element("tr", {},
      element("th", { scope: "row" }, element("bdi", { text: line(name, 60) })),
      element("td", {}, view.node), element("td", { class: "dp-actions" }, edit, remove));
    edit.hidden = remove.hidden = !host.live;
    edit.addEventListener("click", () => chosen && change(chosen, name, edit));
    remove.addEventListener("click", () => chosen && takeAway(chosen, name, remove));
    return { node, set: (value) => chosen && view.set(value, "state.whole", { ...chosen, name }) };
  }

  /**
   * The whole text of a value: an edit starts from it, and is refused if it is another one by then.
   * @param {OfKey} at
   * @param {string} name
   * @param {Element} button
   */
  async function textOf(at, name, button) {
    const value = read()?.[name];
    return value?.length ? (await panel.run(button, "state.whole", { ...at, name }))?.text : value?.text;
  }

  /**
   * @param {OfKey} at
   * @param {string} name
   * @param {Element} button
   */
  async function takeAway(at, name, button) {
    const seen = await textOf(at, name, button);
    if (seen === undefined) return;
    const where = `${line(at.service)}/${line(at.key)}`;
    if (!(await confirmed(editor, `Remove ${line(name)} from the state of ${where}? The handlers will find nothing there.`, "Remove", "Keep it", true))) return;
    await panel.run(button, "state.edit", { ...at, changes: { [name]: null }, seen: { [name]: seen } });
  }

  /**
   * @param {OfKey} at
   * @param {string | null} name null: a value is added
   * @param {HTMLElement} button
   */
  async function change(at, name, button) {
    const seen = name === null ? null : await textOf(at, name, button);
    if (seen === undefined) return;
    const nameInput = element("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    const area = element("textarea", { class: "dp-code dp-wide", rows: Math.min(8, 1 + (seen ?? "").split("\n").length), spellcheck: "false" });
    area.value = seen ?? "";
    const error = element("p", { class: "dp-error", id: freshId("error") });
    area.setAttribute("aria-describedby", error.id);
    const review = element("button", { type: "submit", class: "dp-primary", text: "Review the change" });
    const leave = element("button", { type: "button", text: "Leave it" });
    const field = labelled(name === null ? "Value, JSON" : `New value of ${line(name, 40)}, JSON`, area);
    field.append(error);
    const form = element("form", { class: "dp-edit", novalidate: true, "aria-label": "edit" }, ...(name === null ? [labelled("Name", nameInput)] : []), field, element("div", { class: "dp-actions" }, review, leave));
    function end() {
      editor.replaceChildren();
      (button.isConnected ? button : panel.heading).focus();
    }
    /**
     * @param {string} message
     * @param {HTMLElement} input
     */
    function complain(message, input = area) {
      setText(error, message);
      area.setAttribute("aria-invalid", String(Boolean(message)));
      if (message) input.focus();
      return Boolean(message);
    }
    area.addEventListener("input", () => setText(error, jsonError(area.value)));
    leave.addEventListener("click", end);
    form.addEventListener("keydown", (event) => event.key === "Escape" && end());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const called = name ?? nameInput.value;
      const values = read() ?? {};
      if (!called && complain("A name is needed", nameInput)) return;
      if (name === null && Object.hasOwn(values, called) && complain("There is a value of that name already", nameInput)) return;
      if (complain(jsonError(area.value))) return;
      if (area.value === seen) return end();
      const text = area.value;
      const question = [
        element("p", { text: `${name === null ? "Add" : "Change"} ${line(called)} in the state of ${line(at.service)}/${line(at.key)}?` }),
        element("dl", { class: "dp-change" },
          ...(seen === null ? [] : [element("dt", { text: "from" }), element("dd", {}, element("del", { text: visible(seen.slice(0, 300)) }))]),
          element("dt", { text: "to" }), element("dd", {}, element("ins", { text: visible(text.slice(0, 300)) }))),
        element("p", { class: "dp-quiet", text: "Restate applies it when the key's lock is free. If a handler writes this value first, nothing is changed." }),
      ];
      const agreed = await confirmed(editor, question, "Change the state", "Keep it as it is");
      end();
      if (agreed) await panel.run(button, "state.edit", { ...at, changes: { [called]: text }, seen: { [called]: seen } });
    });
    editor.replaceChildren(form);
    (name === null ? nameInput : area).focus();
  }

  /**
   * Look at a key: what was read of it is shown at once, and from now on it is read as it changes.
   * @param {OfKey} of
   * @param {Element | boolean} ask the button that asks the kernel for that; false: it does so already
   */
  function watch(of, ask) {
    chosen = of;
    editor.replaceChildren();
    if (ask && host.live) panel.run(ask === true ? null : ask, "watch", of, `look at ${line(`${of.service}/${of.key}`)}`);
    draw(items);
  }

  picker.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!key.value) key.focus();
    else watch({ service: service.value, key: key.value }, look);
  });
  service.addEventListener("change", () => {
    offerKeys();
    key.value = keysOf(service.value)[0] ?? "";
  });
  add.addEventListener("click", () => chosen && change(chosen, null, add));

  function offerKeys() {
    known.replaceChildren(...keysOf(service.value).map((text) => element("option", { value: text })));
  }

  function begin() {
    const first = pinned.map((id) => /** @type {[string, string]} */ (JSON.parse(id)))[0];
    const called = Object.keys(items).find((name) => keysOf(name).length);
    if (first) {
      key.value = first[1];
      service.value = first[0];
      begun = true;
      watch({ service: first[0], key: first[1] }, false); // the kernel watches it already
    } else if (called !== undefined) {
      begun = true;
      service.value = called;
      offerKeys();
      key.value = keysOf(called)[0];
      watch({ service: called, key: key.value }, true);
    }
  }

  /** @param {Record<string, KeysItem | StateItem>} next */
  function draw(next) {
    items = next;
    const names = Object.keys(items).filter((name) => "keys" in items[name]);
    if (names.join("\n") !== [...service.options].map((option) => option.value).join("\n")) {
      const was = service.value;
      service.replaceChildren(...names.map((name) => element("option", { value: name, text: line(name) })));
      if (names.includes(was)) service.value = was;
    }
    offerKeys();
    if (!begun) {
      begin();
      if (begun) return;
    }
    picker.hidden = !names.length;
    const stored = read();
    const values = stored ?? {};
    title.hidden = !chosen;
    if (chosen) setText(name, line(`${chosen.service}/${chosen.key}`, 100));
    update(Object.keys(values).sort(), (name) => values[name]);
    table.hidden = !Object.keys(values).length;
    add.hidden = !stored || !host.live;
    empty.hidden = !table.hidden;
    setText(empty, !names.length ? "No virtual object or workflow is deployed: only those have keys, with a state each." : !chosen ? "No key was called yet. Type one, or send a request to one." : stored ? "Nothing is stored for this key." : "Reading…");
    panel.note(stored ? "live" : "");
  }
  return { node: panel.node, draw };
}

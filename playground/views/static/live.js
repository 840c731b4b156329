// The page's end of a live widget (see live.py): keeps the picture up to date, sends actions, follows
// the theme. It holds the *picture* object the widget's model holds and changes it in place, so that a
// second view of the same widget starts with all that the first one knows.

const BUSY_AFTER = 300; // ms without an answer until the page says that the kernel is busy

/**
 * Bring a picture up to date with a delta, in place. Items are whole; null takes one away.
 * @returns {boolean} false if the delta begins after what the picture knows: something was missed.
 */
export function applyDelta(picture, delta) {
  if (delta.from > picture.at) return false;
  if (delta.to <= picture.at) return true; // another view of this widget has applied it
  Object.assign((picture.values ??= {}), delta.data.values);
  picture.tables ??= {};
  if (delta.whole) {
    for (const [name, table] of Object.entries(picture.tables)) {
      const items = ((delta.data.tables ??= {})[name] ??= {});
      for (const key of Object.keys(table)) items[key] ??= null; // what the whole picture lacks is gone
    }
  }
  for (const [name, items] of Object.entries(delta.data.tables ?? {})) {
    const table = (picture.tables[name] ??= {});
    for (const [key, item] of Object.entries(items)) {
      if (item === null) delete table[key];
      else table[key] = item;
    }
  }
  picture.at = delta.to;
  return true;
}

/**
 * Connect a view to its kernel.
 * @param model anywidget's model.
 * @param onChange called with the delta's data after the picture has changed.
 * @param onBusy called with true while an action waits for a busy kernel, with false when none does; and with
 *   whether a kernel has ever answered: a view restored from a saved notebook may have none.
 * @returns {{picture, act, now, close}}
 *   picture: {values, tables};
 *   act(name, data): a promise of the kernel's answer, rejected with an Error that holds its text;
 *   now(): Unix seconds on the kernel's clock;
 *   close(): stop listening and tell the kernel that this view is gone.
 */
export function connect(model, { onChange = () => {}, onBusy = () => {} } = {}) {
  const picture = model.get("snapshot");
  const view = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const pending = new Map();
  let clock = picture.now - Date.now() / 1000;
  let asked = 0;
  let lastId = 0;
  let heard = false;

  function say(message) {
    try {
      model.send({ ...message, view });
    } catch {
      // the kernel is gone; what is shown stays
    }
  }

  function ask() {
    asked = picture.at;
    say({ type: "have", at: picture.at });
  }

  function busy() {
    onBusy([...pending.values()].some((action) => action.late), heard);
  }

  function receive(message) {
    heard = true;
    if (message.type === "delta") {
      clock = message.now - Date.now() / 1000;
      if (applyDelta(picture, message)) onChange(message.data);
      else if (asked !== picture.at) ask(); // once per gap: the answer may have to wait for a cell
    } else if (message.type === "answer" && pending.has(message.id)) {
      const action = pending.get(message.id);
      pending.delete(message.id);
      clearTimeout(action.timer);
      busy();
      if (message.error === undefined) action.resolve(message.value);
      else action.reject(new Error(message.error));
    }
  }

  function act(name, data = {}) {
    return new Promise((resolve, reject) => {
      const id = `${view}/${++lastId}`;
      const action = { resolve, reject, late: false };
      action.timer = setTimeout(() => {
        action.late = true;
        busy();
      }, BUSY_AFTER);
      pending.set(id, action);
      say({ type: "act", id, name, data });
    });
  }

  function close() {
    model.off("msg:custom", receive);
    for (const action of pending.values()) clearTimeout(action.timer);
    pending.clear();
    say({ type: "closed" });
  }

  model.on("msg:custom", receive);
  ask();
  return { picture, act, close, now: () => Date.now() / 1000 + clock };
}

/**
 * Make an element. Text is only ever set as text, never parsed.
 * @param tag e.g. "button", or "svg:path" for an SVG element.
 * @param props attributes; `on…` are listeners, `text` is the text content, false and null are left out.
 */
export function element(tag, props = {}, ...children) {
  const svg = tag.startsWith("svg:");
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Text from outside as one line that cannot act: control and direction marks become spaces, long text is cut. */
export function clean(text, most = 120) {
  const line = String(text).slice(0, most + 1).replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu, " ");
  return line.length > most ? line.slice(0, most - 1) + "…" : line;
}

/**
 * Mark an element `data-theme="light|dark"`, as JupyterLab, VS Code or the browser has it, and keep it so.
 * @returns a function that stops it.
 */
export function followTheme(root) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const body = document.body;
  function look() {
    const lab = body.dataset.jpThemeLight; // JupyterLab: "true" or "false"
    const code = body.dataset.vscodeThemeKind; // VS Code: "vscode-dark", "vscode-light", …
    const isDark = lab ? lab === "false" : code ? code.includes("dark") || code === "vscode-high-contrast" : dark.matches;
    root.dataset.theme = isDark ? "dark" : "light";
  }
  const watch = new MutationObserver(look);
  watch.observe(body, { attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });
  dark.addEventListener("change", look);
  look();
  return () => {
    watch.disconnect();
    dark.removeEventListener("change", look);
  };
}

/** Whether the reader asked for less motion. */
export function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

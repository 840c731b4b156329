// The details of the selected entry: what went in and came out, what became of it in each attempt, its
// service-protocol frames and its line of source. They are asked for when an entry is selected, and again
// when it changes.

import { clean, element, messageOf } from "./live.js";
import { cellText, duration, markAt, waitsAt } from "./moment.js";

/** @import { Delta, Details, LensChanged, LensValues, Source, Value } from "./messages.js" */
/** @import { Lens } from "./lens.js" */
/** @import { Entry } from "./moment.js" */

const SHOWN = 2000; // characters of a value, until somebody asks for all

/** @param {Lens} lens */
export function makeDetails(lens) {
  const { state, live } = lens;
  const heading = element("h4", { class: "lens-details-title" });
  const attempts = element("ul", { class: "lens-tries" });
  const fetched = element("div", { class: "lens-fetched" });
  const close = element("button", {
    class: "lens-close", type: "button", text: "✕", "aria-label": "Close the details", title: "Close the details",
    onclick: () => lens.select(state.selected),
  });
  const box = element("section", { class: "lens-details", "aria-label": "Details of the selected entry" }, heading, close, attempts, fetched);
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape") lens.select(state.selected);
  });
  /** @type {string | null} */
  let shown = null; // the id whose details are here or on their way
  let asked = 0;

  /** @param {Entry} entry */
  async function fetch(entry) {
    const mine = ++asked;
    shown = entry.id;
    try {
      const details = await live.entry(entry.id);
      if (mine === asked) fetched.replaceChildren(...parts(details, entry));
    } catch (error) {
      if (mine === asked) fetched.replaceChildren(element("p", { class: "dp-error", text: messageOf(error) }));
    }
  }

  /**
   * @param {Details} details
   * @param {Entry} entry
   */
  function parts(details, entry) {
    return [
      value(["Input", "Output"].includes(entry.type) ? "Value" : "Value in", details.in, entry, "in"),
      value("Value out", details.out, entry, "out"),
      entry.failure ? fact("Failure", `${entry.failure[0]}: ${entry.failure[1]}`) : null,
      details.mismatch ? fact("Why it does not fit", details.mismatch) : null,
      details.awakeable ? fact("Awakeable", details.awakeable, true) : null,
      entry.callee ? fact("Invocation", entry.callee, true) : null,
      details.source ? source(details.source) : null,
      details.frames.length ? frames(details) : null,
    ].filter((part) => part !== null);
  }

  /**
   * @param {string} name
   * @param {string} text
   * @param {boolean} [code]
   */
  function fact(name, text, code = false) {
    return element("div", { class: "lens-fact" }, element("h5", { text: name }), element(code ? "code" : "span", { text }));
  }

  /**
   * @param {string} name
   * @param {Value | undefined} found
   * @param {Entry} entry
   * @param {"in" | "out"} side
   */
  function value(name, found, entry, side) {
    if (!found) return null;
    if (!found.size) return fact(name, "empty");
    const text = element("pre", { class: "lens-value", tabindex: 0, role: "group", "aria-label": name });
    const note = element("span", { class: "lens-size" });
    const showAll = async () => {
      all.disabled = true;
      try {
        const whole = found.cut ? await live.act("value", { entry: entry.id, side }) : found;
        text.textContent = whole.text;
        note.textContent = `${whole.size} bytes`;
        all.remove();
      } catch (error) {
        note.textContent = messageOf(error);
      }
    };
    const all = element("button", { type: "button", text: "show all", onclick: showAll });
    text.textContent = found.text.slice(0, SHOWN);
    const more = found.text.length > SHOWN || (found.cut && live.actions());
    note.textContent = more || found.cut ? `the first ${text.textContent.length} characters of ${found.size} bytes` : `${found.size} bytes`;
    return element("div", { class: "lens-fact" }, element("h5", { text: name }), note, more ? all : null, text);
  }

  /** @param {Source} source */
  function source({ revision, line, first, lines }) {
    const shownLines = lines.map((text, n) =>
      element("span", { class: first + n === line ? "here" : "" }, element("i", { text: String(first + n) }), document.createTextNode(`${text}\n`)),
    );
    return element(
      "div", { class: "lens-fact" },
      element("h5", { text: `Source, line ${line} of ${revision}` }),
      element("pre", { class: "lens-source", tabindex: 0, role: "group", "aria-label": `Source, line ${line}` }, ...shownLines),
    );
  }

  /** @param {Details} details */
  function frames({ frames: all }) {
    const head = element("tr", {}, ...["after", "attempt", "frame", "size"].map((text) => element("th", { scope: "col", text })));
    const body = all.map((frame) =>
      element(
        "tr", {},
        element("td", { text: duration(frame.at) }),
        element("td", { text: String(frame.attempt) }),
        element("td", { title: frame.says }, element("code", { text: frame.name })),
        element("td", { text: frame.size === undefined ? "" : `${frame.size} B` }),
      ),
    );
    return element(
      "div", { class: "lens-fact" },
      element("h5", { text: "Service protocol frames" }),
      element(
        "div", { class: "lens-frames", tabindex: 0, role: "region", "aria-label": "Service protocol frames" },
        element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)),
      ),
    );
  }

  return {
    element: box,
    /** @param {Delta<LensValues, LensChanged>} data */
    changed(data) {
      if (shown && data.tables?.entries?.[shown]) shown = null; // draw() asks again
    },
    draw() {
      const entry = state.selected && lens.found.traces.get(state.selected.split("/", 1)[0])?.byRow.get(rowOf(state.selected));
      box.hidden = !entry;
      if (!entry) {
        shown = null;
        fetched.replaceChildren();
        return;
      }
      heading.textContent = clean(`${entry.type} ${entry.label}`, 200);
      const tries = entry.trace.attempts
        .filter((attempt) => attempt.at <= lens.view.t && (markAt(entry, attempt, lens.view.t) || waitsAt(entry, lens.view.t).some((w) => w.attempt === attempt)))
        .map((attempt) => element("li", { text: `${cellText(entry, attempt, lens.view.t)} on ${attempt.pod}` }));
      if (attempts.textContent !== tries.map((item) => item.textContent).join("")) attempts.replaceChildren(...tries);
      if (shown !== entry.id) fetch(entry);
    },
  };
}

/** @param {string} id */
function rowOf(id) {
  return id.slice(id.indexOf("/") + 1);
}

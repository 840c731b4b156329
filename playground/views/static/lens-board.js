// The board: the time axis, a lane for each pod, what the outside world saw, the attempts' heads and, behind
// everything, their bands. The rows are in lens-rows.js. All of it shares one horizontal scale.

import { clean, element } from "./live.js";
import { attemptText, circled, duration, effectWord, outcomeAt, phaseAt, podCounts, waitsAt } from "./moment.js";
import { lanes, stretches, ticks } from "./layout.js";
import { paint, px } from "./lens-paint.js";
import { makeRows } from "./lens-rows.js";

/** @import { Spec } from "./lens-paint.js" */
/** @import { Lens, Looked, Measures } from "./lens.js" */
/** @import { Pod } from "./moment.js" */

const PAD = 14; // px before the plot
const END = 30; // px after it
const HEAD = 130; // px that every head has before the next one may take them
const LANE = 20; // px, as in lens.css
const LETTER = 6.5; // px that a letter of a pod's name takes, at most
const AGAIN = { happened: "", repeated: ", known by its key: nothing happened again", refused: ", refused: nothing happened" };
/** @type {Record<string, string | undefined>} */
const NOTES = { killed: "killed", stopped: "stopped", crashed: "crashed", refused: "refused" };

/** @param {Lens} lens */
export function makeBoard(lens) {
  const { state } = lens;
  const hatch = `lens-hatch-${crypto.getRandomValues(new Uint32Array(1))[0]}`; // there may be many lenses
  const backdrop = element("svg:svg", { class: "lens-backdrop", "aria-hidden": "true" });
  const axisLine = element("div", { class: "lens-axis", "aria-hidden": "true" });
  const podNames = element("div", { class: "lens-side" });
  const podList = element("ul", { class: "lens-lanes", "aria-label": "Pods" });
  const podLine = element("div", { class: "lens-line" }, podNames, podList);
  const counts = element("div", { class: "lens-counts", "aria-hidden": "true" });
  const podCount = element("div", { class: "lens-side lens-count-name" });
  const effectList = element("ul", { class: "lens-lanes", "aria-label": "What reached the outside world" });
  const effectLine = element(
    "div", { class: "lens-line lens-outside" },
    element("div", { class: "lens-side", text: "Outside world" }), effectList,
  );
  const heads = element("div", { class: "lens-heads", role: "row" });
  const rows = makeRows(lens);
  const grid = element(
    "div", { class: "lens-grid", role: "treegrid", "aria-label": "Journal entries by attempt", onkeydown: rows.key },
    heads, rows.element,
  );
  const panned = element("div", {});
  const strip = element("div", { class: "lens-strip", tabindex: 0, role: "region", "aria-label": "Scroll through time", onscroll: () => panTo(strip.scrollLeft) }, panned);
  const clock = element("span", {});
  const playhead = element("div", { class: "lens-playhead", "aria-hidden": "true" }, clock);
  const board = element(
    "div", { class: "lens-board", onwheel: wheel },
    backdrop,
    axisLine,
    podLine,
    element("div", { class: "lens-line" }, podCount, counts),
    effectLine,
    grid,
    strip,
    playhead,
  );

  /** @type {ReturnType<typeof ticks>} */
  let marked = [];
  /** @type {ReturnType<typeof podCounts>} */
  let steps = [];

  /** @param {number} pan */
  function panTo(pan) {
    if (Math.abs(pan - state.pan) < 1) return;
    state.pan = pan;
    lens.draw();
  }

  /** @param {WheelEvent} event */
  function wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const around = event.clientX - board.getBoundingClientRect().left - lens.view.side;
      lens.zoomBy(Math.exp(-event.deltaY / 300), around);
    } else if (state.zoom > 1 && Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      state.pan += event.deltaX;
      lens.draw();
    }
  }

  /**
   * Where things are on the page.
   * @param {Looked} looked
   * @returns {Measures}
   */
  function measure({ scale }) {
    const side = board.clientWidth < 640 ? 150 : 250;
    board.parentElement?.style.setProperty("--side", px(side));
    const plot = Math.max(80, board.clientWidth - side - rows.gutter());
    const whole = plot * state.zoom;
    state.pan = Math.min(Math.max(0, state.pan), whole - plot);
    strip.hidden = state.zoom <= 1;
    panned.style.width = px(whole + side);
    if (!strip.hidden && Math.abs(strip.scrollLeft - state.pan) > 1) strip.scrollLeft = state.pan;
    return {
      side,
      plot,
      x: (t) => PAD + scale.at(t) * (whole - PAD - END) - state.pan,
      time: (x) => scale.time((x + state.pan - PAD) / (whole - PAD - END)),
      extent: [PAD, PAD + scale.used * (plot - PAD - END)],
    };
  }

  function drawAxis() {
    const { view } = lens;
    marked = ticks({ ...view, width: view.plot });
    paint(axisLine, marked.map((tick) => ["span", { style: { left: px(view.side + tick.x) } }, tick.label]));
  }

  function drawPods() {
    const { view, found } = lens;
    const known = found.pods.filter((pod) => pod.at <= view.t);
    const { lane, count } = lanes(found.pods);
    podList.style.height = px(Math.max(1, count) * LANE + 4);
    /** @type {Spec[]} */
    const specs = [];
    for (const pod of known) {
      const gone = Math.min(pod.gone ?? Infinity, view.moment);
      const [left, right] = [view.x(Math.max(pod.at, view.from)), view.x(gone)];
      if (right < 0 || left > view.plot || specs.length > 60) continue;
      const ready = view.x(Math.min(pod.ready ?? Infinity, gone));
      const phase = phaseAt(pod, view.t);
      const over = pod.gone !== undefined && pod.gone <= view.t;
      const room = right - ready;
      const inside = room > 20 + LETTER * pod.name.length ? `${circled(pod.n)} ${pod.name}` : room > 14 ? circled(pod.n) : "";
      const style = { left: px(left), width: px(Math.max(3, right - left)), top: px((lane.get(pod.name) ?? 0) * LANE + 3) };
      specs.push(["li", {
        class: `lens-pod c${colour(pod.n)} ${pod.at < view.from ? "earlier" : ""} ${over ? "" : "there"}`,
        "data-phase": phase, "data-pod": pod.name, style, "aria-label": podText(pod, view), title: podText(pod, view),
      }, [
        ["span", { class: "lens-cold", style: { width: px(Math.max(0, ready - left)) } }],
        ["span", { class: "lens-pod-name", style: { left: px(ready - left) } }, inside],
        ["span", { class: "lens-note" }, over ? NOTES[pod.phase] ?? pod.phase : ""],
      ]]);
    }
    paint(podList, specs);
    const revisions = [...new Set(known.map((pod) => pod.revision))].map((name) => clean(name, 40));
    paint(podNames, [["b", {}, "Pods"], ["span", {}, revisions.length ? `revision ${revisions.join(", ")}` : ""]]);
    drawCounts();
  }

  function drawCounts() {
    const { view, found } = lens;
    steps = podCounts(found.pods, view.from, view.moment);
    /** @type {Spec[]} */
    const specs = [];
    for (const { from, to, count } of steps) {
      const [left, right] = [Math.max(0, view.x(from)), Math.min(view.plot, view.x(to))];
      if (right - left < 1 || specs.length > 40) continue;
      const style = { left: px(left), width: px(right - left) };
      specs.push(["span", { class: count ? "" : "none", style }, right - left > 9 ? String(count) : ""]);
    }
    paint(counts, specs);
    podCount.textContent = "number";
  }

  function drawEffects() {
    const { view, found } = lens;
    effectLine.hidden = !found.effects.length;
    /** @type {Spec[]} */
    const specs = [];
    const known = found.effects.filter((effect) => effect.at <= view.t);
    known.forEach((effect, position) => {
      const x = view.x(effect.at);
      if (x < 0 || x > view.plot || specs.length > 60) return;
      const room = (known[position + 1] ? view.x(known[position + 1].at) : view.plot) - x;
      const text = `${effect.kind || "effect"}${AGAIN[effectWord(effect)]}`;
      specs.push(["li", {
        class: "lens-seen", style: { left: px(x) }, title: `${text}, after ${duration(effect.at - view.from)}`, "aria-label": text,
      }, [
        ["i", { class: `lens-sign effect ${effectWord(effect)}` }],
        ["span", {}, room > 70 ? clean(effect.kind, 24) : ""],
      ]]);
    });
    paint(effectList, specs);
  }

  function drawHeads() {
    const { view, found } = lens;
    const begun = found.root.attempts.filter((attempt) => attempt.at <= view.t);
    /** @type {Spec[]} */
    const specs = [["div", { class: "lens-corner", role: "columnheader" }, "Journal"]];
    let limit = view.plot; // where the next head begins
    for (let n = begun.length - 1; n >= 0; n -= 1) {
      const attempt = begun[n];
      const band = view.x(attempt.at);
      if (band > view.plot || view.x(Math.min(attempt.end ?? Infinity, view.moment)) < 0) continue;
      const text = attemptText(attempt, view.t);
      // A head may begin left of its narrow band if what it says would not fit, and if there is room.
      const earlier = n ? view.x(begun[n - 1].at) + HEAD : 0;
      const left = Math.max(0, Math.min(band, Math.max(limit - Math.max(118, text.length * 3.4 + 30), earlier)));
      const room = limit - left - 8;
      if (specs.length > 40 || room < 10) continue;
      limit = left;
      const name = room > 96 ? `attempt ${attempt.number} on ${circled(attempt.ordinal)}` : room > 64 ? `attempt ${attempt.number}` : `${attempt.number}`;
      specs.push(["div", {
        class: `lens-head c${colour(attempt.ordinal)}`, role: "columnheader", "aria-colindex": attempt.number + 1,
        style: { left: px(view.side + left), "max-width": px(room) },
        title: `attempt ${attempt.number} on ${attempt.pod}: ${text}`,
        "data-attempt": attempt.number, "data-outcome": outcomeAt(attempt, view.t),
      }, [["b", {}, name], ["span", {}, text]]]);
    }
    specs.splice(1, Infinity, ...specs.slice(1).reverse());
    paint(heads, specs);
    grid.setAttribute("aria-colcount", String(found.root.attempts.length + 1));
    grid.setAttribute("aria-rowcount", String(view.shown.length + 1));
  }

  /**
   * A height at which no wait's dotted line passes.
   * @param {ReturnType<typeof rows.box>} body
   */
  function quietPlace(body) {
    const { view } = lens;
    const lines = view.shown.flatMap(({ entry }, n) => (waitsAt(entry, view.t).length ? [body.y(n + 0.5)] : []));
    const places = [0.62, 0.35, 0.82, 0.15].map((share) => body.top + share * (body.bottom - body.top));
    return places.find((y) => lines.every((line) => Math.abs(line - y - 4) > 26)) ?? places[0];
  }

  function drawBackdrop() {
    const { view, found } = lens;
    const height = board.clientHeight - (strip.hidden ? 0 : strip.offsetHeight);
    const lanesTop = podLine.offsetTop;
    const body = rows.box();
    /** @type {Spec[]} */
    const specs = [["svg:defs", {}, [
      ["svg:pattern", { id: hatch, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, [
        ["svg:line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 7 }],
      ]],
    ]]];
    const at = (/** @type {number} */ x) => view.side + Math.min(Math.max(x, 0), view.plot);
    const lines = marked.map((tick) => `M${at(tick.x)} 22V${body.bottom}`).join("");
    specs.push(["svg:path", { class: "grid", d: lines }]);
    for (const { from, to, count } of steps) {
      const [left, right] = [at(view.x(from)), at(view.x(to))];
      if (count || right - left < 1) continue;
      specs.push(["svg:rect", { class: "empty", fill: `url(#${hatch})`, x: left, y: lanesTop, width: right - left, height: body.bottom - lanesTop }]);
      const width = right - left;
      if (width < 62) continue;
      const text = width > 165 ? `${duration(to - from)} waiting, nothing runs` : duration(to - from);
      const y = quietPlace(body);
      specs.push(["svg:text", { class: "empty-text", x: (left + right) / 2, y }, "0 pods"]);
      specs.push(["svg:text", { class: "empty-text small", x: (left + right) / 2, y: y + 16 }, text]);
    }
    for (const { trace, first, last, level } of stretches(view.shown)) {
      const [top, bottom] = [Math.max(body.top, body.y(first)), Math.min(body.bottom, body.y(last + 1))];
      if (bottom <= top) continue;
      for (const attempt of trace.attempts) {
        if (attempt.at > view.t) continue;
        const [left, right] = [at(view.x(attempt.at)), at(view.x(Math.min(attempt.end ?? Infinity, view.moment)))];
        if (right - left < 0.5 || specs.length > 120) continue;
        const band = `band c${colour(attempt.ordinal)} ${level > 1 ? "nested" : ""}`;
        const y = level > 1 ? top : top - 4;
        specs.push(["svg:rect", { class: band, x: left, y, width: Math.max(2, right - left), height: bottom - y, rx: 5 }]);
      }
    }
    const { lane } = lanes(found.pods);
    for (const pod of found.pods) {
      if (!["killed", "crashed"].includes(pod.phase) || pod.gone === undefined || pod.gone > view.t) continue;
      const x = view.x(pod.gone);
      const y = lanesTop + (lane.get(pod.name) ?? 0) * LANE + 12;
      if (x >= 0 && x <= view.plot) specs.push(["svg:path", { class: "kill", d: `M${at(x)} ${y}V${body.bottom}` }]);
    }
    paint(backdrop, specs);
    backdrop.setAttribute("height", String(height));
    playhead.hidden = state.t === null;
    clock.textContent = duration(view.moment - view.from);
    playhead.style.left = px(at(view.x(view.moment)));
    playhead.style.height = px(body.bottom - 18);
  }

  return {
    element: board,
    measure,
    draw() {
      drawAxis();
      drawPods();
      drawEffects();
      drawHeads();
      rows.draw();
      drawBackdrop();
    },
  };
}

/**
 * A pod's colour, 1 to 4, from its ordinal.
 * @param {number} ordinal
 */
export function colour(ordinal) {
  return ordinal < 1 ? 1 : ((ordinal - 1) % 4) + 1;
}

/**
 * @param {Pod} pod
 * @param {Looked} view
 */
function podText(pod, view) {
  const since = (/** @type {number} */ at) => duration(Math.abs(at - view.from)) + (at < view.from ? " before the start" : "");
  const parts = [`${pod.label} (${pod.name}): started at ${since(pod.at)}`];
  if (pod.ready !== undefined && pod.ready <= view.t) parts.push(`ready after ${duration(pod.ready - pod.at)}`);
  if (pod.gone !== undefined && pod.gone <= view.t) parts.push(`${pod.phase} at ${since(pod.gone)}`);
  else parts.push(phaseAt(pod, view.t) ?? "");
  return parts.join(", ");
}

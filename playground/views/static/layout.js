// Where things go: the time axis, the rows, the lanes of pods. Pure functions; layout.py draws the static
// picture by the same rules, and a test holds the two together.

import { duration } from "./moment.js";

/** @import { Entry, Found, Pod, Trace } from "./moment.js" */

/**
 * A row of the lens: an entry, how deep it stands, and the invocation it has called, if that has entries of its own.
 * @typedef {{ entry: Entry, level: number, child: Trace | null }} Row
 */

/**
 * A time axis: `at` is a time's place on it, from 0 to 1, `time` the time at a place; `used` is how much of it is filled.
 * @typedef {{ from: number, to: number, used: number, at: (t: number) => number, time: (place: number) => number }} Axis
 */

const GRAIN = 0.002; // seconds: below this a gap is drawn true to scale, above it ever shorter
const LEAST = 0.5; // units of every gap, so that one step can be told from the next
const LONG = 6; // units: what goes beyond counts a third
const ROOM = 2.4; // units more after an attempt's start: the column of replayed marks goes there
const MOST_POINTS = 2000;
const FULL = 60; // units: a picture with fewer does not fill the width yet

/**
 * How wide a gap of `d` seconds is drawn, in units.
 * @param {number} d
 */
export function gapUnits(d) {
  if (d < 2e-5) return 0;
  const units = LEAST + Math.log2(1 + d / GRAIN);
  return units <= LONG ? units : LONG + (units - LONG) / 3;
}

/**
 * The moments at which something began or ended, sorted, and those at which an attempt did begin.
 * @param {Found} found
 * @param {Trace[]} traces those whose rows are shown.
 * @param {number} from
 * @param {number} to
 */
export function points(found, traces, from, to) {
  const kept = new Set([from, to]);
  /** @type {Set<number>} */
  const starts = new Set();
  const keep = (/** @type {number | undefined} */ at) => at !== undefined && at >= from && at <= to && kept.add(at);
  for (const pod of found.pods) [pod.at, pod.ready, pod.gone].forEach(keep);
  for (const effect of found.effects) keep(effect.at);
  /** @type {number[]} */
  let steps = [];
  for (const trace of traces) {
    for (const attempt of trace.attempts) {
      if (keep(attempt.at)) starts.add(attempt.at);
      keep(attempt.end);
    }
    for (const entry of trace.entries) {
      for (const [how, at, until] of Object.values(entry.marks)) {
        if (how !== "replayed" && at >= from && at <= to) steps.push(at);
        if (typeof until !== "number") continue;
        if (until > at && until <= to && (how !== "replayed" || until - at > GRAIN)) steps.push(until);
      }
    }
  }
  if (steps.length > MOST_POINTS) {
    const every = Math.ceil(steps.length / MOST_POINTS);
    steps = steps.sort((a, b) => a - b).filter((_, position) => position % every === 0);
  }
  for (const at of steps) kept.add(at);
  return { times: [...kept].sort((a, b) => a - b), starts };
}

/**
 * A time axis through these points.
 * @param {{ times: number[], starts: Set<number> }} points
 * @param {boolean} collapsed long gaps are drawn shorter than they were; else true to scale.
 * @returns {Axis}
 */
export function axis({ times, starts }, collapsed) {
  const from = times[0];
  const to = times[times.length - 1];
  const units = [0];
  for (let i = 1; i < times.length; i += 1) {
    const gap = times[i] - times[i - 1];
    units.push(units[i - 1] + (collapsed ? gapUnits(gap) + (starts.has(times[i - 1]) ? ROOM : 0) : gap));
  }
  const last = units[units.length - 1];
  const total = Math.max(last, collapsed ? FULL : 1e-3);
  return {
    from,
    to,
    used: last / total,
    at: (t) => interpolate(times, units, t) / total,
    time: (position) => interpolate(units, times, position * total),
  };
}

/**
 * @param {number[]} xs
 * @param {number[]} ys
 * @param {number} x
 */
function interpolate(xs, ys, x) {
  let low = 0;
  let high = xs.length - 1;
  if (!(x > xs[low])) return ys[low];
  if (x >= xs[high]) return ys[high];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  return xs[high] === xs[low] ? ys[low] : ys[low] + ((x - xs[low]) / (xs[high] - xs[low])) * (ys[high] - ys[low]);
}

/**
 * Labels for an axis: round times, counted from its beginning, about `every` pixels apart.
 * @param {object} axis
 * @param {number} axis.from
 * @param {number} axis.to
 * @param {(time: number) => number} axis.x from time to pixels; `time` is its inverse.
 * @param {(x: number) => number} axis.time
 * @param {number} axis.width
 * @param {number} [axis.every]
 */
export function ticks({ from, to, x, time, width, every = 90 }) {
  let last = { at: from, x: x(from), label: "0" };
  const found = [last];
  const told = (/** @type {number} */ seconds, /** @type {number} */ step) => (seconds < 1 ? duration(seconds) : seconds < 100 ? `${Number(seconds.toFixed(digits(step)))} s` : duration(seconds));
  const digits = (/** @type {number} */ step) => Math.max(0, Math.ceil(-Math.log10(step)));
  for (let wanted = x(from) + every; wanted < Math.min(width, x(to)); wanted += every) {
    if (wanted < 0) continue;
    const local = time(wanted + every / 4) - time(wanted - every / 4);
    const step = 10 ** Math.floor(Math.log10(Math.max(local, 1e-6)));
    const at = from + Math.round((time(wanted) - from) / step) * step;
    if (x(at) - last.x < every * 0.6 || at > to) continue;
    last = { at, x: x(at), label: told(at - from, step) };
    found.push(last);
  }
  return found.filter((tick) => tick.x >= 0 && tick.x <= width);
}

/**
 * The rows to show, those of called invocations below the call if it is expanded.
 * @param {Trace} trace
 * @param {Map<string, Trace>} traces
 * @param {Set<string>} expanded ids of the entries that are.
 */
export function rows(trace, traces, expanded, level = 1) {
  /** @type {Row[]} */
  const shown = [];
  for (const entry of trace.entries) {
    const child = entry.callee === undefined ? undefined : traces.get(entry.callee);
    shown.push({ entry, level, child: child?.entries.length ? child : null });
    if (child && expanded.has(entry.id)) for (const row of rows(child, traces, expanded, level + 1)) shown.push(row);
  }
  return shown;
}

/**
 * The traces among these rows, in order.
 * @param {Trace} root
 * @param {Row[]} shown
 */
export function shownTraces(root, shown) {
  return [...new Set([root, ...shown.map((row) => row.entry.trace)])];
}

/**
 * A lane for each pod; with more than `most` pods, a lane is used again when its pod is gone.
 * @param {Pod[]} pods
 * @returns {{ lane: Map<string, number>, count: number }} lanes by the pods' names, and how many there are.
 */
export function lanes(pods, most = 6) {
  const lane = new Map();
  /** @type {number[]} */
  const free = []; // by lane: when it becomes free
  for (const pod of pods) {
    let place = pods.length > most ? free.findIndex((until) => until <= pod.at) : -1;
    if (place < 0) place = free.length;
    free[place] = pod.gone ?? Infinity;
    lane.set(pod.name, place);
  }
  return { lane, count: free.length };
}

/**
 * Which rows to mount: [first, last), a few more than can be seen.
 * @param {number} scrollTop
 * @param {number} height
 * @param {number} rowHeight
 * @param {number} count
 * @returns {[number, number]}
 */
export function visible(scrollTop, height, rowHeight, count, more = 3) {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - more);
  return [first, Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + more)];
}

/**
 * Rows of one trace, one below the other: positions of the first and the last.
 * @typedef {{ trace: Trace, first: number, last: number, level: number }} Stretch
 */

/**
 * The stretches of rows of one trace.
 * @param {Row[]} shown
 */
export function stretches(shown) {
  /** @type {Stretch[]} */
  const found = [];
  /** @type {Map<Trace, Stretch>} */
  const open = new Map();
  shown.forEach((row, position) => {
    const { trace } = row.entry;
    const stretch = open.get(trace);
    if (stretch) stretch.last = position;
    else {
      const made = { trace, first: position, last: position, level: row.level };
      open.set(trace, made);
      found.push(made);
    }
  });
  return found;
}

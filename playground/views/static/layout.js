// Where things go: the time axis, the rows, the lanes of pods. Pure functions; layout.py draws the static
// picture by the same rules, and a test holds the two together.

import { duration } from "./moment.js";

const GRAIN = 0.002; // seconds: below this a gap is drawn true to scale, above it ever shorter
const LEAST = 0.5; // units of every gap, so that one step can be told from the next
const LONG = 6; // units: what goes beyond counts a third
const ROOM = 2.4; // units more after an attempt's start: the column of replayed marks goes there
const MOST_POINTS = 2000;
const FULL = 60; // units: a picture with fewer does not fill the width yet

/** How wide a gap of `d` seconds is drawn, in units. */
export function gapUnits(d) {
  if (d < 2e-5) return 0;
  const units = LEAST + Math.log2(1 + d / GRAIN);
  return units <= LONG ? units : LONG + (units - LONG) / 3;
}

/**
 * The moments at which something began or ended, sorted, and those at which an attempt did begin.
 * @param traces those whose rows are shown.
 */
export function points(found, traces, from, to) {
  const kept = new Set([from, to]);
  const starts = new Set();
  const keep = (at) => at >= from && at <= to && kept.add(at);
  for (const pod of found.pods) [pod.at, pod.ready, pod.gone].forEach(keep);
  for (const effect of found.effects) keep(effect.at);
  let steps = [];
  for (const trace of traces) {
    for (const attempt of trace.attempts) {
      if (keep(attempt.at)) starts.add(attempt.at);
      keep(attempt.end);
    }
    for (const entry of trace.entries) {
      for (const [how, at, until] of Object.values(entry.marks)) {
        if (how !== "replayed" && at >= from && at <= to) steps.push(at);
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
 * @param collapsed long gaps are drawn shorter than they were; else true to scale.
 * @returns {{at(t): 0..1, time(position): t, from, to}}
 */
export function axis({ times, starts }, collapsed) {
  const from = times[0];
  const to = times.at(-1);
  const units = [0];
  for (let i = 1; i < times.length; i += 1) {
    const gap = times[i] - times[i - 1];
    units.push(units[i - 1] + (collapsed ? gapUnits(gap) + (starts.has(times[i - 1]) ? ROOM : 0) : gap));
  }
  const total = Math.max(units.at(-1), collapsed ? FULL : 1e-3);
  return {
    from,
    to,
    used: units.at(-1) / total,
    at: (t) => interpolate(times, units, t) / total,
    time: (position) => interpolate(units, times, position * total),
  };
}

function interpolate(xs, ys, x) {
  if (!(x > xs[0])) return ys[0];
  if (x >= xs.at(-1)) return ys.at(-1);
  let low = 0;
  let high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  return xs[high] === xs[low] ? ys[low] : ys[low] + ((x - xs[low]) / (xs[high] - xs[low])) * (ys[high] - ys[low]);
}

/**
 * Labels for an axis: round times, counted from its beginning, about `every` pixels apart.
 * @param x a function from time to pixels; `time` its inverse.
 */
export function ticks({ from, to, x, time, width, every = 90 }) {
  const found = [{ at: from, x: x(from), label: "0" }];
  const told = (seconds, step) => (seconds < 1 ? duration(seconds) : seconds < 100 ? `${Number(seconds.toFixed(digits(step)))} s` : duration(seconds));
  const digits = (step) => Math.max(0, Math.ceil(-Math.log10(step)));
  for (let wanted = x(from) + every; wanted < Math.min(width, x(to)); wanted += every) {
    if (wanted < 0) continue;
    const local = time(wanted + every / 4) - time(wanted - every / 4);
    const step = 10 ** Math.floor(Math.log10(Math.max(local, 1e-6)));
    const at = from + Math.round((time(wanted) - from) / step) * step;
    if (x(at) - found.at(-1).x >= every * 0.6 && at <= to) found.push({ at, x: x(at), label: told(at - from, step) });
  }
  return found.filter((tick) => tick.x >= 0 && tick.x <= width);
}

/**
 * The rows to show, those of called invocations below the call if it is expanded.
 * @param expanded ids of the entries that are.
 * @returns [{entry, level, child}]
 */
export function rows(trace, traces, expanded, level = 1) {
  const shown = [];
  for (const entry of trace.entries) {
    const child = traces.get(entry.callee);
    shown.push({ entry, level, child: child?.entries.length ? child : null });
    if (child && expanded.has(entry.id)) for (const row of rows(child, traces, expanded, level + 1)) shown.push(row);
  }
  return shown;
}

/** The traces among these rows, in order. */
export function shownTraces(root, shown) {
  return [...new Set([root, ...shown.map((row) => row.entry.trace)])];
}

/**
 * A lane for each pod; with more than `most` pods, a lane is used again when its pod is gone.
 * @returns {{lane: Map name → lane, count}}
 */
export function lanes(pods, most = 6) {
  const lane = new Map();
  const free = []; // by lane: when it becomes free
  for (const pod of pods) {
    let place = pods.length > most ? free.findIndex((until) => until <= pod.at) : -1;
    if (place < 0) place = free.length;
    free[place] = pod.gone ?? Infinity;
    lane.set(pod.name, place);
  }
  return { lane, count: free.length };
}

/** Which rows to mount: [first, last), a few more than can be seen. */
export function visible(scrollTop, height, rowHeight, count, more = 3) {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - more);
  return [first, Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + more)];
}

/** Stretches of consecutive rows of one trace: [{trace, first, last}], positions of rows, both included. */
export function stretches(shown) {
  const found = [];
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

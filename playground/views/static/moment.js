// What was there at a moment. A picture (see model.py) is turned into traces with their attempts and
// entries; everything else here is a pure function of them and of a moment `t`, in seconds since the
// recording began. Infinity stands for "as it is now".

/** @import { AttemptItem, EffectItem, EntryItem, LensPod, LensTables, LensValues, Picture, TraceItem } from "./messages.js" */

/**
 * An invocation with its attempts and entries.
 * @typedef {TraceItem & { id: string, attempts: Attempt[], entries: Entry[], byRow: Map<string, Entry> }} Trace
 */

/**
 * An attempt, and the ordinal of its pod.
 * @typedef {AttemptItem & { id: string, trace: Trace, number: number, ordinal: number }} Attempt
 */

/**
 * An entry, and the effects it had.
 * @typedef {EntryItem & { id: string, trace: Trace, row: string, label: string, effects: Effect[] }} Entry
 * @typedef {EffectItem & { id: string }} Effect
 * @typedef {LensPod & { name: string }} Pod
 */

/**
 * A picture as objects that know each other; `root` is the invocation it is about.
 * @typedef {{ values: LensValues, root: Trace, traces: Map<string, Trace>, pods: Pod[], effects: Effect[] }} Found
 */

/**
 * What had become of an entry; `until` is where its bar ends, `open`: it still goes on.
 * @typedef {{ how: MarkHow, at: number, until: number, open: boolean }} MarkThen
 * @typedef {"executed" | "replayed" | "cut off" | "failed" | "awaited"} MarkHow
 */

/**
 * Tables into objects that know each other; null if the invocation is not among them.
 * @param {Picture<LensValues, LensTables>} picture
 * @returns {Found | null}
 */
export function index(picture) {
  const { values, tables } = picture;
  /** @type {Map<string, Trace>} */
  const traces = new Map();
  for (const [id, item] of Object.entries(tables.traces)) {
    traces.set(id, { id, ...item, attempts: [], entries: [], byRow: new Map() });
  }
  const pods = Object.entries(tables.pods).map(([name, item]) => ({ name, ...item }));
  pods.sort((a, b) => a.at - b.at);
  const ordinals = new Map(pods.map((pod) => [pod.name, pod.n]));
  for (const [id, item] of Object.entries(tables.attempts)) {
    const cut = id.indexOf("#");
    const trace = traces.get(id.slice(0, cut));
    if (!trace) continue;
    const number = Number(id.slice(cut + 1));
    trace.attempts[number - 1] = { id, trace, number, ordinal: ordinals.get(item.pod) ?? 0, ...item };
  }
  for (const [id, item] of Object.entries(tables.entries)) {
    const cut = id.indexOf("/");
    const trace = traces.get(id.slice(0, cut));
    if (!trace) continue;
    /** @type {Entry} */
    const entry = { id, trace, row: id.slice(cut + 1), label: "", effects: [], ...item };
    trace.entries.push(entry);
    trace.byRow.set(entry.row, entry);
  }
  const effects = Object.entries(tables.effects).map(([id, item]) => ({ id, ...item }));
  effects.sort((a, b) => a.at - b.at);
  for (const effect of effects) entryOf(traces, effect)?.effects.push(effect);
  for (const trace of traces.values()) {
    trace.attempts = trace.attempts.filter(Boolean);
    trace.entries.sort((a, b) => a.n - b.n); // a saved notebook has them in the order of their names
  }
  const root = traces.get(values.root);
  return root ? { values, root, traces, pods, effects } : null;
}

/**
 * The entry that caused an effect, as far as that is known.
 * @param {Map<string, Trace>} traces
 * @param {Effect} effect
 */
function entryOf(traces, effect) {
  return effect.row === undefined ? undefined : traces.get(effect.trace)?.byRow.get(effect.row);
}

/**
 * When an invocation came, and when the last thing known of it happened (Infinity while it goes on).
 * @param {Found} found
 * @returns {[number, number]}
 */
export function span(found) {
  let began = Infinity;
  let ended = 0;
  for (const trace of found.traces.values()) {
    const first = trace.attempts[0]?.at ?? trace.status_at ?? found.values.until;
    began = Math.min(began, trace.sent ?? first, first);
    ended = Math.max(ended, trace.status === "completed" ? lastOf(trace) : Infinity);
  }
  return [began, ended];
}

/** @param {Trace} trace */
function lastOf(trace) {
  if (!trace.attempts.length) return trace.status_at ?? 0;
  return Math.max(...trace.attempts.map((attempt) => attempt.end ?? Infinity));
}

/**
 * What had become of an entry in an attempt; null if nothing yet.
 * @param {Entry} entry
 * @param {Attempt} attempt
 * @param {number} t
 * @returns {MarkThen | null}
 */
export function markAt(entry, attempt, t) {
  const mark = entry.marks[attempt.number];
  if (!mark || mark[1] > t) return null;
  const [how, at, until] = mark;
  const end = Math.min(attempt.end ?? Infinity, t);
  const over = attempt.end !== undefined && attempt.end <= t;
  if (how === "awaited") return { how, at, until: at, open: false };
  if ((how === "cut off" || how === "failed") && over) return { how, at, until: end, open: false };
  const done = typeof until === "number" && until <= t;
  return { how: how === "replayed" ? how : "executed", at, until: done ? until : end, open: !done && !over };
}

/**
 * Whether a step or call has ended with a failure for good, as far as a mark tells.
 * @param {Entry} entry
 * @param {MarkThen} mark
 */
export function failedForGood(entry, mark) {
  return ["Run", "Call"].includes(entry.type) && Boolean(entry.failure) && ["executed", "replayed"].includes(mark.how) && !mark.open;
}

/**
 * An attempt's outcome at a moment: null before it, "running" during it.
 * @param {Attempt} attempt
 * @param {number} t
 */
export function outcomeAt(attempt, t) {
  if (attempt.at > t) return null;
  return (attempt.end ?? Infinity) <= t ? attempt.outcome : "running";
}

/**
 * How many entries an attempt had replayed, executed …
 * @param {Attempt} attempt
 * @param {number} t
 */
export function countsAt(attempt, t) {
  /** @type {Record<MarkHow, number>} */
  const counts = { replayed: 0, executed: 0, "cut off": 0, failed: 0, awaited: 0 };
  for (const entry of attempt.trace.entries) {
    const mark = markAt(entry, attempt, t);
    if (mark) counts[mark.how] += 1;
  }
  return counts;
}

/**
 * An invocation's status at a moment, as far as its attempts tell; null before it was there.
 * @param {Trace} trace
 * @param {number} t
 */
export function statusAt(trace, t) {
  if (t >= (trace.status_at ?? 0)) return trace.status;
  const begun = trace.attempts.filter((attempt) => attempt.at <= t);
  const latest = begun.at(-1);
  if (!latest) return trace.sent !== undefined && trace.sent <= t ? "pending" : null;
  const outcome = outcomeAt(latest, t);
  return outcome === "running" || outcome === "suspended" || outcome === "completed" ? outcome : "backing-off";
}

/**
 * A wait for which an invocation was suspended after an attempt; `over`: it was resumed.
 * @typedef {{ attempt: Attempt, from: number, to: number, over: boolean }} Wait
 */

/**
 * The waits of an entry for which its invocation was suspended.
 * @param {Entry} entry
 * @param {number} t
 */
export function waitsAt(entry, t) {
  /** @type {Wait[]} */
  const found = [];
  const { attempts } = entry.trace;
  attempts.forEach((attempt, position) => {
    if (attempt.outcome !== "suspended" || attempt.end === undefined || attempt.end > t) return;
    if (!attempt.waits?.includes(entry.row)) return;
    const resumed = attempts[position + 1]?.at;
    const over = resumed !== undefined && resumed <= t;
    found.push({ attempt, from: attempt.end, to: over ? resumed : t, over });
  });
  return found;
}

/**
 * A pod's phase at a moment: null before it, then starting, ready, and how it went.
 * @param {Pod} pod
 * @param {number} t
 */
export function phaseAt(pod, t) {
  if (pod.at > t) return null;
  if ((pod.gone ?? Infinity) <= t) return pod.phase;
  return (pod.ready ?? Infinity) <= t ? "ready" : "starting";
}

/**
 * The pods there were, as steps between two times.
 * @param {Pod[]} pods
 * @param {number} from
 * @param {number} to
 */
export function podCounts(pods, from, to) {
  const steps = [{ from, to, count: 0 }];
  let last = steps[0];
  const changes = pods.flatMap((pod) => [[pod.at, 1], [pod.gone ?? Infinity, -1]]);
  for (const [at, by] of changes.sort((a, b) => a[0] - b[0])) {
    if (at <= from) last.count += by;
    else if (at < to) {
      last.to = at;
      last = { from: at, to, count: last.count + by };
      steps.push(last);
    }
  }
  return steps.filter((step) => step.to > step.from);
}

/**
 * The pod that a "kill pod" button is about: the one that runs an attempt now, else one that is there.
 * @param {Found} found
 */
export function podToKill(found) {
  const running = [...found.traces.values()].flatMap((trace) => trace.attempts.filter((a) => a.end === undefined));
  const names = running.map((attempt) => attempt.pod);
  const alive = found.pods.filter((pod) => pod.gone === undefined);
  return alive.find((pod) => pod.name === names[0]) ?? alive.at(-1) ?? null;
}

// -- words ----------------------------------------------------------------------------------------

/**
 * One line on an invocation at a moment.
 * @param {Found} found
 * @param {number} t
 */
export function summaryAt(found, t) {
  const { root } = found;
  const begun = root.attempts.filter((attempt) => attempt.at <= t);
  const status = statusAt(root, t) ?? "not sent yet";
  const parts = [status === "completed" ? root.aborted ?? (root.failure ? "completed with a failure" : status) : status];
  if (begun.length) {
    parts.push(`${plural(begun.length, "attempt")} on ${plural(new Set(begun.map((a) => a.pod)).size, "pod")}`);
  }
  for (const [noun, outcome] of [["kill", "killed"], ["failure", "failed"], ["suspension", "suspended"]]) {
    const count = begun.filter((attempt) => outcomeAt(attempt, t) === outcome && !mismatchAt(attempt, t)).length;
    if (count) parts.push(plural(count, noun));
  }
  const mismatches = begun.filter((attempt) => mismatchAt(attempt, t)).length;
  if (mismatches) parts.push(mismatches === 1 ? "1 journal mismatch" : `${mismatches} journal mismatches`);
  return [...parts, ...outside(found, t)].join(" · ");
}

/**
 * What the outside world saw, step by step: "“send email” reached the outside world twice".
 * @param {Found} found
 * @param {number} t
 */
export function outside(found, t) {
  const seen = new Map();
  for (const effect of found.effects) {
    if (effect.at > t) break;
    const label = entryOf(found.traces, effect)?.label || effect.kind || "an effect";
    const name = `“${label}”${effect.outside ? ", outside of any step," : ""}`;
    const counts = seen.get(name) ?? { happened: 0, repeated: 0, refused: 0 };
    counts[effectWord(effect)] += 1;
    seen.set(name, counts);
  }
  const named = [...seen].sort((a, b) => b[1].happened - a[1].happened).slice(0, 2);
  return named.map(([name, { happened, repeated }]) => {
    const again = repeated ? `, ${repeated} more known by the key` : "";
    return `${name} reached the outside world ${times(happened)}${again}`;
  });
}

/**
 * What became of a request to the outside world; "repeated": it was known by its key.
 * @param {EffectItem} effect
 */
export function effectWord(effect) {
  return effect.repeated ? "repeated" : effect.refused ? "refused" : "happened";
}

/**
 * Whether an attempt had failed because its handler did not fit the journal.
 * @param {Attempt} attempt
 * @param {number} t
 */
function mismatchAt(attempt, t) {
  return outcomeAt(attempt, t) === "failed" && attempt.failure?.[0] === 570;
}

/**
 * What an attempt did: "2 replayed, 1 executed, suspended".
 * @param {Attempt} attempt
 * @param {number} t
 */
export function attemptText(attempt, t) {
  const counts = countsAt(attempt, t);
  const outcome = outcomeAt(attempt, t);
  const parts = [];
  if (counts.replayed) parts.push(`${counts.replayed} replayed`);
  if (counts.executed) parts.push(`${counts.executed} executed`);
  const broken = attempt.trace.entries.find((e) => ["cut off", "failed"].includes(markAt(e, attempt, t)?.how ?? ""));
  const mismatch = mismatchAt(attempt, t);
  parts.push((mismatch ? "journal mismatch" : outcome) + (broken ? ` in “${broken.label || broken.type}”` : ""));
  return parts.join(", ");
}

/**
 * What a cell says to somebody who cannot see it.
 * @param {Entry} entry
 * @param {Attempt} attempt
 * @param {number} t
 */
export function cellText(entry, attempt, t) {
  const mark = markAt(entry, attempt, t);
  const where = `attempt ${attempt.number}`;
  if (!mark) return `${where}: nothing`;
  const took = mark.until - mark.at;
  /** @type {Record<MarkHow, string>} */
  const words = {
    executed: mark.open ? "executing" : `executed${took > 0 ? ` in ${duration(took)}` : ""}`,
    replayed: mark.open ? "replayed, its result is awaited" : "replayed from the journal",
    "cut off": `cut off after ${duration(took)}: ${attempt.outcome}`,
    failed: mismatchAt(attempt, t) ? "does not fit the journal" : `failed after ${duration(took)}`,
    awaited: "awaited",
  };
  const during = entry.effects.filter((effect) => effect.attempt === attempt.number && effect.at <= t);
  const count = (/** @type {string} */ word) => during.filter((effect) => effectWord(effect) === word).length;
  if (failedForGood(entry, mark)) {
    words.executed = `failed for good after ${duration(took)}`;
    words.replayed = "replayed failure";
  }
  return [
    `${where}: ${words[mark.how]}`,
    count("happened") ? `reached the outside world ${times(count("happened"))}` : "",
    count("repeated") ? `${plural(count("repeated"), "request")} known by the key` : "",
    count("refused") ? `${plural(count("refused"), "request")} refused` : "",
  ].filter(Boolean).join(", ");
}

/**
 * A duration for people: "0 ms", "3.2 ms", "410 ms", "2.4 s", "38 s", "2 min 5 s".
 * @param {number} seconds
 */
export function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s < 0.00995) return `${trim(s * 1e3, 1)} ms`;
  if (s < 0.9995) return `${Math.round(s * 1e3)} ms`;
  if (s < 9.995) return `${trim(s, 2)} s`;
  if (s < 99.95) return `${trim(s, 1)} s`;
  const whole = Math.round(s);
  const [h, m] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  return h ? `${h} h ${m} min` : `${m} min ${whole % 60} s`;
}

/**
 * @param {number} value
 * @param {number} digits
 */
function trim(value, digits) {
  return String(Number(value.toFixed(digits)));
}

/**
 * A pod's ordinal as a small sign: ①, ②, …
 * @param {number} n
 */
export function circled(n) {
  if (n < 1) return "?";
  return n <= 20 ? String.fromCharCode(0x245f + n) : `(${n})`;
}

/**
 * A count with its noun.
 * @param {number} count
 * @param {string} noun
 */
export function plural(count, noun) {
  return count === 1 ? `${count} ${noun}` : `${count} ${noun}s`;
}

/** @param {number} count */
function times(count) {
  return ["never", "once", "twice"][count] ?? `${count} times`;
}

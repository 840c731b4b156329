// What was there at a moment. A picture (see model.py) is turned into traces with their attempts and
// entries; everything else here is a pure function of them and of a moment `t`, in seconds since the
// recording began. Infinity stands for "as it is now".

/**
 * Tables into objects that know each other.
 * @returns {{values, root, traces: Map, pods: Array, effects: Array}} a trace has `attempts` and
 *   `entries`, an entry `effects`, an attempt `number`, `trace` and its `pod`'s ordinal as `ordinal`.
 */
export function index(picture) {
  const { values, tables } = picture;
  const traces = new Map();
  for (const [id, item] of Object.entries(tables.traces ?? {})) {
    traces.set(id, { id, ...item, attempts: [], entries: [], byRow: new Map() });
  }
  const pods = Object.entries(tables.pods ?? {}).map(([name, item]) => ({ name, ...item }));
  pods.sort((a, b) => a.at - b.at);
  const ordinals = new Map(pods.map((pod) => [pod.name, pod.n]));
  for (const [id, item] of Object.entries(tables.attempts ?? {})) {
    const cut = id.indexOf("#");
    const trace = traces.get(id.slice(0, cut));
    if (!trace) continue;
    const number = Number(id.slice(cut + 1));
    trace.attempts[number - 1] = { id, trace, number, ordinal: ordinals.get(item.pod) ?? 0, ...item };
  }
  for (const [id, item] of Object.entries(tables.entries ?? {})) {
    const cut = id.indexOf("/");
    const trace = traces.get(id.slice(0, cut));
    if (!trace) continue;
    const entry = { id, trace, row: id.slice(cut + 1), label: "", effects: [], ...item };
    trace.entries.push(entry);
    trace.byRow.set(entry.row, entry);
  }
  const effects = Object.entries(tables.effects ?? {}).map(([id, item]) => ({ id, ...item }));
  effects.sort((a, b) => a.at - b.at);
  for (const effect of effects) traces.get(effect.trace)?.byRow.get(effect.row)?.effects.push(effect);
  for (const trace of traces.values()) trace.attempts = trace.attempts.filter(Boolean);
  return { values, root: traces.get(values.root), traces, pods, effects };
}

/** When an invocation came, and when the last thing known of it happened (Infinity while it goes on). */
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

function lastOf(trace) {
  if (!trace.attempts.length) return trace.status_at ?? 0;
  return Math.max(...trace.attempts.map((attempt) => attempt.end ?? Infinity));
}

/**
 * What had become of an entry in an attempt; null if nothing yet.
 * @returns {{how, at, until, open} | null} `until` is where its bar ends; `open`: it still goes on.
 */
export function markAt(entry, attempt, t) {
  const mark = entry.marks[attempt.number];
  if (!mark || mark[1] > t) return null;
  const [how, at, until] = mark;
  const end = Math.min(attempt.end ?? Infinity, t);
  const over = attempt.end !== undefined && attempt.end <= t;
  if (how === "awaited") return { how, at, until: at, open: false };
  if ((how === "cut off" || how === "failed") && over) return { how, at, until: end, open: false };
  const open = !(until <= t) && !over;
  return { how: how === "replayed" ? how : "executed", at, until: until <= t ? until : end, open };
}

/** Whether a step or call has ended with a failure for good, as far as a mark tells. */
export function failedForGood(entry, mark) {
  return ["Run", "Call"].includes(entry.type) && Boolean(entry.failure) && ["executed", "replayed"].includes(mark.how) && !mark.open;
}

/** An attempt's outcome at a moment: null before it, "running" during it. */
export function outcomeAt(attempt, t) {
  if (attempt.at > t) return null;
  return (attempt.end ?? Infinity) <= t ? attempt.outcome : "running";
}

/** How many entries an attempt had replayed, executed …: {replayed, executed, "cut off", failed, awaited}. */
export function countsAt(attempt, t) {
  const counts = { replayed: 0, executed: 0, "cut off": 0, failed: 0, awaited: 0 };
  for (const entry of attempt.trace.entries) {
    const mark = markAt(entry, attempt, t);
    if (mark) counts[mark.how] += 1;
  }
  return counts;
}

/** An invocation's status at a moment, as far as its attempts tell; null before it was there. */
export function statusAt(trace, t) {
  if (t >= (trace.status_at ?? 0)) return trace.status;
  const begun = trace.attempts.filter((attempt) => attempt.at <= t);
  if (!begun.length) return trace.sent <= t ? "pending" : null;
  const outcome = outcomeAt(begun.at(-1), t);
  return ["running", "suspended", "completed"].includes(outcome) ? outcome : "backing-off";
}

/** The waits of an entry for which its invocation was suspended: [{from, to, over, attempt}]. */
export function waitsAt(entry, t) {
  const found = [];
  const { attempts } = entry.trace;
  attempts.forEach((attempt, position) => {
    if (attempt.outcome !== "suspended" || !(attempt.end <= t) || !attempt.waits?.includes(entry.row)) return;
    const resumed = attempts[position + 1]?.at;
    const over = resumed !== undefined && resumed <= t;
    found.push({ attempt, from: attempt.end, to: over ? resumed : t, over });
  });
  return found;
}

/** A pod's phase at a moment: null before it, then starting, ready, and how it went. */
export function phaseAt(pod, t) {
  if (pod.at > t) return null;
  if ((pod.gone ?? Infinity) <= t) return pod.phase;
  return (pod.ready ?? Infinity) <= t ? "ready" : "starting";
}

/** The pods there were, as steps [{from, to, count}] between two times. */
export function podCounts(pods, from, to) {
  const steps = [{ from, to, count: 0 }];
  const changes = pods.flatMap((pod) => [[pod.at, 1], [pod.gone ?? Infinity, -1]]);
  for (const [at, by] of changes.sort((a, b) => a[0] - b[0])) {
    const last = steps.at(-1);
    if (at <= from) last.count += by;
    else if (at < to) {
      last.to = at;
      steps.push({ from: at, to, count: last.count + by });
    }
  }
  return steps.filter((step) => step.to > step.from);
}

/** The pod that a "kill pod" button is about: the one that runs an attempt now, else one that is there. */
export function podToKill(found) {
  const running = [...found.traces.values()].flatMap((trace) => trace.attempts.filter((a) => a.end === undefined));
  const names = running.map((attempt) => attempt.pod);
  const alive = found.pods.filter((pod) => pod.gone === undefined);
  return alive.find((pod) => pod.name === names[0]) ?? alive.at(-1) ?? null;
}

// -- words ----------------------------------------------------------------------------------------

/** One line on an invocation at a moment. */
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

/** What the outside world saw, step by step: "“send email” reached the outside world twice". */
export function outside(found, t) {
  const seen = new Map();
  for (const effect of found.effects) {
    if (effect.at > t) break;
    const label = found.traces.get(effect.trace)?.byRow.get(effect.row)?.label || effect.kind || "an effect";
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

/** What became of a request to the outside world: "happened", "repeated" (known by its key) or "refused". */
export function effectWord(effect) {
  return effect.repeated ? "repeated" : effect.refused ? "refused" : "happened";
}

/** Whether an attempt had failed because its handler did not fit the journal. */
function mismatchAt(attempt, t) {
  return outcomeAt(attempt, t) === "failed" && attempt.failure?.[0] === 570;
}

/** What an attempt did: "2 replayed, 1 executed, suspended". */
export function attemptText(attempt, t) {
  const counts = countsAt(attempt, t);
  const outcome = outcomeAt(attempt, t);
  const parts = [];
  if (counts.replayed) parts.push(`${counts.replayed} replayed`);
  if (counts.executed) parts.push(`${counts.executed} executed`);
  const broken = attempt.trace.entries.find((e) => ["cut off", "failed"].includes(markAt(e, attempt, t)?.how));
  const mismatch = mismatchAt(attempt, t);
  parts.push((mismatch ? "journal mismatch" : outcome) + (broken ? ` in “${broken.label || broken.type}”` : ""));
  return parts.join(", ");
}

/** What a cell says to somebody who cannot see it. */
export function cellText(entry, attempt, t) {
  const mark = markAt(entry, attempt, t);
  const where = `attempt ${attempt.number}`;
  if (!mark) return `${where}: nothing`;
  const took = mark.until - mark.at;
  const words = {
    executed: mark.open ? "executing" : `executed${took > 0 ? ` in ${duration(took)}` : ""}`,
    replayed: mark.open ? "replayed, its result is awaited" : "replayed from the journal",
    "cut off": `cut off after ${duration(took)}: ${attempt.outcome}`,
    failed: mismatchAt(attempt, t) ? "does not fit the journal" : `failed after ${duration(took)}`,
    awaited: "awaited",
  };
  const during = entry.effects.filter((effect) => effect.attempt === attempt.number && effect.at <= t);
  const count = (word) => during.filter((effect) => effectWord(effect) === word).length;
  const failed = failedForGood(entry, mark) && { executed: `failed for good after ${duration(took)}`, replayed: "replayed failure" };
  return [
    `${where}: ${(failed || words)[mark.how]}`,
    count("happened") ? `reached the outside world ${times(count("happened"))}` : "",
    count("repeated") ? `${plural(count("repeated"), "request")} known by the key` : "",
    count("refused") ? `${plural(count("refused"), "request")} refused` : "",
  ].filter(Boolean).join(", ");
}

/** A duration for people: "0 ms", "3.2 ms", "410 ms", "2.4 s", "38 s", "2 min 5 s". */
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

function trim(value, digits) {
  return String(Number(value.toFixed(digits)));
}

/** A pod's ordinal as a small sign: ①, ②, … */
export function circled(n) {
  if (n < 1) return "?";
  return n <= 20 ? String.fromCharCode(0x245f + n) : `(${n})`;
}

export function plural(count, noun) {
  return count === 1 ? `${count} ${noun}` : `${count} ${noun}s`;
}

function times(count) {
  return ["never", "once", "twice"][count] ?? `${count} times`;
}

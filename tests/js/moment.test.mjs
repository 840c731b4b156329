// The lens at any moment: what had begun, what was running, what the outside world had seen.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import {
  attemptText, cellText, circled, countsAt, duration, index, markAt, outcomeAt, phaseAt, podCounts, podToKill, span, statusAt,
  summaryAt, waitsAt,
} from "../../playground/views/static/moment.js";

const model = (name) => JSON.parse(readFileSync(new URL(`models/${name}.json`, import.meta.url), "utf8"));
const signup = model("signup");
const shop = model("shop");

/** Everything that can be seen of an invocation at a moment, as text. */
function seen(found, t) {
  const { attempts, entries } = found.root;
  const begun = attempts.filter((attempt) => attempt.at <= t);
  return entries.map((entry) => begun.map((attempt) => markAt(entry, attempt, t)?.how ?? "–").join(" ")).join("\n");
}

test("the end is what the text table says", () => {
  const found = index(signup.picture);
  assert.equal(
    seen(found, Infinity),
    ["executed replayed replayed", "executed replayed replayed", "cut off executed replayed", "– awaited replayed", "– – executed", "– – executed"].join("\n"),
  );
  for (const { picture, summary } of [signup, shop]) assert.equal(summaryAt(index(picture), Infinity), summary);
});

test("before the kill nothing is cut off, and nothing later is there", () => {
  const found = index(signup.picture);
  const [first] = found.root.attempts;
  const step = found.root.entries[2];
  const before = first.end - 0.001;
  assert.equal(outcomeAt(first, before), "running");
  assert.deepEqual(markAt(step, first, before), { how: "executed", at: step.marks[1][1], until: before, open: true });
  assert.equal(markAt(step, first, first.end).how, "cut off");
  assert.equal(statusAt(found.root, before), "running");
  assert.equal(statusAt(found.root, first.end + 0.001), "backing-off");
  assert.equal(summaryAt(found, before).includes("kill"), false);
});

test("what the outside world saw grows with time", () => {
  const found = index(signup.picture);
  const [one, two] = found.effects.map((effect) => effect.at);
  assert.match(summaryAt(found, one), /“send email” reached the outside world once/);
  assert.match(summaryAt(found, two), /“send email” reached the outside world twice/);
  assert.doesNotMatch(summaryAt(found, one - 0.001), /outside world/);
});

test("a request with a key the world knows is no second effect", () => {
  assert.match(summaryAt(index(shop.picture), Infinity), /“charge” reached the outside world once, 1 more known by the key/);
});

test("a wait lasts from the suspension to the next attempt", () => {
  const found = index(signup.picture);
  const awakeable = found.root.entries[3];
  const [, second, third] = found.root.attempts;
  assert.deepEqual(waitsAt(awakeable, second.end - 0.001), []);
  assert.deepEqual(waitsAt(awakeable, second.end + 1), [{ attempt: second, from: second.end, to: second.end + 1, over: false }]);
  assert.deepEqual(waitsAt(awakeable, Infinity), [{ attempt: second, from: second.end, to: third.at, over: true }]);
  assert.equal(statusAt(found.root, second.end + 0.1), "suspended");
});

test("attempts and cells in words", () => {
  const found = index(signup.picture);
  const [first, second, third] = found.root.attempts;
  assert.equal(attemptText(first, Infinity), "2 executed, killed in “send email”");
  assert.equal(attemptText(second, Infinity), "2 replayed, 1 executed, suspended");
  assert.equal(attemptText(third, Infinity), "4 replayed, 2 executed, completed");
  assert.match(cellText(found.root.entries[2], first, Infinity), /^attempt 1: cut off after \d+ ms: killed, reached the outside world once$/);
  assert.equal(cellText(found.root.entries[2], third, Infinity), "attempt 3: replayed from the journal");
  assert.equal(cellText(found.root.entries[5], first, Infinity), "attempt 1: nothing");
  assert.deepEqual(countsAt(third, Infinity), { replayed: 4, executed: 2, "cut off": 0, failed: 0, awaited: 0 });
});

test("what goes on now is open", () => {
  const picture = structuredClone(signup.picture);
  const root = picture.values.root;
  for (const table of [picture.tables.attempts, picture.tables.entries]) {
    for (const id of Object.keys(table)) if (id.startsWith(`${root}#`) && !id.endsWith("#1")) delete table[id];
  }
  delete picture.tables.attempts[`${root}#1`].end;
  picture.tables.attempts[`${root}#1`].outcome = "running";
  picture.tables.entries[`${root}/e2`].marks = { 1: ["executed", signup.picture.tables.entries[`${root}/e2`].marks[1][1]] };
  const found = index(picture);
  const mark = markAt(found.root.entries[2], found.root.attempts[0], Infinity);
  assert.equal(mark.open, true);
  assert.equal(cellText(found.root.entries[2], found.root.attempts[0], Infinity), "attempt 1: executing, reached the outside world once");
  assert.equal(attemptText(found.root.attempts[0], Infinity), "3 executed, running");
});

test("a wait that is not over is open", () => {
  const picture = structuredClone(signup.picture);
  const last = Object.keys(picture.tables.attempts).find((id) => id.endsWith("#3"));
  delete picture.tables.attempts[last];
  const found = index(picture);
  const [wait] = waitsAt(found.root.entries[3], Infinity);
  assert.deepEqual([wait.over, wait.to], [false, Infinity]);
});

test("pods at a moment", () => {
  const found = index(signup.picture);
  const [pod] = found.pods;
  assert.equal(phaseAt(pod, pod.at - 1), null);
  assert.equal(phaseAt(pod, pod.at), "starting");
  assert.equal(phaseAt(pod, pod.ready), "ready");
  assert.equal(phaseAt(pod, pod.gone), "killed");
  const [from, to] = span(found);
  assert.deepEqual(podCounts(found.pods, from, to).map((step) => step.count), signup.counts.map(([, , count]) => count));
});

test("the pod to kill is the one that runs an attempt", () => {
  const picture = structuredClone(signup.picture);
  assert.equal(podToKill(index(picture))?.name, Object.keys(picture.tables.pods).at(-1)); // idle, but there
  const [attempt] = Object.keys(picture.tables.attempts).filter((id) => id.endsWith("#2"));
  delete picture.tables.attempts[attempt].end;
  delete picture.tables.pods[picture.tables.attempts[attempt].pod].gone;
  assert.equal(podToKill(index(picture)).name, picture.tables.attempts[attempt].pod);
});

const NOTHING = { traces: {}, attempts: {}, entries: {}, pods: {}, effects: {} };

test("an invocation that is not in the picture", () => {
  assert.equal(index({ values: { root: "inv_1", origin: 0, until: 5 }, tables: NOTHING }), null);
});

test("a step that has handed over its result still runs until the result is there", () => {
  const tables = {
    ...NOTHING,
    traces: { inv_1: { target: "A/b", status: "running" } },
    attempts: { "inv_1#1": { pod: "p", at: 1, outcome: "running", known: 1 } },
    entries: { "inv_1/e1": { type: "Run", marks: { 1: ["executed", 2, null, 3] } } },
  };
  const { root } = index({ values: { root: "inv_1", origin: 0, until: 5 }, tables });
  assert.deepEqual(markAt(root.entries[0], root.attempts[0], 4), { how: "executed", at: 2, until: 4, open: true });
});

test("an invocation of which nothing is known yet", () => {
  const picture = { values: { root: "inv_1", until: 5 }, tables: { ...NOTHING, traces: { inv_1: { target: "A/b", status: "pending", sent: 4 } } } };
  const found = index(picture);
  assert.equal(summaryAt(found, Infinity), "pending");
  assert.deepEqual(span(found), [4, Infinity]);
});

test("durations", () => {
  const told = [0, 0.0000004, 0.0032, 0.0104, 0.41, 0.9996, 2.4, 38, 41.23, 125, 7380].map(duration);
  assert.deepEqual(told, ["0 ms", "0 ms", "3.2 ms", "10 ms", "410 ms", "1 s", "2.4 s", "38 s", "41.2 s", "2 min 5 s", "2 h 3 min"]);
});

test("pods have small signs", () => {
  assert.deepEqual([0, 1, 3, 20, 21].map(circled), ["?", "①", "③", "⑳", "(21)"]);
});

test("a saved notebook brings the items in the order of their names, and the rows stand as before", () => {
  const named = (items) => Object.fromEntries(Object.entries(items).sort(([a], [b]) => (a < b ? -1 : 1)));
  for (const { picture } of [signup, shop]) {
    const many = structuredClone(picture);
    const root = many.values.root;
    // Twelve more rows, so that e10 comes before e2 by name.
    const length = index(many).root.entries.length;
    for (let n = 0; n < 12; n += 1) many.tables.entries[`${root}/e${100 + n}`] = { n: length + n, type: "Sleep", marks: {} };
    const saved = { ...many, tables: Object.fromEntries(Object.entries(many.tables).map(([name, items]) => [name, named(items)])) };
    const rows = (found) => found.root.entries.map((entry) => entry.row);
    assert.deepEqual(rows(index(saved)), rows(index(many)));
    assert.notDeepEqual(Object.keys(saved.tables.entries), Object.keys(many.tables.entries));
  }
});

// Where the lens puts things: the same as the static picture does, and what only the widget needs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { axis, gapUnits, lanes, points, rows, shownTraces, stretches, ticks, visible } from "../../playground/views/static/layout.js";
import { index, span } from "../../playground/views/static/moment.js";

const model = (name) => JSON.parse(readFileSync(new URL(`models/${name}.json`, import.meta.url), "utf8"));

function scaleOf(picture, collapsed = true) {
  const found = index(picture);
  const [from, to] = span(found);
  return { found, from, to, scale: axis(points(found, [found.root], from, to), collapsed) };
}

for (const name of ["signup", "shop"]) {
  const made = model(name);

  test(`${name}: the axis is Python's`, () => {
    const { scale, from, to } = scaleOf(made.picture);
    assert.deepEqual([from, to], made.span);
    for (const [time, place] of made.axis) assert.ok(Math.abs(scale.at(time) - place) < 1e-8, `${time}: ${scale.at(time)} ${place}`);
  });

  test(`${name}: the lanes are Python's`, () => {
    const { found } = scaleOf(made.picture);
    assert.deepEqual(Object.fromEntries(lanes(found.pods).lane), made.lanes);
  });

  test(`${name}: time goes on along the axis, and back`, () => {
    for (const collapsed of [true, false]) {
      const { scale, from, to } = scaleOf(made.picture, collapsed);
      let last = -1;
      for (let step = 0; step <= 200; step += 1) {
        const t = from + ((to - from) * step) / 200;
        assert.ok(scale.at(t) >= last);
        last = scale.at(t);
        assert.ok(Math.abs(scale.time(scale.at(t)) - t) < 1e-6);
      }
      assert.equal(scale.at(from), 0);
      assert.ok(last <= 1);
    }
  });
}

test("true to scale, equal times are equally wide", () => {
  const { scale, from, to } = scaleOf(model("signup").picture, false);
  assert.ok(Math.abs(scale.at((from + to) / 2) - 0.5) < 1e-9);
});

test("a longer gap is never narrower, and a very long one is not much wider", () => {
  let last = 0;
  for (let d = 1e-5; d < 1e5; d *= 1.3) {
    assert.ok(gapUnits(d) >= last);
    last = gapUnits(d);
  }
  assert.equal(gapUnits(0), 0);
  assert.ok(gapUnits(3600) < 3 * gapUnits(0.1));
});

test("ticks are round, apart, and in order", () => {
  const { scale, from, to } = scaleOf(model("signup").picture);
  const found = ticks({ from, to, x: (t) => scale.at(t) * 900, time: (x) => scale.time(x / 900), width: 900 });
  assert.equal(found[0].label, "0");
  assert.ok(found.length > 4);
  for (let i = 1; i < found.length; i += 1) assert.ok(found[i].x - found[i - 1].x >= 50);
  assert.equal(new Set(found.map((tick) => tick.label)).size, found.length);
});

test("called invocations open below their call", () => {
  const found = index(model("signup").picture);
  const closed = rows(found.root, found.traces, new Set());
  assert.deepEqual(closed.map((row) => row.entry.type), ["Input", "Call", "Run", "Awakeable", "Call", "Output"]);
  const open = rows(found.root, found.traces, new Set([closed[1].entry.id]));
  assert.deepEqual(open.map((row) => `${row.level} ${row.entry.type}`).slice(0, 6), ["1 Input", "1 Call", "2 Input", "2 SetState", "2 Output", "1 Run"]);
  assert.equal(shownTraces(found.root, open).length, 2);
  const [root, child] = stretches(open);
  assert.deepEqual([root.first, root.last], [0, 8]);
  assert.deepEqual([child.first, child.last], [2, 4]);
});

test("pods have a lane each while there is room", () => {
  const pods = Array.from({ length: 9 }, (_, n) => ({ name: `p${n}`, at: n, gone: n + 0.5 }));
  assert.equal(lanes(pods.slice(0, 4)).count, 4);
  assert.equal(lanes(pods).count, 1);
  assert.equal(lanes(pods.map((pod) => ({ ...pod, gone: undefined }))).count, 9);
});

test("only what can be seen is mounted", () => {
  assert.deepEqual(visible(0, 460, 26, 10_000), [0, 21]);
  assert.deepEqual(visible(26 * 5000, 460, 26, 10_000), [4997, 5021]);
  assert.deepEqual(visible(26 * 9999, 460, 26, 10_000), [9996, 10_000]);
  assert.deepEqual(visible(0, 460, 38, 6), [0, 6]);
});

test("ten thousand entries are laid out in an instant", () => {
  const entries = {};
  for (let n = 0; n < 10_000; n += 1) entries[`inv_1/e${n}`] = { type: "Run", label: `step ${n}`, marks: { 1: ["executed", n / 500, n / 500 + 0.001] } };
  const tables = { traces: { inv_1: { target: "A/b", status: "completed", sent: 0, status_at: 20 } }, attempts: { "inv_1#1": { pod: "p", at: 0, end: 20, outcome: "completed" } }, entries, pods: {}, effects: {} };
  const began = performance.now();
  const { scale } = scaleOf({ values: { root: "inv_1", until: 20 }, tables });
  assert.ok(performance.now() - began < 2500);
  assert.ok(Math.abs(scale.at(10) - 0.5) < 0.05, "steps of the same length are drawn about equally wide");
});

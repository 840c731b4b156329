// The page's end of a live widget: deltas, gaps, actions and what is left behind.

import assert from "node:assert/strict";
import { test } from "node:test";

import { applyDelta, clean, connect } from "../../playground/views/static/live.js";

const picture = () => ({ at: 3, now: 100, values: { a: 1 }, tables: { t: { x: { n: 1 } } } });

/** anywidget's model, as far as a view uses it. */
function fakeModel() {
  const listeners = new Set();
  const said = [];
  return {
    said,
    listeners,
    snapshot: picture(),
    get: function () { return this.snapshot; },
    on: (_, listener) => listeners.add(listener),
    off: (_, listener) => listeners.delete(listener),
    send: (message) => said.push(message),
    receive: (message) => [...listeners].forEach((listener) => listener(message)),
  };
}

const delta = (from, to, data) => ({ type: "delta", from, to, now: 101, data });

test("a delta puts items, takes items away, and leaves the rest", () => {
  const shown = picture();
  const data = { values: { b: 2 }, tables: { t: { x: null, y: { n: 2 } }, u: { z: 1 } } };
  assert.equal(applyDelta(shown, { from: 3, to: 5, data }), true);
  assert.deepEqual(shown, { at: 5, now: 100, values: { a: 1, b: 2 }, tables: { t: { y: { n: 2 } }, u: { z: 1 } } });
});

test("one that begins earlier is applied, one that is known is passed over, one after a gap is refused", () => {
  const shown = picture();
  assert.equal(applyDelta(shown, { from: 1, to: 4, data: { values: { a: 2 } } }), true);
  assert.equal(applyDelta(shown, { from: 1, to: 4, data: { values: { a: 9 } } }), true);
  assert.equal(shown.values.a, 2);
  assert.equal(applyDelta(shown, { from: 6, to: 7, data: { values: { a: 3 } } }), false);
  assert.equal(shown.at, 4);
});

test("a whole picture takes away what it lacks, and says so to who draws", () => {
  const shown = picture();
  const data = { values: { b: 2 }, tables: { t: { y: { n: 2 } } } };
  assert.equal(applyDelta(shown, { from: 0, to: 9, data, whole: true }), true);
  assert.deepEqual(shown, { at: 9, now: 100, values: { a: 1, b: 2 }, tables: { t: { y: { n: 2 } } } });
  assert.equal(data.tables.t.x, null);
});

test("a view says what it has, and asks once when it has missed something", () => {
  const model = fakeModel();
  let changes = 0;
  const live = connect(model, { onChange: () => (changes += 1) });
  assert.deepEqual(model.said.map(({ type, at }) => [type, at]), [["have", 3]]);
  model.receive(delta(3, 4, { values: { a: 2 } }));
  assert.equal(changes, 1);
  model.receive(delta(6, 7, {}));
  model.receive(delta(7, 8, {}));
  assert.deepEqual(model.said.map(({ type, at }) => [type, at]), [["have", 3], ["have", 4]]);
  model.receive(delta(4, 8, { values: { a: 3 } }));
  assert.equal(live.picture.values.a, 3);
  live.close();
});

test("a second view of the same widget begins with what the first one knows", () => {
  const model = fakeModel();
  const first = connect(model);
  model.receive(delta(3, 4, { values: { a: 2 } }));
  let changes = 0;
  const second = connect(model, { onChange: () => (changes += 1) });
  assert.equal(second.picture.values.a, 2);
  model.receive(delta(4, 5, { values: { a: 3 } }));
  assert.equal(changes, 1);
  first.close();
  second.close();
});

test("an action is answered, or refused with its reason", async () => {
  const model = fakeModel();
  const live = connect(model);
  const good = live.act("kill pod", { pod: "p" });
  const bad = live.act("kill pod");
  const [{ id, name, data }, { id: second }] = model.said.filter((message) => message.type === "act");
  assert.deepEqual([name, data], ["kill pod", { pod: "p" }]);
  model.receive({ type: "answer", id, value: "done" });
  model.receive({ type: "answer", id: second, error: "There is no pod." });
  assert.equal(await good, "done");
  await assert.rejects(bad, { message: "There is no pod." });
  live.close();
});

test("an action that waits for a busy kernel is said to", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const model = fakeModel();
  const busy = [];
  const live = connect(model, { onBusy: (...told) => busy.push(told) });
  const done = live.act("kill pod");
  context.mock.timers.tick(299);
  assert.deepEqual(busy, []);
  context.mock.timers.tick(2);
  assert.deepEqual(busy, [[true, false]], "and no kernel has ever answered");
  model.receive({ type: "answer", id: model.said.at(-1).id, value: 1 });
  await done;
  assert.deepEqual(busy.at(-1), [false, true]);
  live.close();
});

test("a closed view listens no more and has no timer", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const model = fakeModel();
  const busy = [];
  const live = connect(model, { onBusy: (yes) => busy.push(yes) });
  live.act("kill pod");
  live.close();
  context.mock.timers.tick(1000);
  assert.deepEqual(busy, []);
  assert.equal(model.listeners.size, 0);
  assert.equal(model.said.at(-1).type, "closed");
});

test("text from outside becomes one harmless line", () => {
  assert.equal(clean("a\u202eb\u0000c\nd"), "a b c d");
  assert.equal(clean("x".repeat(1_000_000), 10), "xxxxxxxxx…");
  assert.equal(clean("<script>alert(1)</script>"), "<script>alert(1)</script>");
});

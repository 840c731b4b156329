// The grid's lines: runs under the names of the invocations they crashed in.

import assert from "node:assert/strict";
import { test } from "node:test";

import { lines, placed } from "../../playground/views/static/atlas-lines.js";

const row = (group, level = 0, deviates = false) => ({ group, level, deviates, places: ["here"] });

test("runs stand under their invocation, each time it comes again", () => {
  const rows = { 0: row("A"), 1: row("B", 1), 2: row("B", 1), 3: row("A") };
  assert.deepEqual(
    lines(rows, false).map((line) => line.id ?? `${line.group} ${line.level}`),
    ["A 0", "0", "B 1", "1", "2", "A 0", "3"],
  );
});

test("an invocation that calls its own handler is another one", () => {
  const rows = { 0: row("A"), 1: row("A", 1) };
  assert.equal(lines(rows, false).length, 4);
});

test("of what deviates only that is left, and names above nothing are not", () => {
  const rows = { 0: row("A"), 1: row("B", 1, true), 2: row("B", 1), 3: row("A"), 4: row("B", 1, true) };
  assert.deepEqual(lines(rows, true).map((line) => line.id ?? line.group), ["B", "1", "4"]);
  assert.deepEqual(lines({ 0: row("A") }, true), []);
  assert.deepEqual(lines({}, false), []);
});

test("the order is that of the points, beyond nine", () => {
  const rows = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [String(n), row("A")]));
  assert.deepEqual(lines(rows, false).slice(1).map((line) => line.id), Array.from({ length: 12 }, (_, n) => String(n)));
});

test("two places are one after the other", () => {
  assert.equal(placed({ places: ["before it starts", "Stock/ada/add: before Output is sent"] }), "before it starts, then Stock/ada/add: before Output is sent");
});

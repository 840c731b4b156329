// The pure parts of panels: long lists, the letter, text from outside.

import assert from "node:assert/strict";
import { test } from "node:test";

import { lasting, line, plural, visible } from "../../playground/views/static/kit.js";
import { aroundLink, linesOf } from "../../playground/views/static/letter.js";
import { listed, rowAfter, rowsInView, scrollTo } from "../../playground/views/static/window.js";

test("only the rows in view are mounted", () => {
  assert.deepEqual(rowsInView(0, 224, 28, 10_000), { first: 0, last: 12 });
  assert.deepEqual(rowsInView(28 * 5000, 224, 28, 10_000), { first: 4996, last: 5012 });
  assert.deepEqual(rowsInView(28 * 5000, 224, 28, 3), { first: 0, last: 3 }); // the list has shrunk under the scroll
  assert.deepEqual(rowsInView(0, 224, 28, 0), { first: 0, last: 0 });
});

test("a list is scrolled no further than to the row", () => {
  assert.equal(scrollTo(3, 0, 224, 28), 0);
  assert.equal(scrollTo(8, 0, 224, 28), 28);
  assert.equal(scrollTo(1, 280, 224, 28), 28);
});

test("keys lead to rows", () => {
  assert.equal(rowAfter("ArrowDown", 0, 3, 7), 1);
  assert.equal(rowAfter("ArrowDown", 2, 3, 7), 2);
  assert.equal(rowAfter("ArrowDown", -1, 3, 7), 0); // nothing is chosen yet
  assert.equal(rowAfter("PageUp", 9, 20, 7), 2);
  assert.equal(rowAfter("End", 0, 20, 7), 19);
  assert.equal(rowAfter("a", 0, 20, 7), null);
  assert.equal(rowAfter("ArrowDown", -1, 0, 7), null);
});

test("invocations are listed newest first, as far as they are wanted", () => {
  const items = {
    inv_a: { n: 1, status: "completed", failed: false, target: { text: "Signup/signup" } },
    inv_b: { n: 3, status: "running", failed: false, target: { text: "User/ada/add" } },
    inv_c: { n: 2, status: "completed", failed: true, target: { text: "User/ada/get" } },
    inv_d: { n: 4, status: "backing-off", failed: false, target: { text: "User/bob/add" } },
  };
  assert.deepEqual(listed(items, "all", ""), ["inv_d", "inv_b", "inv_c", "inv_a"]);
  assert.deepEqual(listed(items, "unfinished", ""), ["inv_d", "inv_b"]);
  assert.deepEqual(listed(items, "failed", ""), ["inv_d", "inv_c"]);
  assert.deepEqual(listed(items, "completed", ""), ["inv_c", "inv_a"]);
  assert.deepEqual(listed(items, "all", "ADA user"), ["inv_b", "inv_c"]);
  assert.deepEqual(listed(items, "all", "inv_c"), ["inv_c"]);
});

test("a mail is laid out in lines", () => {
  assert.deepEqual(linesOf({ text: '{"to": "ada", "n": 1}' }), [["to", "ada"], ["n", "1"]]);
  assert.deepEqual(linesOf({ text: "click" }), [["text", "click"]]);
  assert.deepEqual(linesOf({ text: '"click"' }), [["text", "click"]]);
  assert.equal(linesOf({ text: '{"to": {"name": "ada"}}' }), null);
  assert.equal(linesOf({ text: '{"to": "ada"', length: 5000 }), null);
  assert.equal(linesOf(null), null);
});

test("the link is the address around the id", () => {
  assert.deepEqual(aroundLink("click https://example.org/sign_1abc.", "sign_1abc"), ["click ", "https://example.org/sign_1abc", "."]);
  assert.deepEqual(aroundLink('<a href="https://example.org/sign_1abc">', "sign_1abc"), ['<a href="', "https://example.org/sign_1abc", '">']);
  assert.deepEqual(aroundLink("sign_1abc", "sign_1abc"), ["", "sign_1abc", ""]);
  assert.deepEqual(aroundLink("nothing", "sign_1abc"), ["nothing", "", ""]);
});

test("marks that would act are written out", () => {
  assert.equal(visible("a\u202eb\u0000c\nd\te"), "a\\u202eb\\u0000c\nd\te");
  assert.equal(line("a\nb  c"), "a b c");
  assert.equal(line("x".repeat(100)), "x".repeat(79) + "…");
  assert.equal(line("<script>"), "<script>");
});

test("durations and counts read well", () => {
  assert.deepEqual([-1, 0.31, 41.7, 150, 7200].map(lasting), ["0.0 s", "0.3 s", "41 s", "2 min", "2 h"]);
  assert.deepEqual([plural(1, "pod"), plural(2, "pod")], ["1 pod", "2 pods"]);
});

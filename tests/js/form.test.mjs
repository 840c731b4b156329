// A handler's schema as a form, and the body that what was typed stands for.

import assert from "node:assert/strict";
import { test } from "node:test";

import { bodyOf, fieldsOf, initialOf, jsonError, sample, valuesOf } from "../../playground/views/static/form.js";

const ORDER = {
  $defs: {
    Address: { type: "object", properties: { street: { type: "string" } }, required: ["street"] },
    Color: { enum: ["red", "blue"], type: "string" },
  },
  properties: {
    address: { anyOf: [{ $ref: "#/$defs/Address" }, { type: "null" }], default: null },
    color: { $ref: "#/$defs/Color", default: "red" },
    count: { default: 1, maximum: 10, minimum: 1, type: "integer" },
    gift: { default: false, type: "boolean" },
    name: { description: "who", examples: ["Ada"], type: "string" },
    price: { anyOf: [{ type: "number" }, { type: "null" }], default: null },
    tags: { default: [], items: { type: "string" }, type: "array" },
  },
  required: ["name"],
  type: "object",
};

const first = (form) => form.fields.map(initialOf);

/** What is typed: the form's first values, changed by name. */
function typed(form, changes) {
  return form.fields.map((field) => (field.name in changes ? changes[field.name] : initialOf(field)));
}

test("simple properties become fields, what is needed first", () => {
  const form = fieldsOf(ORDER);
  assert.deepEqual(
    form.fields.map((field) => [field.name, field.type, field.required, field.nullable]),
    [
      ["name", "string", true, false],
      ["address", "json", false, true],
      ["color", "choice", false, false],
      ["count", "integer", false, false],
      ["gift", "boolean", false, false],
      ["price", "number", false, true],
      ["tags", "json", false, false],
    ],
  );
  assert.equal(form.fields[0].about, "who");
  assert.deepEqual(form.fields[2].choices, ["red", "blue"]);
});

test("a form's first values are its defaults and examples", () => {
  const form = fieldsOf(ORDER);
  assert.deepEqual(JSON.parse(bodyOf(form, first(form)).text), {
    name: "Ada", address: null, color: "red", count: 1, gift: false, price: null, tags: [],
  });
});

test("what is typed is checked field by field", () => {
  const form = fieldsOf(ORDER);
  const errors = (changes) => bodyOf(form, typed(form, changes)).errors?.filter(Boolean);
  assert.deepEqual(errors({ count: "11" }), ["count is at most 10"]);
  assert.deepEqual(errors({ count: "1.5" }), ["count is a whole number"]);
  assert.deepEqual(errors({ count: "many", price: "dear" }), ["count is a whole number", "price is a number"]);
  assert.match(errors({ tags: "[1" })[0], /^not JSON/);
  assert.equal(errors({ name: "" }), undefined); // an empty text is a text
  const needed = fieldsOf({ type: "object", properties: { n: { type: "integer" } }, required: ["n"] });
  assert.deepEqual(bodyOf(needed, [""]).errors, ["n is needed"]);
});

test("numbers stay as they were typed, however long", () => {
  const form = fieldsOf({ type: "object", properties: { n: { type: "integer" } }, required: ["n"] });
  assert.equal(bodyOf(form, [" 12345678901234567890 "]).text, '{"n": 12345678901234567890}');
  assert.equal(valuesOf(form, '{"n": 12345678901234567890}'), null); // a form would round it
});

test("names are only names", () => {
  const form = fieldsOf({ type: "object", properties: JSON.parse('{"__proto__": {"type": "string"}, "<b>": {"type": "string"}}') });
  const body = JSON.parse(bodyOf(form, ["x", "y"]).text);
  assert.deepEqual(Object.entries(body), [["__proto__", "x"], ["<b>", "y"]]);
});

test("a simple value is one field", () => {
  const form = fieldsOf({ type: "integer" });
  assert.equal(form.whole, true);
  assert.equal(bodyOf(form, ["3"]).text, "3");
  assert.equal(bodyOf(fieldsOf({ type: "string" }), ['say "hi"']).text, '"say \\"hi\\""');
  assert.equal(bodyOf(fieldsOf({ type: "boolean" }), [true]).text, "true");
  assert.equal(bodyOf(fieldsOf({ anyOf: [{ type: "string" }, { type: "null" }] }), [""]).text, "null");
});

test("anything else is typed as JSON", () => {
  for (const schema of [true, null, {}, { type: "object" }, { type: "array" }, { type: "object", properties: { a: { type: "array" } } }]) {
    assert.equal(fieldsOf(schema), null);
  }
  assert.equal(fieldsOf({ type: "object", properties: { a: { type: "string" } }, additionalProperties: true }), null);
  assert.equal(fieldsOf({ anyOf: [{ type: "string" }, { type: "integer" }] }), null);
  assert.equal(fieldsOf({ $ref: "#/$defs/Loop", $defs: { Loop: { $ref: "#/$defs/Loop" } } }), null);
  assert.equal(sample({ type: "array" }), "[]");
  assert.equal(sample(true), "{}");
  assert.equal(sample({ type: "object", default: { a: 1 } }), '{\n  "a": 1\n}');
});

test("a body goes back into a form if the form can say it", () => {
  const form = fieldsOf(ORDER);
  const text = '{"name": "Bob", "count": 3, "gift": true, "address": {"street": "x"}}';
  const values = valuesOf(form, text);
  assert.deepEqual(values, ["Bob", '{"street":"x"}', "", "3", true, "", ""]);
  assert.deepEqual(JSON.parse(bodyOf(form, values).text), { ...JSON.parse(text), price: null, address: { street: "x" } });
  for (const body of ["[1", "[]", '{"name": 1}', '{"name": "x", "more": 1}', '{"name": "x", "color": "green"}']) {
    assert.equal(valuesOf(form, body), null);
  }
});

test("JSON is checked", () => {
  assert.equal(jsonError("{}"), "");
  assert.match(jsonError("{"), /^not JSON: /);
});

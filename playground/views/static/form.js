// A handler's JSON schema as a form: which fields to show, and the body that what was typed stands for.
// An object of simple properties, and a simple value, become fields; anything else is typed as JSON.

import { messageOf } from "./live.js";

/**
 * A JSON schema: a learner's, so nothing is known of its keywords.
 * @typedef {Record<string, unknown>} Schema
 */

/**
 * A field: what is typed into it, and how. `choices` are what one may choose from, `initial` is what is there at first.
 * @typedef {{
 *   name: string,
 *   label: string,
 *   about: string,
 *   type: Simple | "choice" | "json",
 *   required: boolean,
 *   nullable: boolean,
 *   choices: unknown[] | null,
 *   initial: unknown,
 *   schema: Schema,
 * }} Field
 * @typedef {"string" | "integer" | "number" | "boolean"} Simple
 */

/**
 * The fields for a body. `whole`: the one field is the body itself, not a property of it.
 * @typedef {{ whole: boolean, fields: Field[] }} Form
 */

/**
 * What was typed into a field: true or false for a boolean, else a text.
 * @typedef {string | boolean} Typed
 */

/** @type {unknown[]} */
const SIMPLE = ["string", "integer", "number", "boolean"];

/**
 * The fields for a schema.
 * @param {unknown} schema
 * @returns {Form | null} null: it has to be typed as JSON.
 */
export function fieldsOf(schema) {
  if (!isObject(schema)) return null;
  const root = resolve(schema, schema);
  if (root.type !== "object") {
    const field = fieldOf("", root, schema, true);
    return field.type === "json" ? null : { whole: true, fields: [{ ...field, label: "Body" }] };
  }
  const properties = Object.entries(isObject(root.properties) ? root.properties : {});
  if (!properties.length || (root.additionalProperties ?? false) !== false) return null;
  const required = new Set(listOf(root.required));
  const fields = properties.map(([name, property]) => fieldOf(name, property, schema, required.has(name)));
  fields.sort((a, b) => Number(b.required) - Number(a.required)); // Restate has sorted them by name
  return fields.every((field) => field.type === "json") ? null : { whole: false, fields };
}

/**
 * @param {string} name
 * @param {unknown} property
 * @param {Schema} root
 * @param {boolean} required
 * @returns {Field}
 */
function fieldOf(name, property, root, required) {
  const given = isObject(property) ? property : {};
  let part = resolve(given, root);
  let nullable = part.type === "null";
  const options = listOf(part.anyOf ?? part.oneOf ?? listOf(part.type).map((type) => ({ type })));
  if (options.length) {
    const others = options.map((option) => resolve(option, root)).filter((option) => option.type !== "null");
    nullable = others.length < options.length;
    if (others.length === 1) part = { ...part, anyOf: undefined, oneOf: undefined, type: undefined, ...others[0] };
    else part = { ...part, type: "json" };
  }
  const choices = Array.isArray(part.enum) ? part.enum : "const" in part ? [part.const] : null;
  const type = choices ? "choice" : SIMPLE.includes(part.type) ? /** @type {Simple} */ (part.type) : "json";
  const initial = [given.default, part.default, listOf(given.examples)[0]].find((value) => value !== undefined);
  return {
    name,
    label: name,
    about: String(given.description ?? part.description ?? ""),
    type,
    required,
    nullable,
    choices,
    initial,
    schema: part,
  };
}

/**
 * What a `$ref` within the same schema points to, with what stands beside it; {} if it points nowhere.
 * @param {unknown} part
 * @param {Schema} root
 * @returns {Schema}
 */
function resolve(part, root, depth = 0) {
  if (!isObject(part)) return {};
  if (typeof part.$ref !== "string" || depth > 20) return part;
  /** @type {unknown} */
  let found = root;
  for (const step of part.$ref.replace(/^#\/?/, "").split("/").filter(Boolean)) {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
  }
  const { $ref, ...beside } = part;
  return { ...resolve(found ?? {}, root, depth + 1), ...beside };
}

/**
 * What a field shows at first.
 * @param {Field} field
 */
export function initialOf(field) {
  return typed(field, field.initial);
}

/**
 * @param {Field} field
 * @param {unknown} value
 * @returns {Typed}
 */
function typed(field, value) {
  if (field.type === "boolean" && !field.nullable) return value === true;
  if (value === undefined || (value === null && field.nullable)) return "";
  return field.type === "string" && typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * The body that the fields stand for.
 * @param {Form} form
 * @param {Typed[]} values what was typed, in the order of the fields.
 * @returns {{ text: string, errors?: undefined } | { text?: undefined, errors: string[] }} JSON text; or a message per field, "" where there is none.
 */
export function bodyOf(form, values) {
  const read = form.fields.map((field, index) => readField(field, values[index]));
  if (read.some((one) => one.error)) return { errors: read.map((one) => one.error ?? "") };
  if (form.whole) return { text: read[0].json ?? "null" };
  // Put together as text: numbers stay as they were typed, however long.
  const members = form.fields.map((field, index) => [JSON.stringify(field.name), read[index].json]);
  return { text: `{${members.filter(([, json]) => json !== undefined).map((member) => member.join(": ")).join(", ")}}` };
}

/**
 * @param {Field} field
 * @param {Typed} value
 * @returns {{ json?: string, error?: string }} nothing: the field is left out.
 */
function readField(field, value) {
  if (typeof value === "boolean") return { json: String(value) };
  // An empty text is a text where one must be; anywhere else it says that there is nothing.
  if (value === "") {
    if (field.type === "string" && field.required && !field.nullable) return within(field, "", '""');
    if (field.nullable && (field.required || field.initial === null)) return { json: "null" };
    return field.required ? { error: `${field.label} is needed` } : {};
  }
  if (field.type === "string") return within(field, value, JSON.stringify(value));
  let parsed;
  try {
    parsed = JSON.parse(value);
  } catch (error) {
    if (field.type === "json") return { error: `not JSON: ${messageOf(error)}` };
    return { error: `${field.label} is ${field.type === "integer" ? "a whole number" : "a number"}` };
  }
  if (field.type === "integer" && !Number.isInteger(parsed)) return { error: `${field.label} is a whole number` };
  if (field.type === "number" && typeof parsed !== "number") return { error: `${field.label} is a number` };
  return within(field, parsed, value.trim());
}

/**
 * @param {Field} field
 * @param {unknown} value
 * @param {string} json
 */
function within(field, value, json) {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength } = field.schema;
  if (typeof value === "number") {
    if (typeof minimum === "number" && value < minimum) return { error: `${field.label} is at least ${minimum}` };
    if (typeof maximum === "number" && value > maximum) return { error: `${field.label} is at most ${maximum}` };
    if (typeof exclusiveMinimum === "number" && value <= exclusiveMinimum) return { error: `${field.label} is more than ${exclusiveMinimum}` };
    if (typeof exclusiveMaximum === "number" && value >= exclusiveMaximum) return { error: `${field.label} is less than ${exclusiveMaximum}` };
  }
  if (typeof value === "string") {
    const length = [...value].length;
    if (typeof minLength === "number" && length < minLength) return { error: `${field.label} has ${minLength} characters or more` };
    if (typeof maxLength === "number" && length > maxLength) return { error: `${field.label} has at most ${maxLength} characters` };
  }
  return { json };
}

/**
 * What to type into the fields to get a body.
 * @param {Form} form
 * @param {string} text
 * @returns {Typed[] | null} null if the fields cannot say it.
 */
export function valuesOf(form, text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    return null;
  }
  if (form.whole) return fits(form.fields[0], body) ? [typed(form.fields[0], body)] : null;
  if (!isObject(body)) return null;
  const names = new Set(form.fields.map((field) => field.name));
  if (Object.keys(body).some((name) => !names.has(name))) return null;
  const values = form.fields.map((field) => (Object.hasOwn(body, field.name) ? body[field.name] : undefined));
  return form.fields.every((field, index) => fits(field, values[index])) ? form.fields.map((f, i) => typed(f, values[i])) : null;
}

/**
 * @param {Field} field
 * @param {unknown} value
 */
function fits(field, value) {
  if (value === undefined) return field.type !== "boolean" || !field.required;
  if (value === null) return field.nullable || field.type === "json";
  if (typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER) return false; // it was rounded
  if (field.type === "choice") return listOf(field.choices).some((choice) => JSON.stringify(choice) === JSON.stringify(value));
  if (field.type === "integer") return Number.isInteger(value);
  return field.type === "json" || typeof value === field.type;
}

/**
 * A first body for a schema that has to be typed as JSON.
 * @param {unknown} schema
 */
export function sample(schema) {
  if (!isObject(schema)) return "{}";
  const root = resolve(schema, schema);
  const given = root.default ?? listOf(root.examples)[0];
  if (given !== undefined) return JSON.stringify(given, null, 2);
  /** @type {Record<string, string | undefined>} */
  const empty = { array: "[]", string: '""', integer: "0", number: "0", boolean: "false", null: "null" };
  return (typeof root.type === "string" && empty[root.type]) || "{}";
}

/**
 * What is wrong with a text that should be JSON; "" if nothing is.
 * @param {string} text
 */
export function jsonError(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `not JSON: ${messageOf(error)}`;
  }
}

/**
 * What is a list, as one; anything else as an empty one.
 * @param {unknown} value
 * @returns {unknown[]}
 */
function listOf(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

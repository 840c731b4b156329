// A handler's JSON schema as a form: which fields to show, and the body that what was typed stands for.
// An object of simple properties, and a simple value, become fields; anything else is typed as JSON.

const SIMPLE = ["string", "integer", "number", "boolean"];

/**
 * The fields for a schema.
 * @returns {{whole: boolean, fields: object[]} | null} null: it has to be typed as JSON. `whole`: the one
 *   field is the body itself, not a property of it. A field: {name, label, about, type, required, nullable,
 *   choices, initial, schema}, where type is "string", "integer", "number", "boolean", "choice" or "json".
 */
export function fieldsOf(schema) {
  if (!isObject(schema)) return null;
  const root = resolve(schema, schema);
  if (root.type !== "object") {
    const field = fieldOf("", root, schema, true);
    return field.type === "json" ? null : { whole: true, fields: [{ ...field, label: "Body" }] };
  }
  const properties = Object.entries(root.properties ?? {});
  if (!properties.length || (root.additionalProperties ?? false) !== false) return null;
  const required = new Set(root.required ?? []);
  const fields = properties.map(([name, property]) => fieldOf(name, property, schema, required.has(name)));
  fields.sort((a, b) => Number(b.required) - Number(a.required)); // Restate has sorted them by name
  return fields.every((field) => field.type === "json") ? null : { whole: false, fields };
}

function fieldOf(name, property, root, required) {
  let part = resolve(isObject(property) ? property : {}, root);
  let nullable = part.type === "null";
  const options = part.anyOf ?? part.oneOf ?? (Array.isArray(part.type) ? part.type.map((type) => ({ type })) : null);
  if (options) {
    const others = options.map((option) => resolve(option, root)).filter((option) => option.type !== "null");
    nullable = others.length < options.length;
    if (others.length === 1) part = { ...part, anyOf: undefined, oneOf: undefined, type: undefined, ...others[0] };
    else part = { ...part, type: "json" };
  }
  const choices = Array.isArray(part.enum) ? part.enum : "const" in part ? [part.const] : null;
  const type = choices ? "choice" : SIMPLE.includes(part.type) ? part.type : "json";
  const initial = [property?.default, part.default, property?.examples?.[0]].find((value) => value !== undefined);
  return {
    name,
    label: name,
    about: String(property?.description ?? part.description ?? ""),
    type,
    required,
    nullable,
    choices,
    initial,
    schema: part,
  };
}

/** What a `$ref` within the same schema points to, with what stands beside it; {} if it points nowhere. */
function resolve(part, root, depth = 0) {
  if (!isObject(part)) return {};
  if (typeof part.$ref !== "string" || depth > 20) return part;
  let found = root;
  for (const step of part.$ref.replace(/^#\/?/, "").split("/").filter(Boolean)) {
    const name = step.replaceAll("~1", "/").replaceAll("~0", "~");
    found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
  }
  const { $ref, ...beside } = part;
  return { ...resolve(found ?? {}, root, depth + 1), ...beside };
}

/** What a field shows at first: as typed, so a text, or true or false for a boolean. */
export function initialOf(field) {
  return typed(field, field.initial);
}

function typed(field, value) {
  if (field.type === "boolean" && !field.nullable) return value === true;
  if (value === undefined || (value === null && field.nullable)) return "";
  return field.type === "string" && typeof value === "string" ? value : JSON.stringify(value);
}

/**
 * The body that the fields stand for.
 * @param form from `fieldsOf`.
 * @param values what was typed, in the order of the fields.
 * @returns {{text: string} | {errors: string[]}} JSON text; or a message per field, "" where there is none.
 */
export function bodyOf(form, values) {
  const read = form.fields.map((field, index) => readField(field, values[index]));
  if (read.some((one) => one.error)) return { errors: read.map((one) => one.error ?? "") };
  if (form.whole) return { text: read[0].json ?? "null" };
  // Put together as text: numbers stay as they were typed, however long.
  const members = form.fields.map((field, index) => [JSON.stringify(field.name), read[index].json]);
  return { text: `{${members.filter(([, json]) => json !== undefined).map((member) => member.join(": ")).join(", ")}}` };
}

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
    if (field.type === "json") return { error: `not JSON: ${error.message}` };
    return { error: `${field.label} is ${field.type === "integer" ? "a whole number" : "a number"}` };
  }
  if (field.type === "integer" && !Number.isInteger(parsed)) return { error: `${field.label} is a whole number` };
  if (field.type === "number" && typeof parsed !== "number") return { error: `${field.label} is a number` };
  return within(field, parsed, value.trim());
}

function within(field, value, json) {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength } = field.schema;
  if (typeof value === "number") {
    if (minimum !== undefined && value < minimum) return { error: `${field.label} is at least ${minimum}` };
    if (maximum !== undefined && value > maximum) return { error: `${field.label} is at most ${maximum}` };
    if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return { error: `${field.label} is more than ${exclusiveMinimum}` };
    if (exclusiveMaximum !== undefined && value >= exclusiveMaximum) return { error: `${field.label} is less than ${exclusiveMaximum}` };
  }
  if (typeof value === "string") {
    const length = [...value].length;
    if (minLength !== undefined && length < minLength) return { error: `${field.label} has ${minLength} characters or more` };
    if (maxLength !== undefined && length > maxLength) return { error: `${field.label} has at most ${maxLength} characters` };
  }
  return { json };
}

/**
 * What to type into the fields to get a body.
 * @returns {(string|boolean)[] | null} null if the fields cannot say it.
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

function fits(field, value) {
  if (value === undefined) return field.type !== "boolean" || !field.required;
  if (value === null) return field.nullable || field.type === "json";
  if (typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER) return false; // it was rounded
  if (field.type === "choice") return field.choices.some((choice) => JSON.stringify(choice) === JSON.stringify(value));
  if (field.type === "integer") return Number.isInteger(value);
  return field.type === "json" || typeof value === field.type;
}

/** A first body for a schema that has to be typed as JSON. */
export function sample(schema) {
  if (!isObject(schema)) return "{}";
  const root = resolve(schema, schema);
  const given = root.default ?? root.examples?.[0];
  if (given !== undefined) return JSON.stringify(given, null, 2);
  return { array: "[]", string: '""', integer: "0", number: "0", boolean: "false", null: "null" }[root.type] ?? "{}";
}

/** What is wrong with a text that should be JSON; "" if nothing is. */
export function jsonError(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `not JSON: ${error.message}`;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

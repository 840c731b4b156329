// Bring a list of children onto the page with as little change as possible: a lens is drawn again and again,
// and mostly what was drawn before is still right.

import { element } from "./live.js";

/**
 * What an element is to be: its tag, its attributes and styles, its children or its text.
 * @typedef {[tag: string, look: Look, inside?: Spec[] | string]} Spec
 * @typedef {{ [name: string]: Attribute | Style, style?: Style }} Look
 * @typedef {string | number | boolean | null | undefined} Attribute
 * @typedef {Record<string, string>} Style
 */

/** @type {WeakMap<Element, { style: Style, props: Record<string, Attribute> }>} */
const drawn = new WeakMap(); // what an element was drawn with

/**
 * Make the children of `parent` what `specs` say, by position.
 * @param {Element} parent
 * @param {Spec[]} specs
 */
export function paint(parent, specs) {
  let child = /** @type {HTMLElement | SVGElement | null} */ (parent.firstElementChild);
  for (const [tag, props, inside] of specs) {
    if (!child || child.localName !== (tag.startsWith("svg:") ? tag.slice(4) : tag)) {
      const made = element(tag);
      if (child) child.replaceWith(made);
      else parent.append(made);
      child = made;
    }
    dress(child, props);
    if (Array.isArray(inside)) paint(child, inside);
    else if (inside !== undefined && child.textContent !== inside) child.textContent = inside;
    child = after(child);
  }
  while (child) {
    const next = after(child);
    child.remove();
    child = next;
  }
}

/**
 * @param {Element} child
 * @returns {HTMLElement | SVGElement | null}
 */
function after(child) {
  return /** @type {HTMLElement | SVGElement | null} */ (child.nextElementSibling);
}

/**
 * Give an element these attributes and styles, and take away those it was given before.
 * @param {HTMLElement | SVGElement} target
 * @param {Look} look
 */
export function dress(target, { style = {}, ...rest }) {
  const props = /** @type {Record<string, Attribute>} */ (rest);
  const before = drawn.get(target) ?? { style: {}, props: {} };
  for (const name of Object.keys(before.props)) if (!present(props[name])) target.removeAttribute(name);
  for (const [name, value] of Object.entries(props)) {
    if (present(value) && before.props[name] !== value) target.setAttribute(name, value === true ? "" : String(value));
  }
  for (const name of Object.keys(before.style)) if (!(name in style)) target.style.removeProperty(name);
  for (const [name, value] of Object.entries(style)) {
    if (before.style[name] !== value) target.style.setProperty(name, value);
  }
  drawn.set(target, { style, props });
}

/** @param {Attribute} value */
function present(value) {
  return value !== undefined && value !== null && value !== false;
}

/**
 * A length in CSS pixels, to a tenth.
 * @param {number} value
 */
export function px(value) {
  return `${Math.round(value * 10) / 10}px`;
}

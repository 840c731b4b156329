// Bring a list of children onto the page with as little change as possible: a lens is drawn again and again,
// and mostly what was drawn before is still right.

import { element } from "./live.js";

const drawn = new WeakMap(); // element → {name: value} it was drawn with

/**
 * Make the children of `parent` what `specs` say, by position.
 * @param specs [[tag, props, children or text]]; props as for `element`, and `style`: {property: value}.
 */
export function paint(parent, specs) {
  let child = parent.firstElementChild;
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
    child = child.nextElementSibling;
  }
  while (child) {
    const next = child.nextElementSibling;
    child.remove();
    child = next;
  }
}

/** Give an element these attributes and styles, and take away those it was given before. */
export function dress(target, { style = {}, ...props }) {
  const before = drawn.get(target) ?? { style: {}, props: {} };
  for (const name of Object.keys(before.props)) if (!present(props[name])) target.removeAttribute(name);
  for (const [name, value] of Object.entries(props)) {
    if (present(value) && before.props[name] !== value) target.setAttribute(name, value === true ? "" : value);
  }
  for (const name of Object.keys(before.style)) if (!(name in style)) target.style.removeProperty(name);
  for (const [name, value] of Object.entries(style)) {
    if (before.style[name] !== value) target.style.setProperty(name, value);
  }
  drawn.set(target, { style, props });
}

function present(value) {
  return value !== undefined && value !== null && value !== false;
}

/** A length in CSS pixels, to a tenth. */
export function px(value) {
  return `${Math.round(value * 10) / 10}px`;
}

// The lens on a page of its own: the picture and the details of every entry are in the page, and there is
// no kernel to ask.

import { mountLens } from "./lens.js";

/** @import { Recorded } from "./messages.js" */

const NOT_HERE = "This page was saved without it.";

/** @param {string} id */
function there(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`There is no #${id} in this page.`);
  return found;
}

/** @type {Recorded} */
const { picture, details } = JSON.parse(there("recording").textContent);
mountLens(there("lens"), {
  picture,
  entry: async (id) => {
    if (details[id]) return details[id];
    throw new Error(NOT_HERE);
  },
  act: async () => {
    throw new Error(NOT_HERE);
  },
  actions: () => false,
  running: () => false,
  now: () => picture.values.origin + picture.values.until,
});

// The lens on a page of its own: the picture and the details of every entry are in the page, and there is
// no kernel to ask.

import { mountLens } from "./lens.js";

const { picture, details } = JSON.parse(document.getElementById("recording").textContent);
const root = document.getElementById("lens");
mountLens(root, {
  picture,
  actions: () => false,
  running: () => false,
  now: () => picture.values.origin + picture.values.until,
  act: async (name, { entry }) => {
    if (name === "entry" && details[entry]) return details[entry];
    throw new Error("This page was saved without it.");
  },
});

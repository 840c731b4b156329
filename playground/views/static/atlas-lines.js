// The grid's lines, from the model's rows (atlas/model.py). Pure functions.

/** @import { RunRow } from "./messages.js" */

/**
 * A line: a run, or above the runs of one invocation its name.
 * @typedef {{ id: string, row: RunRow } | { id?: undefined, group: string, level: number }} Line
 */

/**
 * The lines to show: each run, and before the first of those of one invocation its name.
 * @param {Record<string, RunRow>} rows in the order of the points.
 * @param {boolean} onlyDeviating
 */
export function lines(rows, onlyDeviating) {
  /** @type {Line[]} */
  const found = [];
  /** @type {RunRow | null} */
  let before = null;
  for (const [id, row] of Object.entries(rows)) {
    if (onlyDeviating && !row.deviates) continue;
    if (before === null || before.group !== row.group || before.level !== row.level) found.push({ group: row.group, level: row.level });
    found.push({ id, row });
    before = row;
  }
  return found;
}

/**
 * Where a run met its accidents, as one line.
 * @param {RunRow} row
 */
export function placed(row) {
  return row.places.join(", then ");
}

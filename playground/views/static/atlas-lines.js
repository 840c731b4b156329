// The grid's lines, from the model's rows (atlas/model.py). Pure functions.

/**
 * The lines to show: each run, and before the first of those of one invocation its name.
 * @param rows {id: row}, in the order of the points.
 * @returns [{id, row} | {group, level}]
 */
export function lines(rows, onlyDeviating) {
  const found = [];
  let before = null;
  for (const [id, row] of Object.entries(rows)) {
    if (onlyDeviating && !row.deviates) continue;
    if (before?.group !== row.group || before.level !== row.level) found.push({ group: row.group, level: row.level });
    found.push({ id, row });
    before = row;
  }
  return found;
}

/** Where a run met its accidents, as one line. */
export function placed(row) {
  return row.places.join(", then ");
}

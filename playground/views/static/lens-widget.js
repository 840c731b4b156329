// The lens as a widget in a notebook.

import { connect } from "./live.js";
import { mountLens } from "./lens.js";

/** @import { LensView } from "./messages.js" */
/** @import { Model } from "./live.js" */

export default {
  /** @param {{ model: Model<LensView>, el: Element }} view */
  render({ model, el }) {
    /** @type {ReturnType<typeof mountLens> | null} */
    let lens = null;
    const live = connect(model, { onChange: (data) => lens?.changed(data), onBusy: (...told) => lens?.busy(...told) });
    const open = () => Boolean(live.picture.values.open);
    const root = document.createElement("section");
    el.append(root);
    const mounted = mountLens(root, { ...live, entry: (entry) => live.act("entry", { entry }), actions: open, running: open });
    lens = mounted;
    return () => {
      mounted.close();
      live.close();
    };
  },
};

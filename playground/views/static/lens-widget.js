// The lens as a widget in a notebook.

import { connect } from "./live.js";
import { mountLens } from "./lens.js";

export default {
  render({ model, el }) {
    let lens = null;
    const live = connect(model, { onChange: (data) => lens?.changed(data), onBusy: (...told) => lens?.busy(...told) });
    const open = () => Boolean(live.picture.values.open);
    const root = document.createElement("section");
    el.append(root);
    lens = mountLens(root, { ...live, actions: open, running: open });
    return () => {
      lens.close();
      live.close();
    };
  },
};

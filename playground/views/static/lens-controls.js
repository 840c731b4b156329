// The controls: the scrubber through time, play at three speeds, one step back and forth, live; the axis.
// The scrubber moves along the axis as it is drawn. So does play: while idle time is collapsed it passes
// over a long wait as quickly as the picture does; true to scale, 1× is the recording's own speed.

import { element } from "./live.js";
import { duration } from "./moment.js";
import { points, shownTraces } from "./layout.js";

/** @import { Lens } from "./lens.js" */

const STEPS = 2000; // positions of the scrubber
const CROSSING = 12; // seconds for the whole axis at 1×, while idle time is collapsed
const MOST_ZOOM = 400;
const THUMB = 16; // px, the width of the scrubber's thumb

/** @param {Lens} lens */
export function makeControls(lens) {
  const { state } = lens;
  let playing = 0; // a frame's handle
  let played = 0; // when that frame was

  const playButton = button("lens-play", "▶", "Play", togglePlay);
  const rate = element("select", { class: "lens-rate", "aria-label": "Speed" });
  for (const [value, text] of [["1", "1×"], ["0.5", "½×"], ["0.25", "¼×"]]) rate.append(element("option", { value, text }));
  const back = button("lens-step", "‹", "One step back", () => step(-1));
  const forth = button("lens-step", "›", "One step forth", () => step(1));
  const scrubber = element("input", {
    class: "lens-scrubber", type: "range", min: 0, max: STEPS, step: 1, value: STEPS, "aria-label": "Moment shown",
    oninput: scrub,
  });
  const liveButton = button("lens-live", "live", "", goLive);
  const collapse = button("lens-collapse", "collapse idle time", "", toggleCollapsed);
  collapse.title = "Long gaps are drawn shorter than they were; the axis tells how long. Off: true to scale.";
  const less = button("lens-zoom", "−", "Zoom out", () => zoomBy(1 / 1.6));
  const more = button("lens-zoom", "+", "Zoom in", () => zoomBy(1.6));
  more.title = "Zoom in: + in the journal, or Ctrl and the wheel";
  const fit = button("lens-zoom", "fit", "fit: show the whole time", () => zoomBy(0));
  const time = element(
    "div", { class: "lens-controls", role: "group", "aria-label": "Time" },
    element("span", { class: "lens-buttons" }, playButton, rate, back, forth, liveButton),
    scrubber,
  );
  const scale = element("div", { class: "lens-buttons lens-scale", role: "group", "aria-label": "Time axis" }, collapse, less, more, fit);

  /**
   * @param {string} name
   * @param {string} text
   * @param {string} label
   * @param {() => void} onclick
   */
  function button(name, text, label, onclick) {
    return element("button", { class: name, type: "button", text, onclick, "aria-label": label || null, title: label || null });
  }

  function position() {
    return lens.view.scale.at(lens.view.moment) / lens.view.scale.used;
  }

  /** @param {number} at */
  function goTo(at) {
    const { scale } = lens.view;
    state.t = at >= 1 && !lens.view.growing ? null : scale.time(Math.min(1, Math.max(0, at)) * scale.used);
    state.follow = true;
    lens.draw();
  }

  function scrub() {
    pause();
    goTo(Number(scrubber.value) / STEPS);
  }

  /** @param {number} by */
  function step(by) {
    pause();
    const { shown, from, to, moment: now } = lens.view;
    const { times } = points(lens.found, shownTraces(lens.found.root, shown), from, to);
    const next = by > 0 ? times.find((at) => at > now + 1e-6) : times.findLast((at) => at < now - 1e-6);
    if (next === undefined) goLive();
    else {
      state.t = next >= to && !lens.view.growing ? null : next;
      state.follow = true;
      lens.draw();
    }
  }

  function goLive() {
    pause();
    state.t = null;
    state.follow = lens.view.growing;
    lens.draw();
  }

  function togglePlay() {
    if (playing) {
      pause();
      lens.draw();
      return;
    }
    if (state.t === null || position() >= 0.999) goTo(0);
    played = performance.now();
    playing = requestAnimationFrame(advance);
    lens.draw();
  }

  function pause() {
    cancelAnimationFrame(playing);
    playing = 0;
  }

  /** @param {number} now */
  function advance(now) {
    const { scale, moment: t, to } = lens.view;
    const passed = ((now - played) / 1000) * Number(rate.value);
    played = now;
    const next = state.collapsed ? scale.time(scale.at(t) + (passed / CROSSING) * scale.used) : t + passed;
    state.t = next;
    state.follow = true;
    if (next >= to - 1e-6) {
      state.t = null;
      playing = 0;
    } else playing = requestAnimationFrame(advance);
    lens.draw();
  }

  function toggleCollapsed() {
    state.collapsed = !state.collapsed;
    lens.draw();
  }

  /**
   * Zoom around a point of the plot (by default its middle), in pixels; by 0: show all.
   * @param {number} factor
   * @param {number} [around]
   */
  function zoomBy(factor, around = lens.view.plot / 2) {
    const zoom = Math.min(MOST_ZOOM, Math.max(1, state.zoom * factor));
    state.pan = (state.pan + around) * (zoom / state.zoom) - around;
    state.zoom = zoom;
    lens.draw();
  }

  return {
    time,
    scale,
    zoomBy,
    draw() {
      const { from, moment: t, growing, extent } = lens.view;
      // The thumb is under the moment it stands for, as long as the whole axis is shown.
      scrubber.style.marginLeft = `${extent[0] - THUMB / 2}px`;
      scrubber.style.width = `${Math.max(60, extent[1] - extent[0] + THUMB)}px`;
      if (document.activeElement !== scrubber || playing || state.t === null) scrubber.value = String(Math.round(position() * STEPS));
      scrubber.setAttribute("aria-valuetext", state.t === null ? "now" : `${duration(t - from)} after the start`);
      playButton.textContent = playing ? "❚❚" : "▶";
      playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
      playButton.title = playing ? "Pause" : "Play";
      liveButton.textContent = growing ? "● live" : "end";
      liveButton.title = growing ? "Follow live" : "Go to the end";
      liveButton.setAttribute("aria-pressed", String(state.t === null));
      collapse.setAttribute("aria-pressed", String(state.collapsed));
      less.disabled = fit.disabled = state.zoom <= 1;
    },
    close: pause,
  };
}

// The panel Pods: cards of those that are there and of the last that went, each with the end of its log.

import { element } from "./live.js";
import { frame, icon, keyedList, lasting, line, plural, setText, statusMark, visible } from "./kit.js";

/** @import { PodItem } from "./messages.js" */
/** @import { Frame, Host } from "./kit.js" */

/** @param {Host} host */
export function podsPanel(host) {
  const panel = frame(host, "pods", "Pods");
  const empty = element("p", { class: "dp-empty" });
  const list = element("ul", { class: "dp-cards" });
  panel.body.append(empty, list);
  /** @type {Map<string, ReturnType<typeof podCard>>} */
  const cards = new Map();
  const update = keyedList(list, (name) => {
    const card = podCard(panel, host, name);
    cards.set(name, card);
    return { ...card, close: () => cards.delete(name) };
  });

  function tick() {
    for (const card of cards.values()) card.tick();
  }

  /** @param {Record<string, PodItem>} items */
  function draw(items) {
    const names = Object.keys(items).sort((a, b) => items[b].startedAt - items[a].startedAt);
    const alive = names.filter((name) => items[name].alive);
    update([...alive, ...names.filter((name) => !items[name].alive)], (name) => items[name]);
    panel.note(alive.length ? `${plural(alive.length, "pod")} now` : "scaled to zero");
    empty.hidden = alive.length > 0;
    setText(empty, names.length ? "No pod runs. The next request starts one." : "No pod has run yet. A request starts one.");
    tick();
  }
  return { node: panel.node, draw, tick };
}

/**
 * @param {Frame} panel
 * @param {Host} host
 * @param {string} name
 */
function podCard(panel, host, name) {
  /** @type {PodItem | null} */
  let shown = null;
  const label = element("bdi", { class: "dp-name" });
  const phase = statusMark();
  const since = element("span", { class: "dp-quiet" });
  const revision = element("bdi", { class: "dp-code" });
  const works = element("ul", { class: "dp-works" });
  const kill = element("button", { type: "button", class: "dp-danger dp-kill-pod", title: "SIGKILL: the process ends at once. Its invocations are retried on another pod." }, icon("bolt"), element("span", { text: "Kill pod" }));
  kill.addEventListener("click", () => panel.run(kill, "pods.kill", { pod: name }));
  const count = element("summary");
  const log = element("pre", { class: "dp-log", tabindex: 0 });
  const all = element("button", { type: "button", class: "dp-link", text: "show all" });
  const tail = element("details", { open: true }, count, log, all);
  all.addEventListener("click", async () => {
    const whole = await panel.run(all, "pods.whole", { pod: name });
    if (whole) log.textContent = visible(whole.text);
  });
  tail.addEventListener("toggle", () => (log.scrollTop = log.scrollHeight));
  const node = element("li", { class: "dp-card" },
    element("div", { class: "dp-row" }, label, phase.node, since, kill),
    element("div", { class: "dp-row dp-quiet" }, revision),
    works, tail);

  function tick() {
    if (!shown) return;
    const { startedAt, goneAt } = shown;
    setText(since, goneAt === null ? `up ${lasting(host.now() - startedAt)}` : `after ${lasting(goneAt - startedAt)}`);
  }

  /** @param {PodItem} item */
  function set(item) {
    if (!item.alive && (!shown || shown.alive)) tail.open = false;
    const grown = !shown || shown.logCount !== item.logCount;
    shown = item;
    setText(label, line(item.label));
    setText(revision, line(`${item.revision} · ${name}`));
    phase.set(item.phase);
    node.classList.toggle("dp-gone", !item.alive);
    if (!item.alive && kill.contains(document.activeElement)) panel.heading.focus();
    kill.hidden = !item.alive || !host.live;
    kill.setAttribute("aria-label", `Kill pod ${line(item.label)}`);
    const open = item.open.map((target) => element("li", {}, icon("running"), element("bdi", { text: line(target) })));
    if (item.openCount > item.open.length) open.push(element("li", { text: `and ${item.openCount - item.open.length} more` }));
    works.replaceChildren(...open);
    works.setAttribute("aria-label", `open attempts on ${line(item.label)}`);
    works.hidden = !open.length;
    tail.hidden = !item.logCount;
    setText(count, `log, ${plural(item.logCount, "line")}`);
    log.setAttribute("aria-label", `log of ${line(item.label)}`);
    all.hidden = !item.logCut && item.logCount <= item.log.length;
    all.setAttribute("aria-label", `show all of the log of ${line(item.label)}`);
    if (grown) {
      const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
      log.textContent = visible(item.log.join("\n"));
      if (atEnd) log.scrollTop = log.scrollHeight;
    }
    tick();
  }
  return { node, set, tick };
}

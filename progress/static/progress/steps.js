import { duration } from "./format.js";

export default class Steps {
  #painted = "";

  constructor(list) {
    this.list = list;
  }

  /** Another task's steps are coming. */
  clear() {
    this.paint({ task: {} });
  }

  paint({ task: { steps = [] } }) {
    const said = JSON.stringify(steps);
    if (said === this.#painted) return;
    this.#painted = said;
    this.list.replaceChildren(...steps.map(row));
    (this.list.closest("[data-block]") ?? this.list).hidden = !steps.length;
  }
}

function row({ name, state, seconds, depth = 0 }) {
  const item = document.createElement("li");
  item.dataset.state = state;
  item.style.setProperty("--depth", depth);
  for (const text of [name, duration(seconds)]) {
    const cell = document.createElement("span");
    cell.textContent = text;
    item.append(cell);
  }
  return item;
}

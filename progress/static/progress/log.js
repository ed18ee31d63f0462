// The part "log": appended in order, its end followed until the reader scrolls away.

import { clock } from "./format.js";
import { LOG_LIMIT } from "./view.js";

const NEAR_END = 8; // px: zoomed pages round

export default class Log {
  #lines = []; // what is painted

  constructor(list) {
    this.list = list;
  }

  paint({ log }) {
    const { list } = this;
    const last = this.#lines.at(-1)?.n ?? 0;
    if (log === this.#lines || (!log.length && !last)) return; // until some are heard, the page's stay
    const following = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END;
    if ((log.at(-1)?.n ?? 0) < last || !this.#lines.length) list.replaceChildren(...log.map(row));
    else list.append(...log.slice(log.findLastIndex(({ n }) => n <= last) + 1).map(row));
    while (list.childElementCount > LOG_LIMIT) list.firstElementChild.remove();
    this.#lines = log;
    if (following) list.scrollTop = list.scrollHeight;
  }
}

function row({ ts, level, text }) {
  const item = document.createElement("li");
  item.dataset.level = level;
  item.append(document.createElement("time"), document.createElement("span"));
  item.firstChild.textContent = clock(ts * 1000);
  item.lastChild.textContent = text;
  return item;
}

// The part "log": its end is followed until the reader scrolls away. Beside it may be a select [data-log="level"] and a
// button [data-log="follow"].

import { clock } from "./format.js";
import { LOG_LIMIT } from "./view-state.js";

const NEAR_END = 8; // px: zoomed pages round

export default class Log {
  #lines = []; // what is painted
  #follow = true;

  constructor(list) {
    this.list = list;
    const beside = (name) => list.parentElement.querySelector(`[data-log="${name}"]`);
    this.button = beside("follow");
    this.button?.addEventListener("click", () => this.#set(!this.#follow));
    beside("level")?.addEventListener("change", ({ target }) => {
      list.dataset.least = target.value;
      this.#set(this.#follow);
    });
    list.addEventListener("scroll", () => this.#note(list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END));
  }

  paint({ log }) {
    const { list } = this;
    const last = this.#lines.at(-1)?.n ?? 0;
    if (log === this.#lines || (!log.length && !last)) return; // until some are heard, the page's stay
    if ((log.at(-1)?.n ?? 0) < last || !this.#lines.length) list.replaceChildren(...log.map(row));
    else list.append(...log.slice(log.findLastIndex(({ n }) => n <= last) + 1).map(row));
    while (list.childElementCount > LOG_LIMIT) list.firstElementChild.remove();
    this.#lines = log;
    this.#set(this.#follow);
  }

  #set(follow) {
    this.#note(follow);
    if (follow) this.list.scrollTop = this.list.scrollHeight;
  }

  #note(follow) {
    this.#follow = follow;
    this.button?.setAttribute("aria-pressed", follow);
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

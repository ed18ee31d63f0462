// The part "log": its end is followed until the reader scrolls away. Beside it may be a select [data-log="level"] and a
// button [data-log="follow"].

import { clock } from "./format.js";
import { LOG_LIMIT } from "./view-state.js";

const NEAR_END = 8; // px: zoomed pages round

export default class Log {
  #lines = []; // what is painted
  #follow = true;
  #life = new AbortController();

  constructor(list) {
    this.list = list;
    const { signal } = this.#life;
    const beside = (name) => list.parentElement.querySelector(`[data-log="${name}"]`);
    this.button = beside("follow");
    this.button?.addEventListener("click", () => this.#set(!this.#follow), { signal });
    const level = beside("level");
    level?.addEventListener("change", () => (this.#choose(level.value), this.#set(this.#follow)), { signal });
    if (level) this.#choose(level.value); // a page that comes back keeps what was chosen
    const atEnd = () => list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END;
    list.addEventListener("scroll", () => this.#note(atEnd()), { signal });
    for (const one of list.parentElement.querySelectorAll("[data-log][hidden], [hidden]:has(> [data-log])")) one.hidden = false;
  }

  /** The page has another list in its place. */
  end() {
    this.#life.abort();
  }

  /** Another task's lines are coming. */
  clear() {
    this.#lines = [];
    this.list.replaceChildren();
    this.#note(true);
  }

  #choose(least) {
    this.list.dataset.least = least;
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

// The part "log": its end is followed until the reader scrolls away. Beside it may be [data-log] "level", "follow" and
// "earlier": how many lines before the first one are not kept.

import { clock, number } from "./format.js";
import { LOG_LIMIT } from "./view-state.js";

const NEAR_END = 8; // px: zoomed pages round
const HAND = 1_000; // ms: wheels and fingers let a scroll run on
const CALM = 5; // frames without a change
const HANDS = ["wheel", "touchmove", "keydown", "pointerdown", "pointermove"];

export default class Log {
  #lines = []; // what is painted
  #follow = true;
  #life = new AbortController();
  #size;
  #top = 0; // where it was scrolled to when last looked at
  #end = 0; // and where its end was
  #frame = 0;
  #hand = -HAND; // when the reader touched it last

  constructor(list) {
    this.list = list;
    const { signal } = this.#life;
    const beside = (name) => list.parentElement.querySelector(`[data-log="${name}"]`);
    this.button = beside("follow");
    this.earlier = beside("earlier");
    this.button?.addEventListener("click", () => this.#set(!this.#follow), { signal });
    const level = beside("level");
    level?.addEventListener("change", () => (this.#choose(level.value), this.#set(this.#follow)), { signal });
    if (level) this.#choose(level.value); // a page that comes back keeps what was chosen
    for (const name of HANDS) list.addEventListener(name, () => (this.#hand = performance.now()), { passive: true, signal });
    list.addEventListener("scroll", () => this.#scrolled(), { signal });
    list.addEventListener("keydown", ({ key }) => key === "End" && this.#set(true), { signal }); // the end moves on the way there
    // lines that wrap otherwise are of another height
    this.#size = new ResizeObserver(() => this.#set(this.#follow));
    this.#size.observe(list);
    for (const one of list.parentElement.querySelectorAll("[data-log][hidden], [hidden]:has(> [data-log])")) one.hidden = false;
    this.#set(true);
  }

  /** The page has another list in its place. */
  end() {
    this.#life.abort();
    this.#size.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /** Another task's lines are coming. */
  clear() {
    this.#lines = [];
    this.list.replaceChildren();
    if (this.earlier) this.earlier.textContent = "";
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
    if (this.earlier) this.earlier.textContent = notKept(log);
    this.#set(this.#follow);
  }

  // Rows get other heights as they come into view, which moves the end: only the reader's hand ends the following, or
  // who scrolls up while all heights stay. Down to where the end was begins it again.
  #scrolled() {
    const { scrollTop: top } = this.list;
    const up = top < this.#top - 1 && top < this.#endNow - NEAR_END;
    if (!this.#follow) this.#note(top > Math.min(this.#end, this.#endNow) - NEAR_END);
    else if (up && (this.#endNow === this.#end || performance.now() - this.#hand < HAND)) this.#note(false);
    this.#pin();
  }

  #set(follow) {
    this.#note(follow);
    this.#hand = -HAND;
    this.#pin();
    this.#settle();
  }

  // rows get their heights some frames after they have come into view
  #settle(calm = 0) {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      const end = this.#end;
      this.#pin();
      if (this.#follow && calm < CALM) this.#settle(end === this.#end ? calm + 1 : 0);
    });
  }

  /** Back to the end, while it is followed. */
  #pin() {
    if (this.#follow) this.list.scrollTop = this.list.scrollHeight;
    this.#top = this.list.scrollTop;
    this.#end = this.#endNow;
  }

  get #endNow() {
    return this.list.scrollHeight - this.list.clientHeight;
  }

  #note(follow) {
    this.#follow = follow;
    // a browser that holds on to the rows in view would move up where others become smaller
    this.list.style.overflowAnchor = follow ? "none" : "auto";
    this.button?.setAttribute("aria-pressed", follow);
  }
}

export function notKept(log) {
  const count = (log[0]?.n ?? 1) - 1;
  return count > 0 ? `${number(count)} earlier ${count === 1 ? "line is" : "lines are"} not kept.` : "";
}

function row({ ts, level, text }) {
  const item = document.createElement("li");
  item.dataset.level = level;
  item.append(document.createElement("time"), document.createElement("span"));
  item.firstChild.textContent = clock(ts * 1000);
  item.lastChild.textContent = text;
  return item;
}

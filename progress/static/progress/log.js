// The part "log": its end is followed until the reader scrolls away. Beside it may be [data-log] "level", "find", "follow"
// and "earlier". An event "span" says of which time it shows lines.

import { clock, number } from "./format.js";
import { LOG_LIMIT } from "./view-state.js";

const NEAR_END = 8; // px
const HAND = 1_000; // ms
const CALM = 5;
const HANDS = ["wheel", "touchmove", "keydown", "pointerdown", "pointermove"];

export default class Log {
	#lines = [];
	#follow = true;
	#life = new AbortController();
	#size;
	#top = 0;
	#end = 0;
	#frame = 0;
	#hand = -HAND;
	#span; // shown: {from, to} in ms
	#isShown = null;

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
		const find = beside("find");
		const filter = async () => {
			const { filterOf } = await import("./log-filter.js");
			this.#isShown = filterOf(find?.value ?? "", this.#span);
			for (const row of list.children) row.hidden = !this.#isShown(row);
			this.#set(this.#follow);
		};
		find?.addEventListener("input", filter, { signal });
		list.closest("task-progress")?.addEventListener("span", ({ detail }) => ((this.#span = detail), filter()), { signal });
		for (const name of HANDS) list.addEventListener(name, () => (this.#hand = performance.now()), { passive: true, signal });
		list.addEventListener("scroll", () => this.#scrolled(), { signal });
		list.addEventListener("keydown", ({ key }) => key === "End" && this.#set(true), { signal });
		this.#size = new ResizeObserver(() => this.#set(this.#follow));
		this.#size.observe(list);
		for (const one of list.parentElement.querySelectorAll("[data-log][hidden], [hidden]:has(> [data-log])")) one.hidden = false;
		this.#set(!location.hash.startsWith("#L"));
	}

	end() {
		this.#life.abort();
		this.#size.disconnect();
		cancelAnimationFrame(this.#frame);
	}

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
		if ((log.at(-1)?.n ?? 0) < last || !this.#lines.length) list.replaceChildren(...log.map(this.#row));
		else list.append(...log.slice(log.findLastIndex(({ n }) => n <= last) + 1).map(this.#row));
		while (list.childElementCount > LOG_LIMIT) list.firstElementChild.remove();
		this.#lines = log;
		if (this.earlier) this.earlier.textContent = notKept(log);
		this.#set(this.#follow);
		// named anew: the row that the address meant when the page came was another element
		if (!last && location.hash.startsWith("#L")) location.replace(location.hash);
	}

	#row = (line) => {
		const item = row(line, this.list.hasAttribute("data-links"));
		item.hidden = this.#isShown?.(item) === false;
		return item;
	};

	// Rows get other heights as they come into view, which moves the end: only the reader's hand ends the following, or who
	// scrolls up while all heights stay.
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

	#settle(calm = 0) {
		cancelAnimationFrame(this.#frame);
		this.#frame = requestAnimationFrame(() => {
			const end = this.#end;
			this.#pin();
			if (this.#follow && calm < CALM) this.#settle(end === this.#end ? calm + 1 : 0);
		});
	}

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
		// a browser that holds on to the rows in view moves up where others become smaller
		this.list.style.overflowAnchor = follow ? "none" : "auto";
		this.button?.setAttribute("aria-pressed", follow);
	}
}

export function notKept(log) {
	const count = (log[0]?.n ?? 1) - 1;
	return count > 0 ? `${number(count)} earlier ${count === 1 ? "line is" : "lines are"} not kept.` : "";
}

function row({ n, ts, level, text }, links) {
	const item = document.createElement("li");
	item.dataset.level = level;
	item.at = ts * 1000;
	let time = document.createElement("time");
	time.textContent = clock(item.at);
	if (links) {
		const link = Object.assign(document.createElement("a"), { href: `#L${n}`, tabIndex: -1 }); // the list is one stop
		item.id = `L${n}`;
		link.append(time);
		time = link;
	}
	item.append(time, document.createElement("span"));
	item.lastChild.textContent = text;
	return item;
}

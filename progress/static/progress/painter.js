// One animation frame and one clock for all elements of a page.

const dirty = new Set();
const ticking = new Set();
let frame = 0;
let clock = 0;

export function paintSoon(element) {
	dirty.add(element);
	frame ||= requestAnimationFrame(paintAll);
}

/** What runs is painted every second even when nothing arrives. */
export function tick(element, on) {
	ticking[on ? "add" : "delete"](element);
	if (!ticking.size) clearInterval(clock), (clock = 0);
	else clock ||= setInterval(() => ticking.forEach(paintSoon), 1_000);
}

function paintAll() {
	const elements = [...dirty];
	dirty.clear();
	frame = 0;
	for (const element of elements) element.paint();
}

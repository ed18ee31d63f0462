// The part "plot": the rate over time; what was before the page came is told by its average.

import { duration, rate } from "./format.js";

export default class Plot {
	#points = []; // [seconds since the start, rate]
	#attempt = 0;

	constructor(plot) {
		this.block = plot.closest("[data-block]") ?? plot;
	}

	/** Another task's rates are coming. */
	clear() {
		[this.#points, this.#attempt] = [[], 0];
		this.block.hidden = true;
	}

	paint({ task: { attempt, current, rate: now, started_at, ts, unit } }) {
		const t = ts - new Date(started_at) / 1000;
		if (!started_at || !(t > 0 && current > 0)) return;
		if (attempt !== this.#attempt) [this.#points, this.#attempt] = [[], attempt];
		const average = current / t;
		const points = this.#points;
		if (!points.length) points.push([0, average], [t, average]);
		// the longer it takes, the wider apart: some 1,500 in an hour
		else if (now !== null && t - points.at(-1)[0] > t / 200) points.push([t, now]);
		const end = points.at(-1)[0];
		const top = nice(Math.max(...points.map(([, r]) => r)));
		// in a box of 300 × 100
		const line = points.map(([t, r]) => `${((t / end) * 300).toFixed(1)} ${(100 - (r / top) * 100).toFixed(1)}`);
		this.#part("line").setAttribute("d", `M${line.join("L")}`);
		this.#part("top").textContent = rate(top, unit);
		this.#part("end").textContent = duration(end);
		this.#part("average").textContent = `${rate(average, unit)} on average`;
		this.block.hidden = false;
	}

	#part(name) {
		return this.block.querySelector(`[data-plot="${name}"]`);
	}
}

/** The next of 1, 2, 5, 10, 20 … */
function nice(most) {
	const power = 10 ** Math.floor(Math.log10(most));
	return [1, 2, 5, 10].find((step) => step * power >= most) * power;
}

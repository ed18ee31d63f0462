// Numbers and times as people read them. Pure; what is unknown becomes "".

const SPACE = "\u00a0"; // a number and its unit stay on one line
const known = (x) => typeof x === "number" && Number.isFinite(x);
const digits = (n) => new Intl.NumberFormat("en", { minimumFractionDigits: n, maximumFractionDigits: n });
const WHOLE = digits(0);
const TENTH = digits(1);

export function number(x) {
	if (!known(x)) return "";
	return (Number.isInteger(x) || Math.abs(x) >= 100 ? WHOLE : TENTH).format(x);
}

export function bytes(x) {
	if (!known(x)) return "";
	const units = ["B", "kB", "MB", "GB", "TB"];
	let i = 0;
	// 999.95 would be written 1,000.0
	for (; Math.abs(x) >= (i ? 999.95 : 1000) && i < units.length - 1; i++) x /= 1000;
	return (i ? TENTH : WHOLE).format(x) + SPACE + units[i];
}

const amount = (x, unit) => (unit === "bytes" ? bytes(x) : number(x));
const named = (unit) => (unit && unit !== "bytes" ? SPACE + unit : "");

export function count(current, total, unit = "") {
	if (!known(current)) return "";
	return amount(current, unit) + (known(total) ? ` / ${amount(total, unit)}` : "") + named(unit);
}

export function rate(perSecond, unit = "") {
	if (!known(perSecond) || perSecond <= 0) return "";
	if (unit === "bytes") return bytes(perSecond) + "/s";
	const [value, per] = perSecond < 0.1 ? [perSecond * 60, "min"] : [perSecond, "s"];
	return (value < 100 ? TENTH : WHOLE).format(value) + named(unit) + "/" + per;
}

export function percent(x) {
	// 100 % is said of the whole only
	return known(x) ? WHOLE.format(Math.floor(x + 1e-9)) + SPACE + "%" : "";
}

export function duration(seconds) {
	if (!known(seconds)) return "";
	if (seconds < 9.95) return TENTH.format(seconds) + SPACE + "s";
	const pair = (whole, size, units, width) =>
		`${Math.floor(whole / size)} ${units[0]} ${String(whole % size).padStart(width, "0")} ${units[1]}`.replaceAll(" ", SPACE);
	const [s, m, h] = [1, 60, 3600].map((size) => Math.round(seconds / size));
	if (s < 60) return s + SPACE + "s";
	if (s < 3600) return pair(s, 60, ["min", "s"], 2);
	return m < 1440 ? pair(m, 60, ["h", "min"], 2) : pair(h, 24, ["d", "h"], 1);
}

// below so many seconds: the unit, its seconds, and in steps of how many
const COARSER = [
	[10, "s", 1, 1],
	[57.5, "s", 1, 5],
	[600, "min", 60, 0.5],
	[3_450, "min", 60, 5],
	[36_000, "h", 3600, 0.5],
	[82_800, "h", 3600, 1],
	[Infinity, "d", 86_400, 0.5],
];

/** A guess: the further off the end, the coarser. */
export function eta(seconds) {
	if (!known(seconds) || seconds < 0) return "";
	const [, unit, size, step] = COARSER.find(([below]) => seconds < below);
	const value = Math.max(1, Math.round(seconds / size / step)) * step;
	return number(value) + SPACE + unit;
}

export function age(seconds) {
	if (!known(seconds)) return "";
	if (seconds < 10) return "just now";
	return span(seconds) + " ago";
}

export function span(seconds) {
	const [size, unit] = [[86_400, "d"], [3600, "h"], [60, "min"]].find(([size]) => seconds >= size) ?? [1, "s"];
	return Math.floor(seconds / size) + SPACE + unit;
}

export function json(value) {
	if (value === null || value === undefined) return "";
	if (typeof value !== "string") return JSON.stringify(value, null, 2);
	try {
		return JSON.stringify(JSON.parse(value), null, 2);
	} catch {
		return value;
	}
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

// in the viewer's zone
export const clock = (moment) => (moment ? CLOCK.format(new Date(moment)) : "");

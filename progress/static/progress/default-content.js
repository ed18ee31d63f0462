// What an element without content shows.

const SVG = "http://www.w3.org/2000/svg";

export function defaultContent() {
	const content = document.createDocumentFragment();
	const bar = make("div", { part: "bar", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 });
	const svg = make("svg", { "aria-hidden": "true" }, SVG);
	svg.append(make("rect", { part: "fill", width: "0%", height: "100%" }, SVG));
	bar.append(svg);
	content.append(line("state", "message", "connection"), bar, line("percent", "count", "rate", "eta", "elapsed"));
	for (const part of ["waiting", "quiet", "error"]) content.append(make("p", { part, hidden: "" }));
	content.append(make("p", { part: "announce", role: "status" }));
	return content;
}

function line(...parts) {
	const line = make("div", { class: "task-progress-line" });
	line.append(...parts.map((part) => make("span", { part })));
	return line;
}

function make(tag, attributes, namespace = "http://www.w3.org/1999/xhtml") {
	const element = document.createElementNS(namespace, tag);
	for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
	return element;
}

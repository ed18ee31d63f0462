// What is running: told by the page's list socket, polled without it.

import { sharedConnection } from "../progress/connection.js";

const strip = document.getElementById("strip");
let stop = null;

function watch() {
	stop?.();
	// a hidden tab asks for nothing
	stop = document.hidden ? null : sharedConnection().watch("@status", strip.dataset.src, paint);
}

function paint(parts, socket) {
	const away = socket === "reconnecting";
	const out = socket === "signed-out"; // then nothing is told any more
	strip.toggleAttribute("away", away || out);
	write("socket", { ok: !away && !out, text: out ? "signed out" : socket });
	for (const name in parts) write(name, parts[name]);
	write("web", { ok: !away, text: away ? "not reachable" : "up" });
}

function write(name, { ok, text, hint }) {
	const part = strip.querySelector(`[data-part=${name}]`);
	part.dataset.ok = ok;
	part.hidden = false;
	part.querySelector("b").textContent = text;
	if (hint) part.querySelector("code").textContent = hint;
	strip.toggleAttribute("data-wrong", strip.querySelector("[data-ok=false]"));
}

document.addEventListener("visibilitychange", watch);
watch();

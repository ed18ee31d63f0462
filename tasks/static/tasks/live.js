// What a page of the staff shows is asked for anew every few seconds, while somebody looks, and at once when its filter
// changes. Nothing that did not change is touched, so the keyboard's place stays.

import { clock } from "../progress/format.js";

const EVERY = 5_000; // ms
const GAP = 3_000; // ms: not more often, however much happens
let timer = 0;
let asked = -GAP;
let isDue = false;
let taking = (page) => {
	for (const fresh of page.querySelectorAll("[data-live]"))
		change(document.querySelector(`[data-live="${fresh.dataset.live}"]`), fresh);
};

/** Take a page that was asked for anew in another way, `pace()` ms after the last. */
export function follow(take, pace) {
	const regions = taking;
	taking = (page) => (regions(page), take(page));
	every = pace;
	schedule();
}

export function change(old, fresh) {
	localTimes(fresh);
	if (old && old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.childNodes);
}

/** In the viewer's zone; the day stays where it is not today. */
export function localTimes(within) {
	for (const time of within.querySelectorAll("time")) {
		const moment = new Date(time.dateTime);
		const today = moment.toDateString() === new Date().toDateString();
		const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
		time.textContent = (today ? "" : `${day.format(moment)}, `) + clock(moment);
	}
}

let every = () => EVERY;
function schedule() {
	clearTimeout(timer);
	timer = setTimeout(() => (document.hidden ? schedule() : refresh()), every());
}

/** What is shown is not what is any more. */
export function soon() {
	isDue = true;
	clearTimeout(timer);
	timer = setTimeout(() => (document.hidden ? schedule() : refresh()), Math.max(100, asked + GAP - performance.now()));
}

async function refresh() {
	const address = location.href;
	asked = performance.now();
	isDue = false;
	const answer = await fetch(address).catch(() => null);
	if (answer?.redirected) return signedOut(answer.url); // to the page to log in
	const text = answer?.ok ? await answer.text() : "";
	if (text && address === location.href) taking(new DOMParser().parseFromString(text, "text/html"));
	if (isDue) soon();
	else schedule();
}

function signedOut(login) {
	const link = Object.assign(document.createElement("a"), { textContent: "Log in", href: login });
	const note = Object.assign(document.createElement("p"), { className: "note error", role: "alert" });
	note.append("You are signed out, and this page stands still. ", link);
	document.getElementById("main").prepend(note);
}

/** The filter acts at once; its button is for those without this script. */
const filter = document.querySelector('form[aria-label="Filter"]');
function filtered() {
	const words = [...new FormData(filter)].filter(([, value]) => value !== "");
	const address = `${location.pathname}?${new URLSearchParams(words)}`;
	history.replaceState(null, "", address);
	refresh();
}
filter?.addEventListener("change", filtered);
filter?.addEventListener("submit", (event) => (event.preventDefault(), filtered()));

localTimes(document);
schedule();

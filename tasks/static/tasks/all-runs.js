// The list of all runs is asked for anew every few seconds, while somebody looks. Nothing that did not change is touched,
// so ticks and the keyboard's place stay.

import { clock } from "../progress/format.js";

const EVERY = 3_000; // ms
const body = document.querySelector("tbody");
const all = document.getElementById("all");

function take(page) {
  for (const fresh of page.querySelectorAll("[data-live]"))
    change(document.querySelector(`[data-live="${fresh.dataset.live}"]`), fresh);
  const held = new Map([...body.rows].map((row) => [row.dataset.run, row]));
  let place = body.firstElementChild;
  for (const fresh of [...page.querySelector("tbody").rows]) {
    const row = held.get(fresh.dataset.run) ?? fresh;
    held.delete(fresh.dataset.run);
    if (row !== fresh) [...row.cells].slice(1).forEach((cell, i) => change(cell, fresh.cells[i + 1]));
    row.setAttribute("state", fresh.getAttribute("state"));
    row.toggleAttribute("missing", fresh.hasAttribute("missing"));
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  held.forEach((row) => row.remove());
}

function change(old, fresh) {
  localTimes(fresh);
  if (old.innerHTML !== fresh.innerHTML) old.replaceChildren(...fresh.childNodes);
}

/** In the viewer's zone; the day stays where it is not today. */
function localTimes(within) {
  for (const time of within.querySelectorAll("time")) {
    const moment = new Date(time.dateTime);
    const today = moment.toDateString() === new Date().toDateString();
    const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
    time.textContent = (today ? "" : `${day.format(moment)}, `) + clock(moment);
  }
}

async function refresh() {
  const answer = document.hidden ? null : await fetch(location).catch(() => null);
  if (answer?.redirected) return signedOut(answer.url); // to the page to log in
  if (answer?.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
  setTimeout(refresh, EVERY);
}

function signedOut(login) {
  const link = Object.assign(document.createElement("a"), { textContent: "Log in", href: login });
  const note = Object.assign(document.createElement("p"), { className: "note error", role: "alert" });
  note.append("You are signed out, and this list stands still. ", link);
  document.getElementById("main").prepend(note);
}

all.hidden = false;
all.setAttribute("aria-label", "All on this page");
all.addEventListener("change", () => body.querySelectorAll("[name=run]").forEach((box) => (box.checked = all.checked)));
localTimes(document);
setTimeout(refresh, EVERY);

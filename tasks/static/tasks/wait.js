// Counts down to when something may be tried again.

/** Fills `place` every second until the `seconds` are over. */
export function countDown(place, seconds) {
	const until = Date.now() + seconds * 1000;
	const tick = () => {
		const left = Math.ceil((until - Date.now()) / 1000);
		if (!place.isConnected) return;
		place.hidden = false;
		place.textContent = left > 0 ? `Again in ${left} s.` : "Now it may be tried again.";
		if (left > 0) setTimeout(tick, 250);
	};
	tick();
}

for (const place of document.querySelectorAll("[data-wait]")) countDown(place, Number(place.dataset.wait));

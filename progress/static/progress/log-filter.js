/** Whether a row of the log has these words, in a line of that time: {from, to} in ms. */
export function filterOf(words, span) {
	const wanted = words.trim().toLowerCase();
	return ({ at, lastChild }) => (!span || (at > span.from - 1 && at < span.to)) && lastChild.textContent.toLowerCase().includes(wanted);
}

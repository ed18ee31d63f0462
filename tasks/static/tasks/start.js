// What the dialog of a start does besides sending it: the fields of the chosen task, a filter, what was typed last, what is
// wrong, and the same start as a script.

const KEY = "start "; // of localStorage; a task's name follows

const json = (value) => JSON.stringify(value);
const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const python = (value) => (typeof value === "boolean" ? (value ? "True" : "False") : json(value));
const fieldsOf = (form) => [...(form.querySelector("fieldset:enabled")?.elements ?? [])].filter(({ name }) => name);

const ready = new WeakSet();

export function prepare(dialog) {
	const form = dialog.querySelector("form.start");
	const same = dialog.querySelector("[data-same]");
	if (!same) return;
	const write = () => writeSame(form, same);
	if (!ready.has(dialog)) {
		ready.add(dialog);
		filter(dialog.querySelector("#find-task"), form.elements.task);
		form.addEventListener("input", write);
		form.elements.task.addEventListener("change", () => (choose(form), recall(form), write()));
		choose(form);
		form.addEventListener("started", () => remember(form));
		same.hidden = false;
		if (!form.typed && !form.querySelector(".field-error:not([hidden])")) recall(form);
	}
	write();
}

/** Only the fields of the chosen task are shown and sent. */
function choose(form) {
	const task = form.elements.task.value;
	for (const part of form.querySelectorAll("fieldset")) part.hidden = part.disabled = part.dataset.task !== task;
}

/** Each sentence beside its field; what has no field below the form. */
export function show(form, problem, errors) {
	const rest = { ...errors };
	for (const place of form.querySelectorAll(".field-error")) {
		const input = document.getElementById(place.id.replace("_error", ""));
		if (input.matches(":disabled")) continue;
		const text = (errors[input.name] ?? []).join(" ");
		delete rest[input.name];
		place.textContent = text;
		place.hidden = !text;
		input.setAttribute("aria-invalid", Boolean(text));
		input.setAttribute("aria-describedby", `${input.id}_helptext ${place.id}`);
	}
	problem.textContent = Object.values(rest).flat().join(" ");
	form.querySelector("[aria-invalid=true]:enabled")?.focus();
}

function filter(input, choice) {
	if (!input) return;
	const all = [...choice.options];
	input.hidden = false;
	input.addEventListener("input", () => {
		const chosen = choice.value;
		choice.replaceChildren(...all.filter(({ value }) => value.toLowerCase().includes(input.value.trim().toLowerCase())));
		if (choice.value !== chosen) choice.dispatchEvent(new Event("change", { bubbles: true }));
	});
}

// a browser may keep nothing, or refuse to
function remember(form) {
	const values = Object.fromEntries(fieldsOf(form).map((field) => [field.name, field.type === "checkbox" ? field.checked : field.value]));
	try {
		localStorage.setItem(KEY + form.elements.task.value, json(values));
	} catch {}
}

function recall(form) {
	let values = {};
	try {
		values = JSON.parse(localStorage.getItem(KEY + form.elements.task.value)) ?? {};
	} catch {}
	for (const field of fieldsOf(form))
		if (field.name in values) field.type === "checkbox" ? (field.checked = values[field.name]) : (field.value = values[field.name]);
}

function valueOf({ type, value, checked, valueAsNumber }) {
	if (type === "checkbox") return checked;
	return type === "number" && Number.isFinite(valueAsNumber) ? valueAsNumber : value;
}

/** What is left empty is left out. */
function writeSame(form, same) {
	const given = fieldsOf(form).map((field) => [field.name, valueOf(field)]).filter(([, value]) => value !== "");
	const path = form.querySelector("fieldset:enabled")?.dataset.path ?? "";
	const [url, home] = [same.dataset.url, same.dataset.home].map((path) => new URL(path, location.href).href);
	const body = json({ task: form.elements.task.value, ...Object.fromEntries(given) });
	same.querySelector("#as-curl").textContent = [
		`curl -s -o /dev/null -c jar ${shell(home)}`,
		`curl -s -b jar -H "X-CSRFToken: $(awk '/csrftoken/ {print $7}' jar)" -H 'Content-Type: application/json' -H 'Accept: application/json' -d ${shell(body)} ${shell(url)}`,
	].join("\n");
	const [, module, name] = /^(.*)\.([^.]*)$/.exec(path) ?? [];
	same.querySelector("#as-python").textContent = [
		`from ${module} import ${name}`,
		`${name}.delay(${given.map(([key, value]) => `${key}=${python(value)}`).join(", ")})`,
	].join("\n");
}

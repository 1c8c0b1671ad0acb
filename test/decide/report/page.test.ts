/** The page as a string: well-formed, complete, safe with hostile names, the same bytes for the same input. */
import t from "tap";
import { html } from "../../../src/decide/report/markup.js";
import { reportPage } from "../../../src/decide/report/page/page.js";
import { reportOf } from "../../../src/decide/report/report.js";
import type { ReportInput } from "../../../src/decide/report/reportInput.js";
import { initialStatus } from "../../../src/decide/rollout/status.js";
import type { Evidence } from "../../../src/infer/statistics/evidence.js";
import { DECLARED, HARMFUL, MEASURING, reportInput, START_MS, WINNING } from "./example.js";
import { elementsOf } from "./wellFormed.js";

const page = (input: ReportInput): string => reportPage(reportOf(input));
const SECTIONS = [
	...[
		"claims",
		"history",
		"levels",
		"allocation",
		"exposure",
		"segments",
		"effect",
		"beliefs",
		"quality",
		"numbers",
		"decisions",
	],
];

const FRESH: ReportInput = {
	experiment: DECLARED,
	metrics: reportInput({ ...MEASURING, days: 0 }).metrics,
	status: initialStatus(DECLARED.spec.rollout.stepsPpm, START_MS),
	decisions: [],
	evidence: null,
	atMs: START_MS,
};

t.test("the page has every section, well-formed and with a heading, also without evidence", (t) => {
	for (const input of [
		FRESH,
		reportInput({ ...MEASURING, days: 0 }),
		...[MEASURING, WINNING, HARMFUL].map((story) => reportInput(story)),
	]) {
		const text = page(input);
		const elements = elementsOf(text.slice("<!DOCTYPE html>\n".length));
		const ids = elements.flatMap(({ attributes }) => attributes.id ?? []);
		t.equal(new Set(ids).size, ids.length, "no id twice");
		for (const id of SECTIONS) t.ok(ids.includes(id) && ids.includes(`${id}-h`), id);
		for (const { attributes } of elements.filter(
			({ name, attributes }) => name === "a" && attributes.href !== undefined,
		))
			t.ok(ids.includes((attributes.href ?? "").slice(1)), `${attributes.href} leads somewhere`);
		for (const landmark of ["main", "header", "footer", "nav", "h1"])
			t.equal(elements.filter(({ name }) => name === landmark).length, 1, landmark);
		const pictures = elements.filter(({ name }) => name === "svg");
		t.ok(
			pictures.every(
				({ attributes }) => attributes["aria-hidden"] === "true" || (attributes["aria-label"] ?? "").length > 20,
			),
			"each picture has a text",
		);
		for (const { attributes } of elements.filter((one) => one.attributes.class?.includes("scroll")))
			t.match(attributes, { tabindex: "0", role: "region" }, "scrollable regions work by keyboard");
		t.notMatch(text, /NaN|undefined|Infinity|\[object/);
	}
	t.end();
});

t.test("the page loads no resource and runs no script", (t) => {
	const text = page(reportInput(WINNING));
	const elements = elementsOf(text.slice("<!DOCTYPE html>\n".length));
	t.same(
		elements.filter(({ name }) => ["script", "link", "img", "iframe", "object", "form", "image", "use"].includes(name)),
		[],
	);
	const policy = elements.find(({ attributes }) => attributes["http-equiv"] === "Content-Security-Policy");
	t.equal(
		policy?.attributes.content,
		"default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;",
	);
	t.notOk(
		elements.some(({ attributes }) =>
			Object.keys(attributes).some((name) => name === "style" || name.startsWith("on")),
		),
	);
	t.notMatch(text.replaceAll(/xmlns="[^"]*"/g, ""), /https?:|url\((?!#)|@import/);
	t.end();
});

t.test("the same input gives the same page, byte for byte", (t) => {
	const input = reportInput(MEASURING);
	t.equal(page(input), page(JSON.parse(JSON.stringify(input))));
	t.end();
});

t.test("the report page escapes hostile names and values", (t) => {
	const hostile = [
		`</script><script>alert(1)</script>`,
		`"><img src=x onerror=alert(1)>`,
		`' onmouseover='alert(1)`,
		`]]></style><svg onload=alert(1)>`,
		`&lt;b&gt; & <!-- `,
		"\u202Egnp.exe\u2066\u200F",
		"\u0000\u001B[31m\uD800 \uFFFE",
	];
	const text = JSON.stringify(reportInput(MEASURING));
	for (const name of hostile) {
		// The country, a metric, an arm, a reason and the Service.
		const dressed = text
			.replaceAll('"DE"', JSON.stringify(name))
			.replaceAll('"accuracy"', JSON.stringify(`accuracy${name}`))
			.replaceAll('"boosted"', JSON.stringify(`boosted${name}`))
			.replaceAll('"employment"', JSON.stringify(`employment${name}`))
			.replaceAll('"reason":"', `"reason":${JSON.stringify(name).slice(0, -1)}`)
			.replaceAll('"name":"main"', `"name":${JSON.stringify(`main${name}`)}`);
		const made = page(JSON.parse(dressed));
		const elements = elementsOf(made.slice("<!DOCTYPE html>\n".length));
		t.same(
			elements.filter(({ name }) => name === "script" || name === "img"),
			[],
			name,
		);
		t.notOk(elements.some(({ attributes }) => Object.keys(attributes).some((key) => key.startsWith("on"))));
		t.notMatch(made.replaceAll(/[\n\t]/g, ""), /[\p{Cc}\p{Cf}\p{Cs}\uFFFE]/u);
	}
	t.match(html`${"\u202Ex"}`.text, /^⟨U\+202E⟩x$/, "invisible characters are shown by number");
	t.equal(html`<p title="${`"'&<>`}">${null}${["a", 1]}</p>`.text, '<p title="&quot;&#39;&amp;&lt;&gt;">a1</p>');
	t.end();
});

t.test("the page explains in a sentence what is absent", (t) => {
	const { segments: _, ...spec } = DECLARED.spec;
	const without = reportInput(MEASURING, { ...DECLARED, spec: { ...spec, segments: [], goal: null } });
	const text = page(without);
	t.match(text, /No segments are declared/);
	t.match(text, /No goal is declared: the rollout tests for harm, and an operator promotes/);
	t.match(text, /so there is nothing to win/);
	const fresh = page(FRESH);
	for (const words of [
		/There is no decision yet/,
		/No unit has been counted yet/,
		/There is no evidence yet/,
		/needs at least two looks/,
	])
		t.match(fresh, words);
	const old: ReportInput = { ...reportInput(MEASURING), evidence: null };
	t.match(page(old), /Current evidence is unavailable: the numbers below are those of decision \d+/);
	t.end();
});

t.test("the page starts with the plain answer and the next step", (t) => {
	const answers = [MEASURING, WINNING, HARMFUL].map((story) => reportOf(reportInput(story)).answer);
	t.match(answers, [
		{
			state: "Still measuring",
			tone: "open",
			next: /promoted; proved harm moves all traffic back/,
			howLong: /Without a verdict by 2026-/,
		},
		{ state: "Promoted", tone: "good", sentence: /^accuracy is .* better .*: v2 takes over\.$/, because: "" },
		{
			state: "Rolled back",
			tone: "bad",
			sentence: /^errors are .* worse .*: v2 is rolled back\.$/,
			next: /Variant v1 serves all traffic/,
		},
	]);
	const input = reportInput(WINNING);
	const { spec } = input.experiment;
	const rollout = { ...spec.rollout, holdback: { sharePpm: 50_000, forMs: 1_000 } };
	const heldBack = { ...input, experiment: { ...input.experiment, spec: { ...spec, rollout } } };
	t.match(reportOf(heldBack).answer, { sentence: /^all users get v2 now/, because: /v2 takes over/ });
	const text = page(reportInput(HARMFUL));
	t.ok(text.indexOf("errors are 4.8 points worse") < text.indexOf("<nav"));
	t.end();
});

t.test("the page offers only possible commands: a running Experiment is not resumed", (t) => {
	const input = reportInput(WINNING);
	const running = { phase: "Running", hold: null, promotion: null, stepIndex: 2, allocationPpm: 1_000_000 } as const;
	const { takeover: _, ...before } = input.status;
	const status = { ...before, ...running, frozenHarms: ["boosted|accuracy|goal"] };
	const { answer } = reportOf({ ...input, status });
	t.match(answer, {
		sentence: /^boosted would be ready, but it was stopped before because accuracy was worse/,
		next: "A person decides: weir promote with its name (--arm), or abort.",
	});
	const paused = { ...status, phase: "Paused", hold: "person" } as const;
	t.match(reportOf({ ...input, status: paused }).answer.next, /^A person decides: weir resume, promote or abort\.$/);
	t.end();
});

t.test("the page mentions broken data next to the numbers", (t) => {
	const input = reportInput(MEASURING);
	const evidence: Evidence = { ...(input.evidence as Evidence), droppedEntries: 100_000 };
	const text = page({ ...input, evidence });
	t.match(text, /The rollout does not use these data/);
	t.match(text, /100,000/);
	t.match(reportOf({ ...input, evidence }).answer, { state: "Data broken", tone: "bad" });
	t.end();
});

t.test("the page names who may end a holdback that broken data keep open", (t) => {
	const input = reportInput(WINNING);
	const { promotion } = input.status;
	const status = {
		...input.status,
		phase: "Promoting",
		promotion: promotion === null ? null : { ...promotion, heldBackFromMs: input.atMs - 1_000 },
	} as const;
	const evidence: Evidence = { ...(input.evidence as Evidence), droppedEntries: 100_000 };
	t.match(reportOf({ ...input, status, evidence }).answer, {
		state: "Data broken",
		next: /^It ends when the data are whole again; .* Or a person ends it: weir promote ends the holdback, abort moves/,
	});
	t.end();
});

t.test("a quantile's picture names the requests it counts, and where an equal version would be", (t) => {
	const page = reportPage(reportOf(reportInput(MEASURING)));
	t.match(page, /latency-p99 \(requests above 40 ms \(20 ms \+ 100%\) against the baseline&#39;s above 20 ms\)/);
	t.match(page, /guardrail, within its margin, 0\.25\u00A0pp more tolerated/);
	t.match(
		page,
		/of a person&#39;s requests took longer than 40 ms \(20 ms \+ 100%\), [\d.]+% of the baseline’s longer than 20 ms, a difference of/,
	);
	t.match(
		page,
		/share of requests above 20 ms in the baseline minus the share above 40 ms \(20 ms \+ 100%\) in the challenger, each averaged over people\./,
	);
	t.match(page, /A version as fast as the baseline lies right of the thin line\./);
	t.match(
		page,
		/An interval left of the thin line proves that the margin is exceeded; one right of the dashed line proves that it is kept\./,
	);
	t.notMatch(page.split("Levels of the arms")[0], /share of slow requests/, "a single arm has chance 1");
	t.end();
});

/**
 * The report in a real Chromium, light and dark, wide and narrow: nothing overflows, nothing is asked of the network,
 * nothing is complained of. WEIR_SCREENSHOTS names a directory that the pictures are kept in, to look at them.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import t from "tap";
import { reportPage } from "../../src/decide/report/page/page.js";
import { reportOf } from "../../src/decide/report/report.js";
import { temporaryDirectory } from "../cli/command.js";
import { DECLARED, HARMFUL, MEASURING, reportInput, WINNING } from "../decide/report/example.js";
import { type Browser, chromium, startBrowser } from "./browser.js";

t.setTimeout(300_000);

const LONG =
	"a-name-as-long-as-only-a-machine-would-ever-write-it-without-a-single-space-in-all-of-its-characters-و-שלום";
const STORIES: Readonly<Record<string, () => string>> = {
	measuring: () => pageOf(JSON.stringify(reportInput(MEASURING))),
	winning: () => pageOf(JSON.stringify(reportInput(WINNING))),
	harmful: () => pageOf(JSON.stringify(reportInput(HARMFUL))),
	fresh: () => pageOf(JSON.stringify(reportInput({ ...MEASURING, days: 0 }))),
	planned: () => {
		const inference = { design: "group-sequential", looks: 4, units: 24_000, spending: "pocock" } as const;
		const rollout = { ...DECLARED.spec.rollout, inference };
		const story = { ...WINNING, days: 20 };
		return pageOf(JSON.stringify(reportInput(story, { ...DECLARED, spec: { ...DECLARED.spec, rollout } })));
	},
	hostile: () => {
		const arms = [...DECLARED.spec.arms, { name: "tuned", variant: "v3", weight: 1, baseline: false, parameters: {} }];
		const three = { ...DECLARED, spec: { ...DECLARED.spec, arms } };
		const story = {
			...MEASURING,
			accuracy: { ...MEASURING.accuracy, tuned: 0.6 },
			slow: { ...MEASURING.slow, tuned: 0.01 },
		};
		const names = [
			["boosted", `</script><script>alert(1)</script>${LONG}`],
			["DE", `"><img src=https://evil.test/x>${LONG}`],
		];
		return pageOf(
			names.reduce(
				(text, [name = "", other]) => text.replaceAll(JSON.stringify(name), JSON.stringify(other)),
				JSON.stringify(reportInput(story, three)),
			),
		);
	},
};

function pageOf(input: string): string {
	return reportPage(reportOf(JSON.parse(input)));
}

/** What lies beyond the window's edge and is not inside of something that scrolls by itself; and what is clipped. */
const OVERFLOW = `(() => {
	const scrolls = (element) => element.closest(".scroll") !== null;
	const wide = [...document.querySelectorAll("body *")].filter((element) => !scrolls(element) && element.getBoundingClientRect().right > innerWidth + 0.5);
	return JSON.stringify({ window: innerWidth, page: document.documentElement.scrollWidth, wide: wide.map((element) => element.outerHTML.slice(0, 120)) });
})()`;

/** Contrast of every text against its background, by WCAG 2. */
const CONTRAST = `(() => {
	const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
	const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (element) => { for (let one = element; one; one = one.parentElement) { const color = rgb(getComputedStyle(one).backgroundColor); if (color.length === 3 || color[3] > 0) return color; } return [255, 255, 255]; };
	const low = [];
	for (const element of document.querySelectorAll("body *")) {
		if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== "")) continue;
		const style = getComputedStyle(element);
		const [a, b] = [luminance(rgb(element instanceof SVGElement ? style.fill : style.color)), luminance(behind(element))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) low.push(ratio.toFixed(2) + " " + element.outerHTML.slice(0, 120));
	}
	return JSON.stringify(low);
})()`;

async function evaluate(browser: Browser, expression: string): Promise<unknown> {
	const { result } = await browser.send("Runtime.evaluate", { expression, returnByValue: true });
	return JSON.parse(String((result as { readonly value: unknown }).value));
}

async function show(browser: Browser, url: string, width: number, scheme: "light" | "dark"): Promise<void> {
	await browser.send("Emulation.setDeviceMetricsOverride", {
		width,
		height: 900,
		deviceScaleFactor: 1,
		mobile: false,
	});
	await browser.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
	const before = browser.events.length;
	await browser.send("Page.navigate", { url });
	// The load event comes before or after the answer.
	while (!browser.events.slice(before).some(({ method }) => method === "Page.loadEventFired"))
		await browser.send("Runtime.evaluate", { expression: "0" });
}

t.test("the report in a browser", async (t) => {
	const path = await chromium();
	if (path === null) return t.comment("skipped: no Chromium is installed; CHROMIUM names one");
	const directory = await temporaryDirectory(t);
	const browser = await startBrowser(path);
	t.teardown(() => browser.close());
	for (const [story, make] of Object.entries(STORIES)) {
		const text = make();
		for (const form of ["html", "xhtml"]) await writeFile(join(directory, `${story}.${form}`), text);
		const url = pathToFileURL(join(directory, `${story}.html`)).href;
		for (const scheme of ["light", "dark"] as const) {
			for (const width of [360, 760, 1_280]) {
				await show(browser, url, width, scheme);
				t.same(
					await evaluate(browser, OVERFLOW),
					{ window: width, page: width, wide: [] },
					`${story}, ${scheme}, ${width} px: nothing overflows`,
				);
				t.same(await evaluate(browser, CONTRAST), [], `${story}, ${scheme}, ${width} px: every text stands out`);
				await keep(browser, `${story}-${scheme}-${width}`);
			}
		}
		await show(browser, pathToFileURL(join(directory, `${story}.xhtml`)).href, 1_280, "light");
		const sections = `JSON.stringify([document.querySelectorAll("parsererror").length, document.querySelectorAll("section").length])`;
		t.same(await evaluate(browser, sections), [0, 12], `${story}: a strict XML parser takes it`);
		await browser.send("Emulation.setEmulatedMedia", { media: "print" });
		const { data } = await browser.send("Page.printToPDF", { printBackground: false });
		t.ok(String(data).length > 10_000, `${story}: it can be printed`);
		await browser.send("Emulation.setEmulatedMedia", { media: "" });
	}
	const asked = browser.events
		.filter(({ method }) => method === "Network.requestWillBeSent")
		.map(({ params }) => (params.request as { readonly url: string }).url);
	t.same(
		asked.filter((url) => !url.startsWith("file://")),
		[],
		"nothing is asked of the network",
	);
	t.same(new Set(asked).size, 2 * Object.keys(STORIES).length, "nothing but the pages themselves is loaded");
	const complaints = browser.events.filter(({ method }) =>
		["Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"].includes(
			method,
		),
	);
	t.same(complaints, [], "nothing is complained of");
});

async function keep(browser: Browser, name: string): Promise<void> {
	const directory = process.env.WEIR_SCREENSHOTS;
	if (directory === undefined) return;
	const { data } = await browser.send("Page.captureScreenshot", { captureBeyondViewport: true });
	await writeFile(join(directory, `${name}.png`), Buffer.from(String(data), "base64"));
}
